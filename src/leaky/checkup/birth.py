"""Before training: how likely a network is to be born with dead units, by building it many times."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from leaky.activation import Activation
from leaky.checkup.errors import CheckError
from leaky.checkup.feeding import Feed
from leaky.checkup.finding import name_sites
from leaky.checkup.result import json_types
from leaky.function import real_slope
from leaky.torch.randomness import random_state_kept, seed_all
from leaky.user_code import in_one_line
from leaky.wording import plain

if TYPE_CHECKING:
    from leaky.evidence import Evidence, Site

#: makes a fresh network, for a given activation or as it is
Factory = Callable[[Activation], nn.Module] | Callable[[], nn.Module]

#: inputs, samples first, or a function that draws them
Inputs = ArrayLike | Tensor | Callable[[], ArrayLike | Tensor]

SLOPES = (0.0, 0.01, 0.1, 0.2)


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


def born_dead_bound(width: int, depth: int) -> float:
    """Return an upper bound on the probability that a ReLU network is born dead: ``1 - (1 - 2^-width)^(depth - 1)``.

    For networks without biases, with weights drawn symmetrically about 0, ``width`` units in each layer and ``depth``
    layers, the last of which is the output (Lu et al. 2019, "Dying ReLU and Initialization", theorem 3.3). It is
    reached if all inputs lie on one ray from 0.

    Raises:
        ValueError: width or depth is below 1.
    """
    for name, value in (("width", width), ("depth", depth)):
        if value < 1:
            raise ValueError(f"{name}: {value}; expected at least 1")
    return -math.expm1((depth - 1) * math.log1p(-(2.0**-width)))


def at_birth(
    factory: Factory,
    inputs: Inputs,
    *,
    networks: int = 100,
    slopes: Sequence[float] = SLOPES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> AtBirth:
    """Build a network many times with fresh seeds, and count what is born dead.

    A unit is dead if it is active at no position of any input and its slope there is 0. Networks run in training
    mode, so that BatchNorm normalises as it will when training begins, but with dropout off. The caller's random
    numbers are not disturbed.

    Args:
        factory: returns a fresh network. If it takes an argument it is given the activation, ``leaky_relu`` of the slope
            or ``relu`` for 0, as a :class:`leaky.Task`'s is. Else ReLU and LeakyReLU of the network are given the
            slope as it runs, and its weights stay as they were drawn: they are not scaled by the gain of the slope.
            Rectifiers of other forms stay as they are; a note names them.
        inputs: one batch, samples first; or a function that draws one for each network. Arrays become tensors as for
            :func:`leaky.check`.
        networks: how many to build.
        slopes: negative slopes, each tried on the same networks.
        seed: the networks' seeds are this and those that follow.
        progress: called with the number of networks done, and of all, after each.

    Raises:
        ValueError: there are no networks, slopes or inputs, the factory or its network fails, or it draws the same weights
            whatever the seed.
    """
    from leaky.torch.watch import watch

    if networks < 1:
        raise CheckError(f"networks: {networks}; expected at least 1")
    tallies = {real_slope(slope): _Tally() for slope in slopes}
    if not tallies:
        raise CheckError("slopes: none; expected at least one")
    takes_activation = _takes_activation(factory)
    first: list[torch.Tensor] = []
    with random_state_kept(), torch.no_grad():
        for number in range(networks):
            for slope, tally in tallies.items():
                seed_all((seed + number) % 2**32)  # the same network for each slope
                build = partial(_built, factory, slope if takes_activation else None)
                network = in_one_line("factory: it failed", build, CheckError)
                weights = list(network.parameters())
                if number == 1 and weights and _alike(weights, first):
                    raise CheckError(
                        "factory: it made the same weights twice; expected new ones each time, drawn without a seed of its own"
                    )
                first = first or [weight.clone() for weight in weights]
                x = _batch(inputs, network)
                with watch(network) as seen, nullcontext() if takes_activation else _Sloped(slope):
                    output = in_one_line("factory: its network failed", partial(network, x), CheckError)
                tally.add(seen.sites, output)
            if progress is not None:
                progress(number + 1, networks)
    births = tuple(tally.birth(slope) for slope, tally in tallies.items())
    return AtBirth(networks, len(x), births, _notes(tallies))


def _notes(tallies: dict[float, _Tally]) -> tuple[str, ...]:
    """Name the rectifiers that did not take the slopes."""
    others = dict.fromkeys(
        plain(f"{layer.site.name} ({layer.site.form})")
        for slope, tally in tallies.items()
        for layer in tally.layers.values()
        if not _took(layer.site, slope)
    )
    return (f"Not given these slopes, being no ReLU or LeakyReLU: {name_sites(list(others))}.",) if others else ()


def _took(site: Site, slope: float) -> bool:
    """Return whether a site has the slope, or is no rectifier."""
    flat = site.limits[0] == 0
    return site.slope == slope or (slope == 0 if flat else site.slope is None)


def _alike(these: Sequence[torch.Tensor], those: Sequence[torch.Tensor]) -> bool:
    return len(these) == len(those) and all(map(torch.equal, these, those))


def _takes_activation(factory: Factory) -> bool:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some classes written in C
        return False
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _built(factory: Callable[..., nn.Module], slope: float | None) -> nn.Module:
    """Return a fresh network, for an activation of this slope or as it is, set for training but for dropout."""
    if slope is None:
        network = factory()
    else:
        network = factory(Activation("leaky_relu", (slope,)) if slope else Activation("relu"))
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    return network


def _batch(inputs: Inputs, network: nn.Module) -> Tensor:
    """Return one batch of inputs."""
    drawn = in_one_line("inputs: they cannot be had", inputs, CheckError) if callable(inputs) else inputs
    values = drawn if isinstance(drawn, Tensor) else np.asarray(drawn)
    if not values.ndim or not len(values):
        raise CheckError(f"inputs: shape {tuple(values.shape)}; expected at least one sample")
    batch: Tensor = in_one_line("inputs: no numbers", partial(Feed(network).tensor, values), CheckError)
    return batch


class _Sloped(TorchDispatchMode):
    """Gives ReLU and LeakyReLU another negative slope while it is on."""

    def __init__(self, slope: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's is untyped
        self._slope = slope

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here; PyTorch would load its compiler to make sure

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func in _RECTIFIERS:
            relu, leaky = _RECTIFIERS[func]
            return leaky(args[0], self._slope) if self._slope else relu(args[0])
        return func(*args, **kwargs or {})


_aten = torch.ops.aten
_RECTIFIERS = {
    **dict.fromkeys((_aten.relu.default, _aten.leaky_relu.default), (_aten.relu, _aten.leaky_relu)),
    **dict.fromkeys((_aten.relu_.default, _aten.leaky_relu_.default), (_aten.relu_, _aten.leaky_relu_)),
}


@dataclass
class _Layer:
    """One site, network by network."""

    site: Site
    dead: list[int] = field(default_factory=list)
    mean_square: list[float] = field(default_factory=list)
    variance: list[float] = field(default_factory=list)


@dataclass
class _Tally:
    """The counts for one slope, network by network."""

    layers: dict[str, _Layer] = field(default_factory=dict)
    share: list[float] = field(default_factory=list)
    layer: list[bool] = field(default_factory=list)
    network: list[bool] = field(default_factory=list)

    def add(self, sites: dict[str, tuple[Site, Evidence]], output: Any) -> None:
        """Take in one network."""
        judged = {name: pair for name, pair in sites.items() if pair[0].judged}
        dead = {name: _dead(*pair) for name, pair in judged.items()}
        for name, (site, evidence) in judged.items():
            layer = self.layers.setdefault(name, _Layer(site))
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
