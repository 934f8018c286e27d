"""Why units are silent, gradients vanish and activations explode, as far as the numbers show it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from leaky.checkup.finding import Cause, name_sites
from leaky.checkup.seen import Bools, Layer, Seen
from leaky.evidence import Floats, Slope
from leaky.wording import number

if TYPE_CHECKING:
    from leaky.checkup.result import Check

UNTOLD = "not told by these numbers"

# How far from 1 a layer's gain is before it counts as a cause: over ten layers the signal then changes 50-fold.
GAIN = 1.5


def of_silence(seen: Seen, units: Bools, check: Check) -> tuple[Cause, ...]:
    """Return why units are silent: each unit with the first cause that its numbers show."""
    causes, left = [], units.copy()
    for name, concerned, text in _silencers(seen, check):
        here = left & concerned
        if here.any():
            causes.append(Cause(name, tuple(np.flatnonzero(here).tolist()), text(here) if callable(text) else text))
            left &= ~here
    return tuple(causes)


def _silencers(seen: Seen, check: Check) -> Iterator[tuple[str, Bools, str | Callable[[Bools], str]]]:
    """Yield the causes from the plainest to none at all, each with the units whose numbers show it."""
    e, layer = seen.evidence, seen.layer
    if layer is not None:
        yield "zero weights", layer.norm == 0, "its weights are all 0, so that it is its bias alone"
    still = (e.smallest == e.largest) & (e.samples > 1) & (e.nonfinite == 0)
    yield "nothing reaches it", still, _upstream(seen, check)
    largest, mean = e.largest - seen.limit, e.mean - seen.limit
    if layer is not None and layer.bias is not None:
        bias = layer.bias
        # Two things to ask: would the unit have been active without it, and is it at least half of what holds it down?
        yield "bias too low", _holds_down(bias, largest, mean), lambda units: _bias(units, bias, e.mean, e.spread)
    if (pull := _pull(seen, check)) is not None:
        yield "inputs not normalised", _holds_down(pull, largest, mean), _inputs(check)
    if layer is not None and layer.bias is not None and "BatchNorm" in layer.kind:
        # Normalised by their own statistics, pre-activations would spread by its weight about its bias.
        text = "the running statistics of the normalisation before it are not those of these data: by them it would be active"
        yield "normalisation does not fit", layer.bias > -2 * layer.norm, text
    if not check.trained:
        yield "initialisation", np.ones_like(still), "initialisation: drawn so, before any training"
    if layer is not None:
        alone = largest - (0.0 if layer.bias is None else layer.bias)
        text = "its weights turn away from every input seen: with a bias of 0 it would be silent too"
        yield "weights", alone <= 0, text
    yield "not told", np.ones_like(still), UNTOLD


def _holds_down(part: Floats, largest: Floats, mean: Floats) -> Bools:
    """Return where a part of the pre-activation is what keeps it from ever being active."""
    return np.asarray((part < 0) & (largest - part > 0) & (part <= mean / 2))


def _bias(units: Bools, bias: Floats, mean: Floats, spread: Floats) -> str:
    away = np.abs(mean[units]) / np.where(spread[units] > 0, spread[units], np.nan)
    span = " to ".join(dict.fromkeys(number(float(end)) for end in (bias[units].min(), bias[units].max())))
    far = f"; its mean lies {number(float(np.nanmin(away)))} or more spreads below 0" if np.isfinite(away).any() else ""
    return f"bias too low for the weights ({span}): without it, it would have been active{far}"


def _upstream(seen: Seen, check: Check) -> str:
    """Say that a unit does not change, and which dead site lies before it."""
    text = "nothing reaches it: its pre-activation is the same for every sample"
    names = list(check.judged)
    before = names[: names.index(seen.site.name)] if seen.site.name in names else []
    dead = [name for name in before if check.judged[name].dead.all()]
    return f"{text}, all units of {dead[-1]} before it being dead" if dead else text


def _pull(seen: Seen, check: Check) -> Floats | None:
    """Return what the mean of the network's inputs adds to each unit of the first site; None if that is not told."""
    layer, inputs = seen.layer, check.inputs
    if layer is None or layer.by_input is None or inputs is None:
        return None
    pull = np.asarray(layer.by_input @ inputs.mean)
    rest = seen.evidence.mean - pull - (0.0 if layer.bias is None else layer.bias)
    # It is the mean itself if the layer is linear in the inputs as they come. Padding and the like leave a little.
    return np.where(np.abs(rest) <= 0.25 * np.abs(pull), pull, np.nan)


def _inputs(check: Check) -> str:
    assert check.inputs is not None
    centre, spread = check.inputs.mean, check.inputs.spread
    worst = int(np.argmax(np.abs(centre) / np.maximum(spread, 1e-12)))
    return (
        f"inputs not normalised (means up to {number(float(centre[worst]))}, spread {number(float(spread[worst]))}): "
        "with their mean taken off, it would have been active"
    )


def of_vanishing(check: Check) -> tuple[Cause, ...]:
    """Return why the gradient vanishes."""
    dead = [name for name, seen in check.judged.items() if seen.dead.all()]
    if dead:
        return (Cause("dead layer", (), f"no gradient gets through {name_sites(dead)}, where all units are dead"),)
    flat = [name for name, seen in check.judged.items() if seen.saturates]
    if len(flat) * 2 > len(check.judged):
        text = (
            f"{name_sites(flat)} flatten on both sides: each passes a part of the gradient only (sigmoid at most 1/4)"
        )
        return (Cause("saturating activations", (), text),)
    small = {name: gain for name, gain in _gains(check).items() if gain * GAIN < 1}
    if small:
        text = f"weights too small for the depth before {name_sites(list(small))}: a gain down to {number(min(small.values()))} (He et al. 2015), where 1 keeps the scale"
        return (Cause("weights too small", (), text),)
    return (Cause("not told", (), UNTOLD),)


def of_growth(check: Check) -> tuple[Cause, ...]:
    """Return why activations or gradients grow."""
    large = {name: gain for name, gain in _gains(check).items() if gain > GAIN}
    if large:
        text = f"weights too large for the depth before {name_sites(list(large))}: a gain up to {number(max(large.values()))} (He et al. 2015), where 1 keeps the scale"
        return (Cause("weights too large", (), text),)
    return (Cause("not told", (), UNTOLD),)


def _gains(check: Check) -> dict[str, float]:
    """Return by how much each site's layer multiplies the scale of a signal that a rectifier has halved."""
    gains = {name: _gain(seen.layer, seen.site.slope) for name, seen in check.judged.items() if seen.layer is not None}
    return {name: gain for name, gain in gains.items() if gain is not None}


def _gain(layer: Layer, slope: Slope) -> float | None:
    if layer.inputs < 2:  # a normalisation's scale
        return None
    passed = (1 + float(np.mean(np.square(0.0 if slope is None else slope)))) / 2
    gain = math.sqrt(float(np.mean(np.square(layer.norm))) * passed)
    return gain if math.isfinite(gain) else None


def of_nonfinite(seen: Seen, check: Check) -> str:
    """Return where the first numbers that are none come from."""
    if check.inputs is not None and check.inputs.nonfinite.any():
        return "the inputs hold NaN or infinite numbers"
    layer = seen.layer
    if layer is not None and not (
        np.isfinite(layer.norm).all() and (layer.bias is None or np.isfinite(layer.bias).all())
    ):
        return "weights or biases of the layer before it are NaN or infinite"
    if check.inputs is None:
        return f"they arise before this site, or are in the data; {UNTOLD}"
    return f"the inputs are finite, so they arise before this site; {UNTOLD}"
