"""Fresh networks of a factory, each with the negative slope that it is tried with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from leaky.activation import Activation

#: makes a fresh network, for a given activation or as it is
Factory = Callable[[Activation], nn.Module] | Callable[[], nn.Module]


def takes_activation(factory: Factory) -> bool:
    """Say whether a factory must be given something, which then is the activation."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some classes written in C
        return False
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def built(factory: Callable[..., nn.Module], slope: float | None) -> nn.Module:
    """Return a fresh network, for an activation of this slope or as it is, set for training but for dropout."""
    if slope is None:
        network = factory()
    else:
        network = factory(Activation("leaky_relu", (slope,)) if slope else Activation("relu"))
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    return network


class Sloped(TorchDispatchMode):
    """Gives ReLU and LeakyReLU another negative slope while it is on."""

    def __init__(self, slope: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's is untyped
        self._slope = slope

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here; PyTorch would load its compiler to make sure

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func in _RECTIFIERS:
            relu, leaky = _RECTIFIERS[func]
            return leaky(args[0], self._slope) if self._slope else relu(args[0])
        return func(*args, **kwargs or {})


_aten = torch.ops.aten
_RECTIFIERS = {
    **dict.fromkeys((_aten.relu.default, _aten.leaky_relu.default), (_aten.relu, _aten.leaky_relu)),
    **dict.fromkeys((_aten.relu_.default, _aten.leaky_relu_.default), (_aten.relu_, _aten.leaky_relu_)),
}
