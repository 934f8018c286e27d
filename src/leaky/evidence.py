"""What has been seen of the units at an activation: counts, extremes and exact sums, that add up whatever their order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


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
    #: of rectifiers that have one: the negative slope, or one for each unit
    slope: float | tuple[float, ...] | None = None
    #: at or beyond which pre-activations the derivative is 0 or negligible
    limits: tuple[float, float] = (-math.inf, math.inf)
    #: path of the layer with weights that feeds it, through layers without
    fed_by: str | None = None
    #: file and line of a call that is no module's
    source: str | None = None
    #: False for a maximum with 0 that is no activation, being fed from no weights: listed apart
    judged: bool = True
    #: why it is not judged, or why the axis is unknown
    note: str = ""


class ExactSum:
    """Sums of float64 numbers, one for each unit, that do not depend on the order of the additions.

    Each is kept as a few numbers whose exact sum it is (Shewchuk 1997, "Adaptive precision floating-point arithmetic"):
    so many that nothing is lost unless the terms span more than 150 binary orders of magnitude.
    """

    _PARTS = 4

    def __init__(self, units: int) -> None:
        self.parts: Floats = np.zeros((self._PARTS, units))

    def add(self, terms: Floats) -> None:
        """Add one finite number to each unit's sum."""
        carry = terms
        for part in self.parts:  # the largest first; what each addition rounds off goes on to the next
            total = part + carry
            back = total - part
            carry = (part - (total - back)) + (carry - back)
            part[:] = total

    def merge(self, other: ExactSum) -> None:
        """Add another's sums."""
        for part in other.parts:
            self.add(part)

    def value(self) -> Floats:
        """Return the sums, each rounded once."""
        return np.array([math.fsum(parts) for parts in self.parts.T.tolist()])


@dataclass(frozen=True)
class Batch:
    """The statistics of one batch at one site. Arrays have one entry for each unit.

    NaN and infinite pre-activations are counted in ``nonfinite`` and nowhere else, but for ``active`` and the limits,
    which +inf and -inf pass like any number.
    """

    samples: int
    #: pre-activations of each unit
    positions: int
    #: samples on which the pre-activation is above 0 somewhere; positions where it is
    active_samples: Counts
    active_positions: Counts
    #: positions at or below the site's lower limit, at or above its upper one
    low: Counts
    high: Counts
    nonfinite: Counts
    #: of the finite pre-activations; inf and -inf where there are none
    smallest: Floats
    largest: Floats
    #: sums over positions of the finite pre-activations, their squares, and those above 0
    total: Floats
    total_squares: Floats
    total_positive: Floats


def batch_statistics(x: NDArray[Any], axis: int | None, limits: tuple[float, float]) -> Batch:
    """Return the statistics of pre-activations: the definition of what the compiled core counts in one pass.

    Args:
        x: floats, the samples on axis 0.
        axis: of the units, or None for one unit.
        limits: the site's.
    """
    samples = len(x)
    axis = x.ndim if axis is None else axis % x.ndim
    x = x[..., None] if axis == x.ndim else x
    # samples, positions, units
    rows = np.moveaxis(x, axis, -1).reshape(samples, -1, x.shape[axis]).astype(np.float64)
    finite = np.isfinite(rows)
    number = np.where(finite, rows, 0.0)
    over = (0, 1)
    return Batch(
        samples=samples,
        positions=rows.shape[0] * rows.shape[1],
        active_samples=(rows > 0).any(axis=1).sum(axis=0),
        active_positions=(rows > 0).sum(axis=over),
        low=(rows <= limits[0]).sum(axis=over),
        high=(rows >= limits[1]).sum(axis=over),
        nonfinite=(~finite).sum(axis=over),
        smallest=np.where(finite, rows, np.inf).min(axis=over, initial=np.inf),
        largest=np.where(finite, rows, -np.inf).max(axis=over, initial=-np.inf),
        total=number.sum(axis=over),
        total_squares=(number * number).sum(axis=over),
        total_positive=np.maximum(number, 0.0).sum(axis=over),
    )


@dataclass
class Evidence:
    """What batches have shown of the units at one site. Takes memory by the unit, however many samples it has seen.

    Evidence on shards of whole batches merges to exactly that on all of them, in any order.
    """

    units: int
    samples: int = 0
    positions: int = 0
    active_samples: Counts = field(init=False)
    active_positions: Counts = field(init=False)
    low: Counts = field(init=False)
    high: Counts = field(init=False)
    nonfinite: Counts = field(init=False)
    smallest: Floats = field(init=False)
    largest: Floats = field(init=False)
    total: ExactSum = field(init=False)
    total_squares: ExactSum = field(init=False)
    total_positive: ExactSum = field(init=False)
    #: with a loss: the sum of the absolute gradients that reach the units' outputs, over ``gradient_positions``
    gradient: ExactSum = field(init=False)
    gradient_positions: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.type == "Counts":
                setattr(self, each.name, np.zeros(self.units, np.int64))
            elif each.type == "ExactSum":
                setattr(self, each.name, ExactSum(self.units))
        self.smallest = np.full(self.units, np.inf)
        self.largest = np.full(self.units, -np.inf)

    def add(self, batch: Batch) -> None:
        """Take in one more batch."""
        self._take(batch)
        for name in ("total", "total_squares", "total_positive"):
            getattr(self, name).add(getattr(batch, name))

    def add_gradient(self, absolute: Floats, positions: int) -> None:
        """Take in the sum of absolute gradients over so many positions of each unit."""
        self.gradient.add(absolute)
        self.gradient_positions += positions

    def merge(self, other: Evidence) -> None:
        """Take in what another has seen."""
        self._take(other)
        for name in ("total", "total_squares", "total_positive", "gradient"):
            getattr(self, name).merge(getattr(other, name))
        self.gradient_positions += other.gradient_positions

    def _take(self, other: Batch | Evidence) -> None:
        self.samples += other.samples
        self.positions += other.positions
        for name in ("active_samples", "active_positions", "low", "high", "nonfinite"):
            getattr(self, name)[:] += getattr(other, name)
        np.minimum(self.smallest, other.smallest, out=self.smallest)
        np.maximum(self.largest, other.largest, out=self.largest)

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Units that were active on none of the samples seen."""
        return self.active_samples == 0

    @property
    def mean(self) -> Floats:
        """Mean finite pre-activation of each unit; NaN where there is none."""
        return self._over_positions(self.total.value())

    @property
    def spread(self) -> Floats:
        """Standard deviation of each unit's finite pre-activations."""
        return np.sqrt(np.maximum(self._over_positions(self.total_squares.value()) - self.mean**2, 0.0))

    @property
    def share(self) -> Floats:
        """Share of positions at which each unit was active."""
        return self.active_positions / self.positions if self.positions else np.full(self.units, np.nan)

    def _over_positions(self, sums: Floats) -> Floats:
        counted = self.positions - self.nonfinite
        return np.divide(sums, counted, out=np.full(self.units, np.nan), where=counted > 0)
