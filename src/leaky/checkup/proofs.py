"""Which units are dead for every input in a range, by bounds on every operation."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from leaky.checkup.seen import Bools, Seen
from leaky.torch.bounds import follow, ranged
from leaky.torch.watch import undisturbed, watch


def prove(
    model: nn.Module, shape: tuple[int, ...], dtype: torch.dtype, span: tuple[float, float], argument: str | None
) -> tuple[dict[str, Bools], str]:
    """Return for each site which of its units are never active, and why bounds went no further, if so.

    Args:
        model: takes one floating tensor.
        shape: of one sample.
        dtype: of the tensor.
        span: the lowest and the highest number in it.
        argument: its name, if it is not the first of the model's arguments.
    """
    low, high = (torch.full((1, *shape), end, dtype=torch.float64) for end in span)
    x = ranged(low, high, dtype)
    with undisturbed(model), watch(model) as seen:
        stopped = follow(model, **{argument: x}) if argument else follow(model, x)
    return {name: _never(Seen(site, evidence)) for name, (site, evidence) in seen.sites.items()}, stopped


def _never(bounded: Seen) -> Bools:
    """Return the units whose upper bounds are at or below the limit; the evidence on a range is of its upper bounds."""
    return np.asarray(bounded.silent & (bounded.evidence.nonfinite == 0))
