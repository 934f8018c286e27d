"""What is measured of a network in training: scores, dead units, zeros, activations and gradients, over whole data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils.parametrize import ParametrizationList

from leaky.evidence import Evidence
from leaky.torch.watch import Meeting, Watch, unwrapped
from leaky.torch.watch.names import cleaned
from leaky.trials.record import Epoch, finite
from leaky.trials.task import Task

#: inputs and targets
Data = tuple[torch.Tensor, torch.Tensor]

# Numbers of input in one forward pass of a measurement, unless a batch of the recipe is larger: enough to be fast.
_CHUNK = 65_536


@dataclass
class _Outputs:
    """What one call of an activation has put out."""

    zeros: int = 0
    count: int = 0
    largest: float = 0.0

    def add(self, output: torch.Tensor) -> None:
        self.zeros += int(np.count_nonzero((output == 0).numpy(force=True)))  # 15 times as fast as PyTorch's
        self.count += output.numel()
        low, high = output.aminmax()  # both NaN if there is one
        largest = max(-low.item(), high.item())
        if largest > self.largest or largest != largest:  # noqa: PLR0124 - NaN, which stays
            self.largest = largest


class Probe:
    """Watches the activation sites and weight layers of a network while ``watching`` is entered.

    A site is a call of a module made by ``Activation.module``; a second call of the same module in one forward pass
    is a second site, named ``name[1]``. Activations that are the same for every arm are none.

    Args:
        model: the network.
        sites: names of further sites: those that were converted.
    """

    def __init__(self, model: nn.Module, sites: Iterable[str] = ()) -> None:
        self._watch = Watch(model, outputs=self._take)
        self._names = {module: cleaned(name) for name, module in unwrapped(model).named_modules()}
        self._arms = {name for module, name in self._names.items() if hasattr(module, "leaky_activation")}
        self._converted = frozenset(sites)
        self._outputs: dict[str, _Outputs] = {}
        #: the weight matrices of each layer that has any, in the order in which the layers ran
        self.layers: dict[str, list[torch.Tensor]] = {}

    @property
    def sites(self) -> dict[str, tuple[Evidence, _Outputs]]:
        """What was seen of each site since the last restart."""
        seen = self._watch.sites
        return {name: (seen[name][1], self._outputs[name]) for name in seen if name in self._outputs}

    @property
    def axes(self) -> dict[str, int | None]:
        """The axis of each site's units, in its pre-activation with the samples on axis 0; None where there is one unit."""
        return {name: self._watch.sites[name][0].axis for name in self.sites}

    def restart(self) -> None:
        """Forget what was seen."""
        self._watch.restart()
        self._outputs, self.layers = {}, {}

    @contextmanager
    def watching(self) -> Iterator[Probe]:
        """Watch what runs within."""
        handle = register_module_forward_hook(self._ran)
        try:
            with self._watch.watching():
                yield self
        finally:
            handle.remove()

    def _take(self, met: Meeting, output: torch.Tensor) -> None:
        if met.site.module in self._arms or met.site.name in self._converted:
            self._outputs.setdefault(met.site.name, _Outputs()).add(output)

    def _ran(self, module: nn.Module, inputs: object, output: object) -> None:
        name = self._names.get(module)
        if name is not None and name not in self.layers and (weights := _weights(module)):
            self.layers[name] = weights


def _weights(module: nn.Module) -> list[torch.Tensor]:
    """Return a layer's own weight matrices; of an embedding none, for a look-up is no layer of the depth."""
    if isinstance(module, nn.Embedding | ParametrizationList):
        return []
    own: list[torch.Tensor] = [parameter for parameter in module._parameters.values() if parameter is not None]
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
        probe.restart()
        model.zero_grad()
        train_loss, train_score = _pass(task, model, train, probe)
        gradient = tuple(_norm(weights) for weights in probe.layers.values())
        model.zero_grad()
        test_loss, test_score = _pass(task, model, test)
    sites = probe.sites.values()
    return Epoch(
        train_loss=finite(train_loss),
        train_score=finite(train_score),
        test_loss=finite(test_loss),
        test_score=finite(test_score),
        dead=tuple(int(evidence.dead.sum()) for evidence, _ in sites),
        zeros=tuple(outputs.zeros / outputs.count for _, outputs in sites),
        largest=tuple(finite(outputs.largest) for _, outputs in sites),
        gradient=gradient,
    )


def chunks(task: Task, data: Data) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
    """Yield a data set in pieces for a forward pass each: inputs, targets, and their share of the whole."""
    x, y = data
    size = max(task.batch_size, _CHUNK // x[0].numel())
    for chunk_x, chunk_y in zip(torch.split(x, size), torch.split(y, size), strict=True):
        yield chunk_x, chunk_y, len(chunk_x) / len(x)


def _pass(task: Task, model: nn.Module, data: Data, probe: Probe | None = None) -> tuple[float, float]:
    """Return mean loss and score over a data set; with a probe, watch it, and add up the gradient of that mean loss."""
    outputs, total = [], 0.0
    for x, y, share in chunks(task, data):
        with torch.no_grad() if probe is None else probe.watching():
            output = model(x)
            loss = task.loss(output, y) * share
        if probe is not None:
            torch.autograd.backward(loss)
        total += loss.item()
        outputs.append(output.detach())
    return total, task.score(torch.cat(outputs), data[1])


def _norm(weights: list[torch.Tensor]) -> float | None:
    gradients = [w.grad.norm() for w in weights if w.grad is not None]
    return finite(torch.stack(gradients).norm().item()) if gradients else 0.0
