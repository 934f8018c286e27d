"""What an optimiser remembers of weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from leaky.torch.reviving.parts import Part


@torch.no_grad()
def forget(optimizer: torch.optim.Optimizer | None, parts: Iterable[Part]) -> list[str]:
    """Make an optimiser's state and the gradients of some weights what they are before the first step.

    Whatever has the shape of a parameter becomes 0 there (averages of gradients and of their squares, momentum), but
    for the step sizes of ``Rprop``, which become the learning rate, and the averaged weights of ``ASGD``, which become
    the weights. The count of steps stays: it is the whole parameter's.

    Returns:
        Names of what was left, being of another shape.
    """
    rates = {p: group["lr"] for group in (optimizer.param_groups if optimizer else ()) for p in group["params"]}
    kept: dict[str, None] = {}
    for part in parts:
        owner = part.view.owner
        if owner.grad is not None and _alike(owner.grad, owner):
            part.within(owner.grad).zero_()
        state: dict[str, Any] = optimizer.state.get(owner, {}) if optimizer else {}
        for name, value in state.items():
            if not isinstance(value, Tensor) or value.numel() == 1:
                continue
            if not _alike(value, owner):
                kept[f"{name} of {part.view.name}"] = None
                continue
            numbers = part.within(value)
            match name:
                case "step_size":
                    numbers.fill_(rates[owner])
                case "ax":
                    numbers.copy_(part.numbers)
                case _:
                    numbers.zero_()
    return list(kept)


def _alike(tensor: Tensor, owner: Tensor) -> bool:
    return tensor.shape == owner.shape and tensor.stride() == owner.stride()
