"""The initial weights of a network for the gains of its new activations.

He et al. (2015, eq. 14) give weights the variance gain² / fan_in, where a Leaky ReLU's gain is √(2 / (1 + slope²)): then
signals keep their size from layer to layer. With a slope in place of ReLU's 0, each rectifier puts out more, and depth
multiplies it. Here the layer before a rectifier is multiplied by the ratio of the gains, weights and biases alike, so
that the mean square of what the rectifier puts out is what it was, however the layer was initialised. Backwards the same
factor makes up for the larger derivative.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leaky.evidence import Site
from leaky.function import gain
from leaky.torch.watch import unwrapped
from leaky.torch.watch.names import cleaned
from leaky.torch.watch.origin import owner
from leaky.wording import counted, listing, plain

# Of the names of sites that a note lists.
_MOST_SHOWN = 3


@dataclass(frozen=True)
class Rescaled:
    """What became of the initial weights."""

    #: by the names of sites: path of the layer that was multiplied, and by what
    layers: dict[str, tuple[str, float]]
    #: of the sites whose layers were not, and why
    notes: tuple[str, ...]


def rescale(model: nn.Module, sites: Iterable[Site], slopes: Mapping[str, float]) -> Rescaled:
    """Multiply the initial weights of layers by the ratio of gains, new to old, of the rectifiers that they feed.

    That is done where a rectifier is fed one layer's output and nothing else. It is not done

    - after a normalisation, which sets the size of signals itself;
    - where the rectifier is fed a sum, such as that of a residual block: no single layer stands for it;
    - where the layer feeds an activation that stays, or two that change differently;
    - where its weights are another layer's too, unless that is multiplied by the same.

    Args:
        model: the network, which is changed.
        sites: all its sites as they were before, as :func:`leaky.torch.watch.watch` finds them on data.
        slopes: the new slopes, by the names of the sites that are converted.
    """
    root = unwrapped(model)
    modules = {cleaned(path): module for path, module in root.named_modules(remove_duplicate=False)}
    fed: dict[str, list[Site]] = defaultdict(list)
    for site in sites:
        if site.fed_by is not None:
            fed[site.fed_by].append(site)
    factors: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for path, group in fed.items():
        wanted = {site.name: _ratio(site, slopes[site.name]) for site in group if site.name in slopes}
        factor = next((ratio for ratio in wanted.values() if ratio != 1), 1.0)
        if factor == 1:
            continue  # nothing changes
        reason = _refusal(modules.get(path), group, wanted)
        if reason is None and factor is not None:
            factors[path] = factor
        elif reason is not None:
            reasons |= dict.fromkeys(wanted, reason)
    for path in _entangled(root, modules, factors):
        del factors[path]
        reasons |= {site.name: "the layer's weights are another layer's too" for site in fed[path]}
    _multiply(modules, factors)
    layers = {site.name: (path, factor) for path, factor in factors.items() for site in fed[path]}
    return Rescaled(layers, tuple(_notes(reasons)))


def _ratio(site: Site, slope: float) -> float | None:
    """Return by what the weights before a site are multiplied; None if the gain of what it was is not known."""
    match site.kind:
        case "relu" | "relu6":  # whose bound initial signals rarely reach
            old = gain(0.0)
        case "leaky_relu" | "prelu" | "rrelu":
            slopes = site.slope if isinstance(site.slope, tuple) else (site.slope or 0.0,)
            old = gain(math.sqrt(math.fsum(each * each for each in slopes) / len(slopes)))
        case _:
            return None
    return gain(slope) / old


def _refusal(layer: nn.Module | None, fed: list[Site], wanted: dict[str, float | None]) -> str | None:
    """Return why a layer stays as it is, for all that it feeds rectifiers that change."""
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor):
        return "what feeds it has no weights by that name"
    if weight.ndim < 2:
        return "a normalisation, or another layer that only scales, comes before it"
    if layer is None or _magnitude(layer) is None:
        return "the layer's weights are made of others, which set their size"
    if not any(site.alone for site in fed if site.name in wanted):
        return "it is not fed a layer's output alone, but a sum, or what was normalised since"
    if None in wanted.values():
        return "the gain of what it was is not known"
    if len(wanted) < len(fed) or len(set(wanted.values())) > 1:
        return "the layer feeds another activation too, which does not change like it"
    return None


def _magnitude(layer: nn.Module) -> nn.Parameter | None:
    """Return the parameter to multiply for the layer's weights to be multiplied, if there is one."""
    own = layer._parameters
    made = getattr(layer, "parametrizations", {})
    if "weight" in made:
        single = made["weight"]
        known = len(single) == 1 and type(single[0]).__name__ == "_WeightNorm"
        return single.original0 if known else None
    return own.get("weight") if "weight" in own else own.get("weight_g")


def _parameters(layer: nn.Module) -> list[nn.Parameter]:
    """Return what is multiplied: the weights, and the biases, or else these would count for more than they did."""
    bias: Any = layer._parameters.get("bias")
    return [each for each in (_magnitude(layer), bias) if each is not None]


def _entangled(model: nn.Module, modules: dict[str, nn.Module], factors: dict[str, float]) -> list[str]:
    """Return the layers that share weights with one that is not multiplied by the same."""
    by_layer = {modules[path]: factor for path, factor in factors.items()}
    shared: dict[int, set[float | None]] = defaultdict(set)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        shared[parameter.data_ptr()].add(by_layer.get(modules[owner(cleaned(name))]))
    return [path for path in factors if any(len(shared[each.data_ptr()]) > 1 for each in _parameters(modules[path]))]


def _multiply(modules: dict[str, nn.Module], factors: dict[str, float]) -> None:
    done: set[int] = set()
    with torch.no_grad():
        for path, factor in factors.items():
            for parameter in _parameters(modules[path]):
                if parameter.data_ptr() not in done:
                    done.add(parameter.data_ptr())
                    parameter.mul_(factor)


def _notes(reasons: dict[str, str]) -> Iterable[str]:
    """Yield a line for each reason, with the sites that it holds for."""
    for reason in dict.fromkeys(reasons.values()):
        names = [plain(name) for name, why in reasons.items() if why == reason]
        more = ["others"] if len(names) > _MOST_SHOWN else []
        shown = listing([*names[:_MOST_SHOWN], *more])
        yield f"Initial weights stay as they are before {counted(len(names), 'site')} ({shown}): {reason}."
