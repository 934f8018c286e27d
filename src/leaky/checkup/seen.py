"""One site as the rules see it: what it is, what its units did, and the layer that feeds them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaky.evidence import Evidence, Floats, Site

Bools = NDArray[np.bool_]

# A unit active on fewer of the samples gets its gradient from one sample or none in a batch of the customary size (32 to
# 256): it learns by accident.
RARE = 0.01


def firing_bound(samples: int) -> float:
    """Return the share of inputs on which a unit seen on none of the samples may still be active, at 95 % confidence.

    1 − 0.05^(1/n), about 3/n (Clopper and Pearson 1934, of 0 in n).
    """
    return float(1 - 0.05 ** (1 / samples)) if samples else 1.0


@dataclass(frozen=True)
class Layer:
    """The layer with weights that feeds a site: what of it bears on a unit. Arrays have one entry for each unit."""

    #: as it is written: Linear, Conv2d, BatchNorm1d
    kind: str
    #: Euclidean norm of the unit's weights, and how many there are
    norm: Floats
    inputs: int
    bias: Floats | None
    #: of the first layer: the unit's weights, added up over each channel or feature of the network's input
    by_input: Floats | None = None

    def resembles(self, other: Layer) -> bool:
        """Return whether another may be the same layer, whose norms were rounded elsewhere."""
        if (self.kind, self.inputs, self.bias is None) != (other.kind, other.inputs, other.bias is None):
            return False
        pairs = [(self.norm, other.norm)]
        if self.bias is not None and other.bias is not None:
            pairs.append((self.bias, other.bias))
        return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=0, equal_nan=True) for a, b in pairs)


@dataclass(frozen=True)
class Seen:
    """A site, and what has been seen of its units."""

    site: Site
    evidence: Evidence
    #: None where no layer with weights feeds it, or it could not be read
    layer: Layer | None = None
    #: units proved never to be active for any input in the check's range; None where nothing can be proved
    proved: Bools | None = None

    @property
    def saturates(self) -> bool:
        """Whether it flattens on both sides, like sigmoid and tanh; what flattens from 0 down is a rectifier."""
        low, high = self.site.limits
        return low < 0 and math.isfinite(low) and math.isfinite(high)

    @property
    def limit(self) -> float:
        """At or below which a unit is silent."""
        low = self.site.limits[0]
        return low if math.isfinite(low) else 0.0

    @property
    def silent(self) -> Bools:
        """Units whose pre-activation was at or below the limit at every position; of what saturates, none."""
        e = self.evidence
        if self.saturates or not e.positions:
            return np.zeros(self.site.units, bool)
        if math.isfinite(self.site.limits[0]):
            return np.asarray(e.low == e.positions)
        return np.asarray((e.active_positions == 0) & (e.nonfinite == 0))

    @property
    def learns(self) -> Bools:
        """Units that get a gradient while they are silent: those with a slope, and the smooth ones."""
        if math.isfinite(self.site.limits[0]):
            return np.zeros(self.site.units, bool)
        slope = 1.0 if self.site.slope is None else self.site.slope
        return np.broadcast_to(np.asarray(slope) != 0, self.site.units)

    @property
    def dead(self) -> Bools:
        """Units that were silent and get no gradient for it."""
        return self.silent & ~self.learns

    @property
    def unproved(self) -> Bools:
        """Units that are dead as far as was seen, and not proved to be."""
        return self.dead if self.proved is None else self.dead & ~self.proved

    @property
    def rare(self) -> Bools:
        """Units that were active, but on less than a hundredth of the samples; of what saturates, none."""
        if self.saturates or not self.evidence.samples:
            return np.zeros(self.site.units, bool)
        return np.asarray(
            ~self.silent
            & (self.evidence.active_samples > 0)
            & (self.evidence.active_samples < RARE * self.evidence.samples)
        )

    @property
    def beyond(self) -> Floats:
        """Share of each unit's positions where it is saturated: flat, but not off."""
        e = self.evidence
        return (e.low + e.high if self.saturates else e.high) / max(e.positions, 1)

    @property
    def active(self) -> float | None:
        """Share of all positions of all units that are active."""
        positions = self.evidence.positions * self.site.units
        return float(self.evidence.active_positions.sum() / positions) if positions else None

    @property
    def bound(self) -> float:
        """The share of inputs on which a silent unit may still be active, at most, at 95 % confidence."""
        return firing_bound(self.evidence.samples)

    @property
    def dormancy(self) -> Floats | None:
        """Each unit's mean absolute output over the mean of the site's (Sokar et al. 2023); None for other functions."""
        return self.evidence.dormancy(self.site)

    @property
    def size(self) -> float | None:
        """Root mean square of the finite pre-activations."""
        e = self.evidence
        counted = e.positions * self.site.units - int(e.nonfinite.sum())
        return math.sqrt(math.fsum(e.total_squares.value()) / counted) if counted else None

    @property
    def gradient(self) -> float | None:
        """About the Euclidean norm of one sample's gradient at the site, in the loss's units; None without a loss.

        NaN or infinite if some of the gradient is.

        The norm of N numbers with mean absolute value m is about m·√N: so sites of different sizes can be compared.
        """
        e = self.evidence
        if not (e.gradient_positions and e.positions and e.samples):
            return None
        numbers = self.site.units * e.positions / e.samples
        mean = math.fsum(e.gradient.value()) / (self.site.units * e.gradient_positions)
        return mean * math.sqrt(numbers)
