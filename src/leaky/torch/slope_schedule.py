"""A warm leak: negative slopes that are 0 at first, and raised while a network is fine-tuned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from leaky.function import real_slope
from leaky.torch import LeakyReLU
from leaky.torch.slopes import slopes_of
from leaky.torch.watch import unwrapped

_SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "cosine": lambda t: (1 - math.cos(math.pi * t)) / 2,
}


class SlopeSchedule:
    """Raises the negative slopes of a network while it trains, so that it can get used to them.

    ::

        schedule = leaky.torch.SlopeSchedule(model, to=0.1, steps=1000)
        for x, y in batches:
            ...
            optimizer.step()
            schedule.step()

    With ``start=0`` the network computes at first what it did with ReLU. All its Leaky ReLUs have the same slope from
    the beginning on: modules, and calls that were converted. PReLU's slopes are learned, and stay as they are.

    A model that is compiled is so three times at most: for the first slope, for those on the way, and for the last. (A
    module that is a plain ``torch.nn.LeakyReLU`` becomes a :class:`leaky.torch.LeakyReLU` for that, which computes the
    same. Your own subclasses do not: they are compiled anew for each slope, until TorchDynamo gives up.) In distributed
    training each process has its own schedule.

    Args:
        model: the network, or what torch.compile, DataParallel or DistributedDataParallel made of it.
        to: the slope at the end.
        steps: of the optimiser, in which the slope goes from ``start`` to ``to``.
        start: the slope at first.
        warmup: steps before that, in which it stays at ``start``.
        shape: ``"linear"``, or ``"cosine"``, which begins and ends gently.

    Raises:
        TypeError: ``model`` is no torch.nn.Module, or a slope is no real number.
        ValueError: the model has no Leaky ReLU, a slope is NaN, or one of the others is not what it should be.
    """

    def __init__(
        self,
        model: nn.Module,
        to: float = 0.1,
        *,
        steps: int,
        start: float = 0.0,
        warmup: int = 0,
        shape: str = "linear",
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model: {type(model).__name__}; expected a torch.nn.Module")
        if shape not in _SHAPES:
            raise ValueError(f"shape: {shape!r}; expected linear or cosine")
        self.to, self.start = real_slope(to), real_slope(start)
        self.steps, self.warmup = _whole("steps", steps, 1), _whole("warmup", warmup, 0)
        self.shape = shape
        #: how many steps have been made
        self.done = 0
        # Any: modules declare that all they hold are tensors and modules.
        self._modules: list[Any] = [module for module in unwrapped(model).modules() if slopes_of(module) is not None]
        if not self._modules:
            raise ValueError("model: has no Leaky ReLU; expected a network that leaky.convert has made, or one like it")
        self._set()

    @property
    def slope(self) -> float:
        """The slope after so many steps."""
        t = min(max(self.done - self.warmup, 0) / self.steps, 1)
        return self.to if t == 1 else self.start + (self.to - self.start) * _SHAPES[self.shape](t)

    @property
    def finished(self) -> bool:
        """Whether the slope is what it should come to."""
        return self.done >= self.warmup + self.steps

    def step(self, done: int | None = None) -> None:
        """Go on by a step of the optimiser; or to where so many steps have been made.

        Raises:
            ValueError: ``done`` is no whole number of at least 0.
        """
        before, self.done = self.done, self.done + 1 if done is None else _whole("done", done, 0)
        if min(before, self.done) < self.warmup + self.steps:  # after it the slopes are left alone
            self._set()

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule is, and its settings, to be saved with the weights."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another schedule was, with its settings."""
        vars(self).update({name: state_dict[name] for name in self.state_dict()})
        self._set()

    def __repr__(self) -> str:
        return (
            f"<leaky.torch.SlopeSchedule: slope {self.slope:.3g} after {self.done} steps; from {self.start:g} to {self.to:g} "
            f"in {self.steps} after {self.warmup}, {self.shape}>"
        )

    def _set(self) -> None:
        for module in self._modules:
            if type(module) is nn.LeakyReLU:
                module.__class__ = LeakyReLU
            if hasattr(module, "leaky_slopes"):
                module.leaky_slopes[:] = [self.slope] * len(module.leaky_slopes)
            else:
                module.negative_slope = self.slope
            module.leaky_warming = not self.finished


def _whole(name: str, value: int, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}: {value!r}; expected a whole number of at least {least}")
    return value
