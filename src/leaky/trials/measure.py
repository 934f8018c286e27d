"""What is measured of a network in training: scores, dead units, zeros, activations and gradients, over whole data sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from leaky.trials.record import Epoch, finite
from leaky.trials.task import Task

#: inputs and targets
Data = tuple[torch.Tensor, torch.Tensor]

# Numbers of input in one forward pass of a measurement, unless a batch of the recipe is larger: enough to be fast.
_CHUNK = 65_536

# Layers whose output has its units on axis 1, and on the last axis. Others leave the units where they were.
_UNITS_ON_AXIS_1 = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)
_UNITS_LAST = (nn.Linear, nn.Bilinear, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)


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
        self.active |= (before > 0).any(dim=others)
        self.zeros += int((after == 0).sum())
        self.outputs += after.numel()
        self.largest = float(np.maximum(self.largest, after.abs().max().item()))  # NaN stays, unlike with max()


@dataclass
class Probe:
    """Watches the activation sites and weight layers of a network while ``watching`` is entered.

    A site is a call of a module made by ``Activation.module``; a second call of the same module in one forward pass
    is a second site, named ``name[1]``.
    """

    model: nn.Module
    sites: dict[str, _Site] = field(default_factory=dict)
    #: the weight matrices of each layer that has any, in the order in which the layers ran
    layers: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)
    _axis: int = -1

    @contextmanager
    def watching(self) -> Iterator[Probe]:
        """Attach the hooks; take them all off at the end, whatever happens."""
        self.sites, self.layers = {}, {}
        handles = [self.model.register_forward_pre_hook(lambda *_: self._calls.clear())]
        try:
            for name, module in self.model.named_modules():
                if hasattr(module, "leaky_activation"):
                    handles.append(module.register_forward_hook(self._site_hook(name)))
                else:
                    handles.append(module.register_forward_hook(self._layer_hook(name)))
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _site_hook(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            call = self._calls[name] = self._calls.get(name, -1) + 1
            site_name = f"{name}[{call}]" if call else name
            before, after = inputs[0].detach(), output.detach()
            if before.ndim == 1:  # one unit, whose axis was dropped
                before, after = before[:, None], after[:, None]
            if site_name not in self.sites:
                units = before.shape[self._axis]
                self.sites[site_name] = _Site(site_name, self._axis, torch.zeros(units, dtype=torch.bool))
            self.sites[site_name].add(before, after)

        return hook

    def _layer_hook(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(module, _UNITS_ON_AXIS_1):
                self._axis = 1
            elif isinstance(module, _UNITS_LAST) or (
                isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1
            ):
                self._axis = -1
            if weights := _weights(module):
                self.layers[name] = weights

        return hook


def _weights(module: nn.Module) -> list[torch.Tensor]:
    """Return a layer's own weight matrices; of an embedding none, for a look-up is no layer of the depth."""
    if isinstance(module, nn.Embedding | ParametrizationList):
        return []
    own: list[torch.Tensor] = list(module.parameters(recurse=False))
    if isinstance(module, nn.MultiheadAttention):
        own.append(module.out_proj.weight)  # applied without calling out_proj
    parametrizations = getattr(module, "parametrizations", None)  # weight_norm and its kin keep the weights there
    if isinstance(parametrizations, nn.ModuleDict):
        own += parametrizations.parameters()
    return [p for p in own if p.ndim > 1]


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
        gradient = tuple(_norm(weights) for weights in probe.layers.values())
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
    size = max(task.batch_size, _CHUNK // x[0].numel())
    for chunk_x, chunk_y in zip(torch.split(x, size), torch.split(y, size), strict=True):
        output = model(chunk_x)
        loss = task.loss(output, chunk_y) * (len(chunk_x) / len(x))
        if backward:
            torch.autograd.backward(loss)
        total += loss.item()
        outputs.append(output.detach())
    return total, task.score(torch.cat(outputs), y)


def _norm(weights: list[torch.Tensor]) -> float | None:
    gradients = [w.grad.norm() for w in weights if w.grad is not None]
    return finite(torch.stack(gradients).norm().item()) if gradients else 0.0
