from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from leaky import Activation, Task
from leaky.trials.parts import Unsuited
from leaky.trials.suiting import exact, faster

ARMS = [Activation.parse(text) for text in ("relu", "leaky_relu(0.1)", "leaky_relu(0.3)", "prelu")]


def around(*layers: Callable[[Activation], nn.Module]) -> Callable[[Activation], nn.Module]:
    """Return a factory of networks with the activation, and what is given, between two layers."""
    return lambda a: nn.Sequential(nn.Linear(4, 8), *(layer(a) for layer in layers), a.module(), nn.Linear(8, 3))


class Depends(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Noisy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * random.random() if self.training else x


class Scaled(nn.Module):
    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.gain = activation.gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gain


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.double()


def doubled(activation: Activation) -> nn.Module:
    return nn.Sequential(Doubled(), *around()(activation)).double()


def apart(parameters: Any) -> torch.optim.Optimizer:
    every = list(parameters)
    slopes = [p for p in every if p.numel() == 1]
    groups = [{"params": [p for p in every if p.numel() > 1]}, *({"params": [p], "lr": 0.1} for p in slopes)]
    return torch.optim.SGD(groups, lr=0.2)


def halved(activation: Activation) -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), activation.module(), nn.ReLU() if activation.name == "prelu" else nn.Tanh(), nn.Linear(8, 3)
    )


def wider(activation: Activation) -> nn.Module:
    width = 8 if activation.name == "relu" else 9
    return nn.Sequential(nn.Linear(4, width), activation.module(), nn.Linear(width, 3))


class Called(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x)))


def called() -> nn.Module:
    return Called()


def hooked(model: nn.Module) -> nn.Module:
    next(model.parameters()).register_hook(lambda gradient: gradient.clamp(-1, 1))
    return model


def clipped(parameters: Any) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: None)
    return optimizer


def test_networks_whose_numbers_are_the_same(make_task: Callable[..., Task]) -> None:
    assert exact(make_task(), ARMS, size=5)
    assert exact(make_task(), [Activation("leaky_relu", (0.1,))], size=2)
    assert exact(make_task(optimizer="sgd", learning_rate=1e30), ARMS, size=3)  # they diverge, and are trained alone


@pytest.mark.parametrize("name", ["LayerNorm", "BatchNorm1d"])
def test_networks_whose_numbers_differ_by_rounding(name: str, make_task: Callable[..., Task]) -> None:
    assert not exact(make_task(model=around(lambda a: getattr(nn, name)(8))), ARMS, size=5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": around(lambda a: nn.Dropout())}, "it draws random numbers in training"),
        ({"model": around(lambda a: nn.RReLU())}, "one of its operations cannot be run for several networks"),
        ({"model": around(lambda a: Depends())}, "what it does depends on the values of its data"),
        ({"model": around(lambda a: Noisy())}, "as a cohort"),
        ({"model": around(Scaled)}, "as a cohort"),
        ({"model": halved}, "as a cohort"),
        ({"model": wider}, "not alike for all activations"),
        ({"model": lambda a: hooked(around()(a))}, "hooks on their gradients"),
        ({"model": doubled}, "not of float32"),
        ({"model": called}, "no modules, but calls"),
        ({"optimizer": lambda p: torch.optim.LBFGS(p)}, "LBFGS, is not known"),
        ({"model": around(lambda a: a.module()), "optimizer": apart}, "slopes in several groups"),
        ({"optimizer": clipped}, "hooks on its steps"),
        ({"optimizer": lambda p: torch.optim.SGD(list(p)[:2], lr=0.1)}, "not given to the optimiser"),
    ],
)
def test_why_others_do_not(changes: dict[str, Any], reason: str, make_task: Callable[..., Task]) -> None:
    with pytest.raises(Unsuited) as caught:
        exact(make_task(**changes), ARMS if changes != {"model": called} else ARMS[:3], size=3)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_many_small_networks_are_faster_together(make_task: Callable[..., Task]) -> None:
    assert faster(make_task(), [(arm, seed) for arm in ARMS[:2] for seed in range(8)]) > 1.2
    with pytest.raises(Unsuited, match="it draws random numbers"):
        faster(make_task(model=around(lambda a: nn.Dropout())), [(ARMS[0], 0), (ARMS[1], 0)])
