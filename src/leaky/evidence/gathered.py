"""What batches have shown of the units at an activation: counts, extremes and exact sums, whatever their order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaky.evidence.sites import Site
from leaky.evidence.statistics import Batch, Counted, Floats
from leaky.exact_sum import ExactSum, from_texts, to_texts

_SUMS = ("total", "total_squares", "total_positive")


class Evidence(Counted):
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

    def _take(self, other: Counted) -> None:
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
