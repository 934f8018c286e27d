"""What networks are born with, as counted over many of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from leaky.checkup.result import json_types


@dataclass(frozen=True)
class Chance:
    """A probability as estimated from independent networks, with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


@dataclass(frozen=True)
class LayerAtBirth:
    """One activation of the network, over all networks built."""

    name: str
    units: int
    #: that a unit of it is dead, and that all are
    unit: Chance
    layer: Chance
    #: of the pre-activation: its mean square, and its variance from sample to sample and place to place; each the mean
    #: over units and networks
    mean_square: float
    variance: float


@dataclass(frozen=True)
class Birth:
    """What networks with one negative slope are born with."""

    slope: float
    #: that a unit, taken from the whole network, is dead
    unit: Chance
    #: that some layer has only dead units
    layer: Chance
    #: that nothing gets through: some layer is dead, and the output is the same for all inputs
    network: Chance
    #: by depth: in the order of their calls
    layers: tuple[LayerAtBirth, ...]


@dataclass(frozen=True)
class AtBirth:
    """What :func:`at_birth` found: for each slope, the same networks."""

    networks: int
    #: inputs that each network was tried on
    samples: int
    births: tuple[Birth, ...]
    #: what else is to be known
    notes: tuple[str, ...] = ()

    def __getitem__(self, slope: float) -> Birth:
        """Return what was found for a slope."""
        for birth in self.births:
            if birth.slope == slope:
                return birth
        raise KeyError(slope)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types, no NaN or infinity among them: those become None."""
        plain: dict[str, Any] = json_types(asdict(self))
        return plain

    def __repr__(self) -> str:
        lines = [f"<leaky.AtBirth: {self.networks:,} networks, {self.samples:,} inputs each; chance to be born dead"]
        lines += [
            f"  slope {b.slope:g}: a unit {b.unit}, a layer {b.layer}, the network {b.network}; variance {_drift(b)}"
            for b in self.births
        ]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)]) + ">"


def _drift(birth: Birth) -> str:
    if not birth.layers:
        return "of no layer"
    return f"{birth.layers[0].variance:.3g} first, {birth.layers[-1].variance:.3g} last"
