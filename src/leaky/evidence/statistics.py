"""The statistics of one batch of pre-activations: their definition, and the compiled core's one pass."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from leaky import _core

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

_Kind = TypeVar("_Kind", bound=np.generic)


def _row(block: NDArray[_Kind], index: int) -> NDArray[_Kind]:
    row: NDArray[_Kind] = block[index]
    return row


class Counted:
    """Counts and extremes. Arrays have one entry for each unit.

    NaN and infinite pre-activations are counted in ``nonfinite`` and nowhere else, but for the active ones and those
    at the limits, which +inf and -inf pass like any number.
    """

    samples: int
    #: pre-activations of each unit, on all samples
    positions: int
    counts: Counts
    extremes: Floats

    @property
    def active_samples(self) -> Counts:
        """Samples on which the pre-activation was above 0 somewhere."""
        return _row(self.counts, 0)

    @property
    def active_positions(self) -> Counts:
        """Positions at which it was."""
        return _row(self.counts, 1)

    @property
    def low(self) -> Counts:
        """Positions at or below the site's lower limit."""
        return _row(self.counts, 2)

    @property
    def high(self) -> Counts:
        """Positions at or above its upper limit."""
        return _row(self.counts, 3)

    @property
    def nonfinite(self) -> Counts:
        """Positions at which it was NaN or infinite."""
        return _row(self.counts, 4)

    @property
    def smallest(self) -> Floats:
        """The smallest finite pre-activation; inf where there was none."""
        return _row(self.extremes, 0)

    @property
    def largest(self) -> Floats:
        """The largest finite pre-activation; -inf where there was none."""
        return _row(self.extremes, 1)


@dataclass(frozen=True)
class Batch(Counted):
    """The statistics of one batch at one site."""

    samples: int
    positions: int
    #: (5, units): the counts in the order in which they are named above
    counts: Counts
    #: (2, units): smallest and largest
    extremes: Floats
    #: (3, units): over positions, of the finite pre-activations, of their squares, and of those above 0, each no larger
    #: than the site's upper limit
    sums: Floats

    @property
    def total(self) -> Floats:
        """Sum over positions of the finite pre-activations."""
        return _row(self.sums, 0)

    @property
    def total_squares(self) -> Floats:
        """Sum of their squares."""
        return _row(self.sums, 1)

    @property
    def total_positive(self) -> Floats:
        """Sum of those above 0, each no larger than the upper limit: of what ReLU, or ReLU6, makes of them."""
        return _row(self.sums, 2)


def batch_statistics(x: NDArray[Any], axis: int | None, limits: tuple[float, float]) -> Batch:
    """Return the statistics of pre-activations: the definition of what the compiled core counts in one pass.

    The core's sums are rounded in another order, which is always the same.

    Args:
        x: floats, the samples on axis 0.
        axis: of the units, or None for one unit.
        limits: the site's.
    """
    shape = _four(x.shape, axis)
    with np.errstate(over="ignore", invalid="ignore"):
        rows = x.reshape(shape).astype(np.float64)
        finite = np.isfinite(rows)
        number = np.where(finite, rows, 0.0)
        over = (0, 1, 3)
        counts = [
            (rows > 0).any(axis=(1, 3)).sum(axis=0),
            (rows > 0).sum(axis=over),
            (rows <= limits[0]).sum(axis=over),
            (rows >= limits[1]).sum(axis=over),
            (~finite).sum(axis=over),
        ]
        extremes = [
            np.where(finite, rows, np.inf).min(axis=over, initial=np.inf),
            np.where(finite, rows, -np.inf).max(axis=over, initial=-np.inf),
        ]
        sums = [
            number.sum(axis=over),
            (number * number).sum(axis=over),
            np.maximum(np.minimum(number, limits[1]), 0.0).sum(axis=over),
        ]
    positions = shape[0] * shape[1] * shape[3]
    return Batch(shape[0], positions, np.stack(counts), np.stack(extremes) + 0.0, np.stack(sums))  # 0, never -0


def _four(shape: tuple[int, ...], axis: int | None) -> tuple[int, int, int, int]:
    """Return samples, positions before the units' axis, units, positions after it; of one unit, all are after it."""
    if axis is None:
        return shape[0], 1, 1, math.prod(shape[1:])
    axis %= len(shape)
    return shape[0], math.prod(shape[1:axis]), shape[axis], math.prod(shape[axis + 1 :])


def batch_statistics_at(
    address: int, dtype: int, samples: int, before: int, units: int, after: int, limits: tuple[float, float]
) -> Batch:
    """Return the statistics of pre-activations in memory, by the compiled core.

    Args:
        address: of a dense array, shape (samples, before, units, after), which the caller holds. Images are
            (samples, 1, channels, height * width), or (samples, height * width, channels, 1) with channels innermost.
        dtype: a number out of ``leaky._core.TYPES``.
        samples: number of samples.
        before: positions in the axes before that of the units.
        units: number of units.
        after: positions in the axes after it.
        limits: the site's.
    """
    block = np.empty((10, units), np.int64)
    _core.statistics(address, dtype, samples, before, units, after, *limits, block)
    numbers = block[5:].view(np.float64)
    return Batch(samples, samples * before * after, block[:5], numbers[:2], numbers[2:])


@functools.cache  # a type's name is slow to come by
def _type(dtype: np.dtype[Any]) -> int | None:
    return _core.TYPES.get(dtype.name if dtype.isnative else "")


def batch_statistics_of(x: NDArray[Any], axis: int | None, limits: tuple[float, float]) -> Batch:
    """Return what ``batch_statistics`` does, by the compiled core: an array of another type than the core's as float64.

    An array that is contiguous with its units on the last axis, as images of channels-last memory are, is not copied.
    """
    dtype = _type(x.dtype)
    x = np.asarray(x, np.float64 if dtype is None else None)
    if axis is not None and not x.flags.c_contiguous:
        last = np.moveaxis(x, axis, -1)
        x, axis = (last, -1) if last.flags.c_contiguous else (x, axis)
    x = np.ascontiguousarray(x)
    dtype = _core.TYPES["float64"] if dtype is None else dtype
    return batch_statistics_at(x.ctypes.data, dtype, *_four(x.shape, axis), limits)
