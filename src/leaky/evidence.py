"""What has been seen of the units at an activation: counts, extremes and exact sums, that add up whatever their order."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Container, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from leaky import _core
from leaky.exact_sum import ExactSum, from_texts, to_texts

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

#: the negative slope of a rectifier that has one, or one for each unit; NaN where a unit has several
Slope = float | tuple[float, ...] | None

#: what a site is the same by in another pass, process or check of its network
Identity = tuple[Hashable, ...]

_Kind = TypeVar("_Kind", bound=np.generic)


@dataclass(frozen=True)
class Site:
    """One call of an activation in a forward pass."""

    #: unique in its network: the path of the module, with [1] for its second call in one pass
    name: str
    #: relu, relu6, leaky_relu, prelu, rrelu, hardtanh, threshold, sigmoid, tanh, ...
    kind: str
    #: as it is written: nn.ReLU, relu, clamp(min=0), maximum(x, 0); or the ONNX operator
    form: str
    #: path of the innermost module in whose forward the call is made; "" is the network itself
    module: str
    #: number of units; 1 if their axis could not be told
    units: int
    #: axis of the units in the pre-activation, the batch being axis 0; None if it could not be told
    axis: int | None
    #: of the pre-activation of one sample
    shape: tuple[int, ...]
    slope: Slope = None
    #: at or beyond which pre-activations the derivative is 0 or negligible
    limits: tuple[float, float] = (-math.inf, math.inf)
    #: path of the layer with weights that feeds it, through layers without
    fed_by: str | None = None
    #: whether the pre-activation is that layer's output and nothing else, such as a sum; None if that is not known
    alone: bool | None = None
    #: file and line of a call that is no module's
    source: str | None = None
    #: False for a maximum with 0 that is no activation, being fed from no weights: listed apart
    judged: bool = True
    #: why it is not judged, or why the axis is unknown
    note: str = ""
    #: what it is known by in whatever order sites are met, its name without a number first; (): its name says it all
    key: Identity = field(default=(), repr=False)

    @property
    def identity(self) -> Identity:
        """What it is known by; names will not do, for they are given as sites are met."""
        return self.key or (self.name,)

    def named(self, taken: Container[str]) -> Site:
        """Return it with its name, or with another number if that is taken."""
        return self if self.name not in taken else replace(self, name=unused(str(self.identity[0]), taken))


def unused(name: str, taken: Container[str]) -> str:
    """Return the name, with a number if it is taken."""
    numbered = (f"{name}[{number}]" for number in itertools.count(1))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def slopes_of_units(slopes: NDArray[Any], axis: int | None) -> tuple[float, ...]:
    """Return the negative slope of each unit; NaN for a unit that has another one at another position.

    Args:
        slopes: one for each pre-activation, in the same layout.
        axis: of the units; None for one unit.
    """
    others = tuple(each for each in range(slopes.ndim) if axis is None or each != axis % slopes.ndim)
    least, most = slopes.min(others), slopes.max(others)
    return tuple(np.where(least == most, least, np.nan).astype(np.float64).ravel().tolist())


def _row(block: NDArray[_Kind], index: int) -> NDArray[_Kind]:
    row: NDArray[_Kind] = block[index]
    return row


class _Counted:
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
class Batch(_Counted):
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


_SUMS = ("total", "total_squares", "total_positive")


class Evidence(_Counted):
    """What batches have shown of the units at one site. Takes memory by the unit, however many samples it has seen.

    Evidence on shards of whole batches merges to exactly that on all of them, in any order.
    """

    def __init__(self, units: int) -> None:
        self.units = units
        self.samples = 0
        self.positions = 0
        self.counts = np.zeros((5, units), np.int64)
        self.extremes = np.array([[math.inf], [-math.inf]]).repeat(units, axis=1)
        self.total = ExactSum(units)
        self.total_squares = ExactSum(units)
        self.total_positive = ExactSum(units)
        #: with a loss: the sum of the absolute gradients that reach the units' outputs, over ``gradient_positions``; NaN or
        #: inf where one of them is
        self.gradient = ExactSum(units)
        self.gradient_positions = 0

    def add(self, batch: Batch) -> None:
        """Take in one more batch. ValueError if it is of another number of units."""
        self._take(batch)
        self.total.add(batch.sums[0])
        self.total_squares.add(batch.sums[1])
        self.total_positive.add(batch.sums[2])

    def add_gradient(self, absolute: Floats, positions: int) -> None:
        """Take in the sums of absolute gradients, shape (units,), over so many positions of each unit."""
        self.gradient.add(np.ascontiguousarray(absolute, np.float64))
        self.gradient_positions += positions

    def merge(self, other: Evidence) -> None:
        """Take in what another has seen of the same units. ValueError if it is of another number of units."""
        self._take(other)
        for name in (*_SUMS, "gradient"):
            getattr(self, name).merge(getattr(other, name))
        self.gradient_positions += other.gradient_positions

    def _take(self, other: _Counted) -> None:
        if other.counts.shape[1] != self.units:
            raise ValueError(f"the evidence must be on {self.units} units, got {other.counts.shape[1]}")
        self.samples += other.samples
        self.positions += other.positions
        self.counts += other.counts
        np.minimum(self.smallest, other.smallest, out=self.smallest)
        np.maximum(self.largest, other.largest, out=self.largest)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, exactly, as what JSON can hold."""
        return {
            "samples": self.samples,
            "positions": self.positions,
            "counts": self.counts.tolist(),
            "extremes": [to_texts(row) for row in self.extremes],
            **{name: getattr(self, name).to_dict() for name in (*_SUMS, "gradient")},
            "gradient_positions": self.gradient_positions,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Evidence:
        """Return the evidence that ``to_dict`` described, to the last bit."""
        self = cls(len(state["counts"][0]))
        for name in ("samples", "positions", "gradient_positions"):
            setattr(self, name, state[name])
        self.counts[:] = state["counts"]
        self.extremes[:] = [from_texts(row) for row in state["extremes"]]
        for name in (*_SUMS, "gradient"):
            setattr(self, name, ExactSum.from_dict(state[name]))
        return self

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Units that were active on none of the samples seen."""
        return np.equal(self.active_samples, 0)

    @property
    def mean(self) -> Floats:
        """Mean finite pre-activation of each unit; NaN where there is none."""
        return self._over_positions(self.total.value())

    @property
    def spread(self) -> Floats:
        """Standard deviation of each unit's finite pre-activations; NaN where there are none.

        It is the root of the mean square minus the squared mean, which float64 rounds: spreads of less than about a
        ten-millionth of the mean are lost. Of numbers that are all the same it is 0.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            variance = self._over_positions(self.total_squares.value()) - self.mean**2
        return np.sqrt(np.where(self.smallest == self.largest, 0.0, np.maximum(variance, 0.0)))

    @property
    def share(self) -> Floats:
        """Share of positions at which each unit was active; NaN where there were none."""
        return self.active_positions / self.positions if self.positions else np.full(self.units, np.nan)

    def dormancy(self, site: Site) -> Floats | None:
        """Return each unit's mean absolute activation, divided by the mean of that over all units of the site.

        0 for units whose activations are all 0, also if no unit has others; NaN for units with activations that are not
        finite, or with several slopes. None if the sums do not tell it, which they do for ReLU, clipped or not, and for
        rectifiers with a negative slope. They do not for a threshold, whose sums are of what exceeds it.

        Source: Sokar et al. (2023), "The dormant neuron phenomenon in deep reinforcement learning", definition 3.1.
        """
        if site.kind == "threshold":
            return None
        absolute = self.total_positive.value()
        if site.slope is not None and site.limits[1] == math.inf:
            with np.errstate(invalid="ignore"):
                absolute += np.abs(site.slope) * np.maximum(absolute - self.total.value(), 0.0)
        elif site.slope is not None or site.limits[0] != 0:
            return None
        mean = np.where(self.nonfinite > 0, np.nan, self._over_positions(absolute))
        known = mean[np.isfinite(mean)]
        overall = float(known.mean()) if known.any() else 1.0
        dormancy: Floats = mean / overall
        return dormancy

    def _over_positions(self, sums: Floats) -> Floats:
        counted = self.positions - self.nonfinite
        means: Floats = np.divide(sums, counted, out=np.full(self.units, np.nan), where=counted > 0)
        return means
