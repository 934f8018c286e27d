"""Counting, network by network, which units are dead, and the probabilities that this estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from leaky.checkup.birth.result import Birth, Chance, LayerAtBirth
from leaky.evidence import Evidence, Site


@dataclass
class Layer:
    """One site, network by network."""

    site: Site
    dead: list[int] = field(default_factory=list)
    mean_square: list[float] = field(default_factory=list)
    variance: list[float] = field(default_factory=list)


@dataclass
class Tally:
    """The counts for one slope, network by network."""

    layers: dict[str, Layer] = field(default_factory=dict)
    share: list[float] = field(default_factory=list)
    layer: list[bool] = field(default_factory=list)
    network: list[bool] = field(default_factory=list)

    def add(self, sites: dict[str, tuple[Site, Evidence]], output: Any) -> None:
        """Take in one network."""
        judged = {name: pair for name, pair in sites.items() if pair[0].judged}
        dead = {name: _dead(*pair) for name, pair in judged.items()}
        for name, (site, evidence) in judged.items():
            layer = self.layers.setdefault(name, Layer(site))
            layer.dead.append(dead[name])
            square = evidence.total_squares.value() / evidence.positions
            layer.mean_square.append(float(square.mean()))
            layer.variance.append(float(np.mean(np.square(evidence.spread))))
        units = sum(site.units for site, _ in judged.values())
        self.share.append(sum(dead.values()) / max(units, 1))
        self.layer.append(any(dead[name] == site.units for name, (site, _) in judged.items()))
        self.network.append(self.layer[-1] and _constant(output))

    def birth(self, slope: float) -> Birth:
        """Return the probabilities."""
        return Birth(
            slope,
            _chance(self.share),
            _chance(self.layer),
            _chance(self.network),
            tuple(
                LayerAtBirth(
                    name,
                    layer.site.units,
                    _chance([dead / layer.site.units for dead in layer.dead]),
                    _chance([dead == layer.site.units for dead in layer.dead]),
                    float(np.mean(layer.mean_square)),
                    float(np.mean(layer.variance)),
                )
                for name, layer in self.layers.items()
            ),
        )


def _dead(site: Site, evidence: Evidence) -> int:
    """Return the number of units that are not above 0 at any position, if the activation is flat there."""
    return int(np.sum(evidence.low == evidence.positions)) if site.limits[0] == 0 else 0


def _constant(output: Any) -> bool:
    """Return whether a network's output is the same for all samples, but for roundings that depend on their place."""
    tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return all(
        bool((each - each[:1]).abs().max() <= 16 * torch.finfo(each.dtype).eps * each.abs().max())
        for each in tensors
        if each.numel() and each.dim()
    )


def _chance(shares: Sequence[float]) -> Chance:
    """Return the mean share and its interval: Clopper and Pearson's, exact where shares are 0 or 1.

    For shares between, which vary less, it is taken for the number of networks at which a proportion would vary as much
    (Korn and Graubard 1998).
    """
    from scipy.stats import beta

    n, p = float(len(shares)), float(np.mean(shares))
    variance = float(np.var(shares, ddof=1)) if n > 1 else 0.0
    if 0 < variance < p * (1 - p):
        n *= p * (1 - p) / variance
    count = n * p
    low = float(beta.ppf(0.025, count, n - count + 1)) if p > 0 else 0.0
    high = float(beta.ppf(0.975, count + 1, n - count)) if p < 1 else 1.0
    return Chance(p, low, high)
