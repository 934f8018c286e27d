"""Before training: how likely a network is to be born with dead units, by building it many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from leaky.checkup.birth.counting import Tally
from leaky.checkup.birth.networks import Factory, Sloped, built, takes_activation
from leaky.checkup.birth.result import AtBirth
from leaky.checkup.finding import name_sites
from leaky.evidence import Site
from leaky.function import real_slope
from leaky.inputs.arguments import several, whole_number
from leaky.inputs.errors import InputError
from leaky.inputs.feeding import Feed
from leaky.torch.randomness import random_state_kept, seed_all
from leaky.torch.watch import watch
from leaky.user_code import in_one_line
from leaky.wording import plain, shown

#: inputs, samples first, or a function that draws them
Inputs = ArrayLike | Tensor | Callable[[], ArrayLike | Tensor]

SLOPES = (0.0, 0.01, 0.1, 0.2)


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
        TypeError: ``factory`` is no function, ``networks`` no whole number, or ``slopes`` no list of numbers.
    """
    if not callable(factory):
        raise TypeError(f"factory: {shown(factory)}; expected a function that makes a network")
    networks = whole_number("networks", networks)
    tallies = {_slope(slope): Tally() for slope in several("slopes", slopes, "a list of numbers")}
    if not tallies:
        raise InputError("slopes: none; expected at least one")
    gives_activation = takes_activation(factory)
    first: list[torch.Tensor] = []
    with random_state_kept(), torch.no_grad():
        for number in range(networks):
            for slope, tally in tallies.items():
                seed_all((seed + number) % 2**32)  # the same network for each slope
                build = partial(built, factory, slope if gives_activation else None)
                network = in_one_line("factory: it failed", build, InputError)
                weights = list(network.parameters())
                if number == 1 and weights and _alike(weights, first):
                    raise InputError(
                        "factory: it made the same weights twice; expected new ones each time, drawn without a seed of its own"
                    )
                first = first or [weight.clone() for weight in weights]
                x = _batch(inputs, network)
                with watch(network) as seen, nullcontext() if gives_activation else Sloped(slope):
                    output = in_one_line("factory: its network failed", partial(network, x), InputError)
                tally.add(seen.sites, output)
            if progress is not None:
                progress(number + 1, networks)
    births = tuple(tally.birth(slope) for slope, tally in tallies.items())
    return AtBirth(networks, len(x), births, _notes(tallies))


def _slope(given: Any) -> float:
    """Return a slope; what is wrong with it is wrong with the slopes."""
    try:
        return real_slope(given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"slopes: {shown(given)} is among them; expected real numbers") from None


def _notes(tallies: dict[float, Tally]) -> tuple[str, ...]:
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


def _batch(inputs: Inputs, network: nn.Module) -> Tensor:
    """Return one batch of inputs."""
    drawn = in_one_line("inputs: they cannot be had", inputs, InputError) if callable(inputs) else inputs
    values = drawn if isinstance(drawn, Tensor) else np.asarray(drawn)
    if not values.ndim or not len(values):
        raise InputError(f"inputs: shape {tuple(values.shape)}; expected at least one sample")
    batch: Tensor = in_one_line("inputs: no numbers", partial(Feed(network).tensor, values), InputError)
    return batch
