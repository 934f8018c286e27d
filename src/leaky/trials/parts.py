"""What a network and its optimiser are made of, for those that are to be stacked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leaky.trials.making import Made
from leaky.trials.task import Task

# What these do to a number depends on its own gradients alone, so that networks side by side in one tensor do not meet.
_ELEMENTWISE = {
    getattr(torch.optim, name)
    for name in ["ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"]
}

#: names of the activations that differ in their slope alone
SLOPED = ("relu", "leaky_relu", "prelu")

#: of an optimiser, for one group of parameters
Settings = dict[str, Any]


class Unsuited(ValueError):  # noqa: N818 - a finding, and no fault
    """Networks that cannot be stacked; the text says why not."""


@dataclass(frozen=True)
class Parts:
    """What one network and its optimiser are made of."""

    #: the activations that were made for its arm
    arms: list[nn.Module]
    #: the slope of each
    slopes: list[float]
    #: kind of its optimiser
    optimizer: Callable[[list[Settings]], torch.optim.Optimizer]
    #: the optimiser's groups without PReLU's slopes: settings, and names of parameters
    groups: list[tuple[Settings, list[str]]]
    #: settings of the group that PReLU's slopes are in; empty if there are none
    learned: Settings
    #: names, shapes and types of all that a network holds, but for PReLU's slopes
    shape: list[Any]

    @classmethod
    def of(cls, task: Task, made: Made) -> Parts:
        """Look into a network.

        Raises:
            Unsuited: it holds what cannot be stacked with others.
        """
        model, arms = made.model, _arms(made)
        weights = {module.weight for module in arms.values() if isinstance(module, nn.PReLU)}
        if weights and len(weights) < len(arms):
            raise Unsuited("some of its activations learn their slopes, and others do not")
        optimizer = task.make_optimizer(model)
        groups, learned = _groups(optimizer, model, weights)
        tensors: list[tuple[str, Tensor]] = [*model.named_parameters(), *model.named_buffers()]
        return cls(
            arms=list(arms.values()),
            slopes=[_slope(module) for module in arms.values()],
            optimizer=type(optimizer),
            groups=groups,
            learned=learned,
            shape=[*arms, *((name, t.shape, t.dtype, t.requires_grad) for name, t in tensors if t not in weights)],
        )

    def like(self, other: Parts) -> bool:
        """Say whether two networks can be stacked."""
        mine, theirs = ((parts.optimizer, parts.groups, parts.shape) for parts in (self, other))
        return mine == theirs and (not self.learned or not other.learned or self.learned == other.learned)


def _arms(made: Made) -> dict[str, nn.Module]:
    """Return the activations that differ from arm to arm, by name."""
    modules = dict(made.model.named_modules())
    if not made.sites:
        return {name: module for name, module in modules.items() if hasattr(module, "leaky_activation")}
    names = [re.sub(r"\[\d+\]$", "", site) for site in made.sites]
    if not set(names) <= set(modules):
        raise Unsuited("some of the ReLUs that are converted are no modules, but calls")
    return {name: modules[name] for name in names}


def _slope(module: nn.Module) -> float:
    if isinstance(module, nn.ReLU):
        return 0.0
    if isinstance(module, nn.LeakyReLU):
        return float(module.negative_slope)
    if isinstance(module, nn.PReLU) and module.weight.numel() == 1:
        return module.weight.item()
    raise Unsuited(f"{type(module).__name__} is neither ReLU, Leaky ReLU nor PReLU")


def _groups(
    optimizer: torch.optim.Optimizer, model: nn.Module, weights: set[nn.Parameter]
) -> tuple[list[tuple[Settings, list[str]]], Settings]:
    """Return the optimiser's groups without PReLU's weights, and the settings of the group that these are in."""
    kind = type(optimizer).__name__
    if type(optimizer) not in _ELEMENTWISE:
        raise Unsuited(f"the optimiser, {kind}, is not known to treat each number by itself")
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        raise Unsuited(f"the optimiser, {kind}, has hooks on its steps")
    names = {p: name for name, p in model.named_parameters() if p.requires_grad}
    if any(p.dtype != torch.float32 for p in names):
        raise Unsuited("some of its parameters are not of float32")
    if any(p._backward_hooks or p._post_accumulate_grad_hooks for p in names):
        raise Unsuited("some of its parameters have hooks on their gradients")
    groups: list[tuple[Settings, list[str]]] = []
    learned: list[Settings] = []
    for group in optimizer.param_groups:
        settings = {key: value for key, value in group.items() if key not in ("params", "param_names")}
        trained = {p: names.pop(p) for p in group["params"] if p.requires_grad}
        if own := [name for p, name in trained.items() if p not in weights]:
            groups.append((settings, own))
        if len(own) < len(trained):
            learned.append(settings)
    if names:
        raise Unsuited("some of its parameters are not given to the optimiser")
    if len(learned) > 1:
        raise Unsuited("the optimiser has PReLU's slopes in several groups")
    return groups, (learned or [{}])[0]
