"""The network of an arm: as the task's factory makes it, or, if that says ReLU in its own way, converted."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from leaky.activation import Activation
from leaky.conversion import Conversion, Left, convert
from leaky.conversion.selection import KINDS
from leaky.torch.randomness import random_state_kept
from leaky.torch.slopes import by_path, slopes_of
from leaky.torch.watch import undisturbed, watch
from leaky.trials.task import Task, TaskError
from leaky.wording import counted

# Samples on which it is seen what feeds what.
_SAMPLES = 32


class ArmError(TaskError):
    """A network that says ReLU in its own way, and cannot be had with another activation."""


@dataclass(frozen=True)
class Made:
    """A fresh network."""

    model: nn.Module
    #: names of the sites that were converted, as they are called in this network; none if its factory took the activation
    sites: tuple[str, ...] = ()
    #: of those of the user's rectifiers that are the same in every arm, why
    left: tuple[Left, ...] = ()
    #: modules that hold the arm's slopes, by path, if it is Leaky ReLU
    leaks: dict[str, nn.Module] = field(default_factory=dict)

    def places(self) -> list[str]:
        """Return what has a slope, by the module's path and, where that makes several calls, the number of the call."""
        counts = {
            path: len(calls) for path, module in self.leaks.items() if isinstance(calls := slopes_of(module), list)
        }
        return [
            f"{path}, call {number}".removeprefix(", ") if path in counts else path
            for path in self.leaks
            for number in range(1, counts.get(path, 1) + 1)
        ]

    def deal(self, slopes: Sequence[float]) -> None:
        """Give each place its own slope."""
        rest = iter(slopes)
        module: Any  # modules declare that all they hold are tensors and modules
        for module in self.leaks.values():
            if isinstance(calls := slopes_of(module), list):
                module.leaky_slopes[:] = [next(rest) for _ in calls]
            else:
                module.negative_slope = next(rest)


def make(task: Task, activation: Activation) -> Made:
    """Return the task's network for an activation.

    If the factory takes none, the network is converted at each of its ReLUs, and its initial weights are rescaled for the
    gain; with ReLU it is as the factory made it. Its other activations are the same in every arm.

    Raises:
        ArmError: the network cannot be converted to this activation, or has not one site for each of its slopes.
        TaskError: the factory makes something else than a network, or one without a ReLU.
    """
    one = activation.typical
    model = task.model(one) if takes_activation(task) else task.model()  # type: ignore[call-arg]  # as looked up
    if not isinstance(model, nn.Module):
        raise TaskError(f"task: the model factory returned {type(model).__name__}; expected a torch.nn.Module")
    made = Made(model, leaks=_leaks(model)) if takes_activation(task) else _converted(model, one, task)
    if one is not activation:
        if (places := len(made.places())) != len(activation.parameters):
            raise ArmError(f"task: {activation}; the network has {counted(places, 'site')}, expected a slope for each")
        made.deal(activation.parameters)
    return made


def _leaks(model: nn.Module) -> dict[str, nn.Module]:
    marked = {path: module for path, module in model.named_modules() if hasattr(module, "leaky_activation")}
    return {path: module for path, module in marked.items() if slopes_of(module) is not None}


def takes_activation(task: Task) -> bool:
    """Say whether the factory is to be handed the activation: all but those without any parameter."""
    try:
        return bool(inspect.signature(task.model).parameters)
    except (TypeError, ValueError):  # of some built-in things it is not known
        return True


def suits(task: Task, activation: Activation) -> bool:
    """Say whether the task's network can be had with an activation."""
    try:
        with random_state_kept():
            make(task, activation)
    except ArmError:
        return False
    return True


def places(task: Task) -> list[str]:
    """Return what can have a Leaky ReLU's slope of its own, in the order in which an activation names their slopes."""
    with random_state_kept():
        return make(task, Activation("leaky_relu")).places()


def _converted(model: nn.Module, activation: Activation, task: Task) -> Made:
    if activation.name not in ("relu", "leaky_relu", "prelu"):
        raise ArmError(
            f"task: the model factory takes no activation, so its ReLUs are converted; {activation}: expected relu, "
            "leaky_relu or prelu, or a factory that takes the activation"
        )
    x = task.tensors("train")[0][:_SAMPLES]
    leaky = _convert(model, "leaky_relu", activation, x)
    if not leaky.changes:
        raise TaskError(
            "task: the network has no ReLU that can be converted; expected one, or a factory that takes the activation"
        )
    left = tuple(each for each in leaky.left if not each.reason.startswith(("only when asked", "no activation")))
    if activation.name == "relu":
        return Made(model, tuple(change.site for change in leaky.changes), left)
    made = _convert(model, "prelu", activation, x) if activation.name == "prelu" else leaky
    changed = {change.site for change in made.changes}
    for change in leaky.changes:
        if change.site not in changed:
            reason = next(each.reason for each in made.left if each.site == change.site)
            raise ArmError(f"task: {activation} cannot stand at {change.site}: {reason}")
    _mark_learned(model, made.model, str(activation))
    own = set(by_path(model))
    leaks = {path: each for path, each in made.model.named_modules() if path not in own and slopes_of(each) is not None}
    return Made(made.model, _renamed(model, made.model, changed, x), left, leaks)


def _convert(model: nn.Module, to: str, activation: Activation, x: torch.Tensor) -> Conversion:
    slope = activation.parameters[0] if activation.parameters else 0.0
    return convert(model, slope, to=to, kinds="relu", data=x, trained=False)  # type: ignore[arg-type]  # one of them


def _renamed(before: nn.Module, after: nn.Module, changed: set[str], x: torch.Tensor) -> tuple[str, ...]:
    """Return what sites are called in the converted network, where a call has another name: by their order in a pass."""
    (old, new) = (_rectifiers(model, x) for model in (before, after))
    return tuple(there for here, there in zip(old, new, strict=True) if here in changed)


def _rectifiers(model: nn.Module, x: torch.Tensor) -> list[str]:
    with undisturbed(model), torch.no_grad(), watch(model) as seen:
        model(x)
    return [name for name, (site, _) in seen.sites.items() if site.kind in KINDS]


def _mark_learned(before: nn.Module, after: nn.Module, activation: str) -> None:
    """Mark the PReLUs that were none before as this arm's, as ``Activation.module`` does."""
    old = dict(before.named_modules())
    for path, module in after.named_modules():
        if isinstance(module, nn.PReLU) and not isinstance(old.get(path), nn.PReLU):
            module.leaky_activation = activation  # type: ignore[assignment]  # modules declare tensors and modules
