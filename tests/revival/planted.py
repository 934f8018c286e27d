"""Networks with units planted dead, and whether they compute the same as before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import leaky
from leaky.checkup import Check


class Net(nn.Module):
    """A network whose forward pass is a function of its layers and the input."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.rule = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.rule(self, x)


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


VECTORS, IMAGES, SIGNALS, SEQUENCES = (40, 6), (10, 4, 9, 9), (10, 4, 16), (10, 5, 6)


def kill(layer: nn.Module, *units: int) -> None:
    with torch.no_grad():
        layer.bias[list(units)] = -1000.0


@dataclass
class Planted:
    model: nn.Module
    x: Tensor
    check: Check
    before: Tensor

    def same(self) -> bool:
        return self.bits(self.model.eval()(self.x)).equal(self.bits(self.before))

    @staticmethod
    def bits(x: Tensor) -> Tensor:
        return x.detach().contiguous().view(torch.uint8)


def planted(build: Callable[[], nn.Module], shape: tuple[int, ...], *killed: str) -> Planted:
    torch.manual_seed(1)
    model = build()
    for path in killed:
        kill(model.get_submodule(path), 1, 2)
    x = torch.randn(shape).to(next(model.parameters()).dtype)
    return Planted(model, x, leaky.check(model, x), model.eval()(x).detach())


def network(*, dead: tuple[int, ...] = (1, 2)) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        net[0].bias[list(dead)] = -1000.0
    return net


def inputs(samples: int = 50) -> Tensor:
    return torch.randn(samples, 6, generator=torch.Generator().manual_seed(3))


def bits(x: Tensor) -> Tensor:
    return x.detach().contiguous().reshape(-1).view(torch.uint8)


def state_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def same_state(net: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(bits(value).equal(bits(state[name])) for name, value in net.state_dict().items())
