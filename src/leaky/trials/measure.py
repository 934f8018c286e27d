"""What is measured of a network in training: scores, dead units, zeros, activations and gradients, over whole data sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from leaky.trials.record import Epoch, finite
from leaky.trials.task import Task

#: inputs and targets
Data = tuple[torch.Tensor, torch.Tensor]

# Samples in one forward pass of a measurement: large enough to be fast, small enough for any memory.
_CHUNK = 1024

# Layers whose output has its units on axis 1; after any other layer they are on the last axis.
_CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
)


@dataclass
class _Site:
    """The running evidence on one call of an activation."""

    name: str
    axis: int
    active: torch.Tensor
    zeros: int = 0
    outputs: int = 0
    largest: float = 0.0

    def add(self, before: torch.Tensor, after: torch.Tensor) -> None:
        others = [a for a in range(before.ndim) if a != self.axis % before.ndim]
        self.active |= (before > 0).any(dim=others) if others else before > 0
        self.zeros += int((after == 0).sum())
        self.outputs += after.numel()
        self.largest = max(self.largest, float(after.abs().max()))


@dataclass
class Probe:
    """Watches the activation sites and weight layers of a network while ``watching`` is entered.

    A site is a call of a module made by ``Activation.module``; a second call of the same module in one forward pass
    is a second site, named ``name[1]``.
    """

    model: nn.Module
    sites: dict[str, _Site] = field(default_factory=dict)
    #: the weights of linear and convolution layers, in the order in which they ran
    layers: dict[str, nn.Parameter] = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)
    _axis: int = -1

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Attach the hooks; take them all off at the end, whatever happens."""
        self.sites, self.layers = {}, {}
        handles = [self.model.register_forward_pre_hook(lambda *_: self._calls.clear())]
        try:
            for name, module in self.model.named_modules():
                if hasattr(module, "leaky_activation"):
                    handles.append(module.register_forward_hook(self._site_hook(name)))
                elif any(True for _ in module.parameters(recurse=False)):
                    handles.append(module.register_forward_hook(self._layer_hook(name)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _site_hook(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            call = self._calls[name] = self._calls.get(name, -1) + 1
            site_name = f"{name}[{call}]" if call else name
            before, after = inputs[0].detach(), output.detach()
            if site_name not in self.sites:
                axis = self._axis if before.ndim > 1 else 0
                self.sites[site_name] = _Site(site_name, axis, torch.zeros(before.shape[axis], dtype=torch.bool))
            self.sites[site_name].add(before, after)

        return hook

    def _layer_hook(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            self._axis = 1 if isinstance(module, _CHANNELS_FIRST) else -1
            weight = getattr(module, "weight", None)
            if isinstance(weight, nn.Parameter) and weight.ndim > 1:
                self.layers[name] = weight

        return hook


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode, and each back as it was."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, flag in flags:
            module.training = flag


def measure(task: Task, model: nn.Module, probe: Probe, train: Data, test: Data) -> Epoch:
    """Return the network's state over the whole training and test sets. Gradients are cleared afterwards."""
    with evaluating(model):
        with probe.watching():
            model.zero_grad()
            train_loss, train_score = _pass(task, model, train, backward=True)
        gradient = tuple(_norm(weight) for weight in probe.layers.values())
        model.zero_grad()
        with torch.no_grad():
            test_loss, test_score = _pass(task, model, test, backward=False)
    sites = probe.sites.values()
    return Epoch(
        train_loss=finite(train_loss),
        train_score=finite(train_score),
        test_loss=finite(test_loss),
        test_score=finite(test_score),
        dead=tuple(int((~site.active).sum()) for site in sites),
        zeros=tuple(site.zeros / site.outputs for site in sites),
        largest=tuple(finite(site.largest) for site in sites),
        gradient=gradient,
    )


def _pass(task: Task, model: nn.Module, data: Data, *, backward: bool) -> tuple[float, float]:
    """Return mean loss and score over a data set; with ``backward``, add up the gradient of that mean loss."""
    x, y = data
    outputs, total = [], 0.0
    for chunk_x, chunk_y in zip(torch.split(x, _CHUNK), torch.split(y, _CHUNK), strict=True):
        output = model(chunk_x)
        loss = task.loss(output, chunk_y) * (len(chunk_x) / len(x))
        if backward:
            torch.autograd.backward(loss)
        total += loss.item()
        outputs.append(output.detach())
    return total, task.score(torch.cat(outputs), y)


def _norm(weight: nn.Parameter) -> float | None:
    return 0.0 if weight.grad is None else finite(weight.grad.norm().item())
