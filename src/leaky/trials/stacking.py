"""Several networks of one architecture as one batched program: their weights stacked, their slopes side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import cloudpickle
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from leaky.trials.batched import Leak, Linear
from leaky.trials.making import Made
from leaky.trials.parts import Parts, Unsuited
from leaky.trials.task import Task
from leaky.trials.tracing import Traced

#: of one call of an activation: how often each unit was active; how many outputs were 0; the least and the largest output
Seen = tuple[Tensor, Tensor, Tensor, Tensor]

#: axis of the units at each call of an activation; None where they are taken as one
Axes = Sequence[int | None]

# Attributes of a module that hold its tensors and its parts.
_PARTS = {"_parameters", "_buffers", "_modules"}


class Stack:
    """Networks that differ in their numbers alone, run and trained in lockstep.

    Results have a first axis of networks, in the order in which they were given.

    Args:
        task: makes their optimisers, and knows their loss.
        networks: for activations among ReLU, Leaky ReLU and PReLU. They are taken apart.

    Raises:
        Unsuited: the networks or their optimisers do not allow it.
    """

    def __init__(self, task: Task, networks: Sequence[Made]) -> None:
        parts = [Parts.of(task, made) for made in networks]
        learners = [i for i, part in enumerate(parts) if part.learned]
        first = parts[(learners or [0])[0]]
        if not all(part.like(first) for part in parts):
            raise Unsuited("the networks, or their optimisers, are not alike for all activations and seeds")
        models = [made.model for made in networks]
        self._task, self.model, self.networks = task, models[0], len(models)
        self._leaks = [Leak() for _ in first.arms]
        for model, part in zip(models, parts, strict=True):
            _replace(model, dict(zip(part.arms, self._leaks, strict=True)))
        for module in self.model.modules():
            if type(module) is nn.Linear:
                module.__class__ = Linear
        parameters, buffers = stack_module_state(models)
        self._frozen = {name: p for name, p in parameters.items() if not p.requires_grad}
        self._constant = {**buffers, **self._frozen}
        stacked = [{name: parameters[name] for name in names} for _, names in first.groups]
        self._layouts = [_Layout(each) for each in stacked]
        self._leaves = [layout.together(each) for layout, each in zip(self._layouts, stacked, strict=True)]
        self._slopes = torch.tensor([part.slopes for part in parts])
        self._learners = torch.tensor(learners, dtype=torch.int64)
        settings = [given for given, _ in first.groups]
        if learners:
            settings.append(first.learned)
            self._leaves.append(self._slopes[self._learners].requires_grad_())
        self._optimizer: torch.optim.Optimizer = first.optimizer(
            [{**given, "params": [leaf]} for given, leaf in zip(settings, self._leaves, strict=True)]
        )
        self._steps = Traced(self._differentiated, self._remembered)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Train each network on its own batch, x of shape (networks, samples, ...); return the losses it had."""
        losses: Tensor
        losses, gradients = self._steps(x, y, self._leaves, self._constant)
        for leaf, gradient in zip(self._leaves, gradients, strict=True):
            leaf.grad = gradient
        self._optimizer.step()
        return losses

    def look(self, x: Tensor, axes: Axes = ()) -> tuple[Tensor, list[Seen]]:
        """Run all networks on the same samples; return outputs, and of each call of an activation what is asked for.

        Args:
            x: inputs.
            axes: of the calls in their order; with none, nothing is looked at.
        """
        run = vmap(partial(self._seen, axes), in_dims=(0, 0, 0, None))
        seen: tuple[Tensor, list[Seen]] = run(*self._state(self._leaves), self._constant, x)
        return seen

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._optimizer.zero_grad()

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients that were added up since they were forgotten, by the parameters' names; frozen ones have 0."""
        found = {name: torch.zeros_like(frozen) for name, frozen in self._frozen.items()}
        for layout, leaf in zip(self._layouts, self._leaves, strict=False):
            assert leaf.grad is not None
            found.update(layout.apart(leaf.grad))
        return found

    def learned(self) -> list[tuple[float, ...]]:
        """Return the slopes that each network has learned; none where they are given."""
        slopes: list[tuple[float, ...]] = [()] * self.networks
        for i, own in zip(self._learners.tolist(), self._leaves[-1].tolist(), strict=False):
            slopes[i] = tuple(own)
        return slopes

    def _differentiated(
        self, x: Tensor, y: Tensor, leaves: list[Tensor], constant: dict[str, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the losses, and their gradients by the leaves."""
        losses: Tensor = vmap(self._loss)(*self._state(leaves), constant, x, y)
        return losses.detach(), torch.autograd.grad(losses.sum(), leaves)

    def _remembered(self) -> object:
        """Return what the network may remember from run to run besides its tensors; what cannot be told equals nothing."""
        modules = [module for module in self.model.modules() if not isinstance(module, Leak)]
        kept = [{k: v for k, v in vars(m).items() if k not in _PARTS and not isinstance(v, Tensor)} for m in modules]
        try:
            return cloudpickle.dumps(kept)
        except Exception:  # noqa: BLE001 - of whatever a user's network holds
            return object()

    def _state(self, leaves: list[Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Return the weights by name, and the slopes times -1, shape (networks, activations, 1)."""
        weights: dict[str, Tensor] = {}
        for layout, leaf in zip(self._layouts, leaves, strict=False):
            weights.update(layout.apart(leaf))
        slopes = self._slopes.index_copy(0, self._learners, leaves[-1]) if len(self._learners) else self._slopes
        return weights, -slopes.unsqueeze(2)

    # What follows is written for one network; vmap makes all of them of it.

    def _output(
        self, weights: dict[str, Tensor], minus_slopes: Tensor, constant: dict[str, Tensor], x: Tensor
    ) -> Tensor:
        for leak, slope in zip(self._leaks, minus_slopes.unbind(), strict=True):
            leak.minus_slope = slope
        output: Tensor = functional_call(self.model, (weights, constant), (x,))
        return output

    def _loss(
        self, weights: dict[str, Tensor], minus_slopes: Tensor, constant: dict[str, Tensor], x: Tensor, y: Tensor
    ) -> Tensor:
        return self._task.loss(self._output(weights, minus_slopes, constant, x), y)

    def _seen(
        self, axes: Axes, weights: dict[str, Tensor], minus_slopes: Tensor, constant: dict[str, Tensor], x: Tensor
    ) -> tuple[Tensor, list[Seen]]:
        calls: list[tuple[Tensor, Tensor]] = []
        for leak in self._leaks:
            leak.calls = calls if axes else None
        try:
            output = self._output(weights, minus_slopes, constant, x)
        finally:
            for leak in self._leaks:
                leak.calls = None
        if len(calls) != len(axes):
            raise Unsuited("its activations do not run alike for all arms")
        return output, [_statistics(*call, axis) for call, axis in zip(calls, axes, strict=True)]


def _statistics(sign: Tensor, y: Tensor, axis: int | None) -> Seen:
    over = [each for each in range(y.ndim) if axis is None or each != axis % y.ndim]
    return sign.relu().sum(over).view(-1), (y == 0).view(torch.uint8).sum(dtype=torch.int32), y.amin(), y.amax()


class _Layout:
    """How parameters of all networks lie in one tensor, which takes an optimiser no longer than one of them."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._shapes = {name: p.shape for name, p in parameters.items()}
        self._sizes = [p[0].numel() for p in parameters.values()]

    def together(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return one tensor, shape (networks, numbers), to be trained."""
        return torch.cat([p.detach().flatten(1) for p in parameters.values()], 1).requires_grad_()

    def apart(self, numbers: Tensor) -> dict[str, Tensor]:
        """Return the parameters, or what lies as they do, by name."""
        parts = numbers.split(self._sizes, 1)
        return {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}


def _replace(model: nn.Module, others: Mapping[nn.Module, nn.Module]) -> None:
    """Put other modules in the places of some."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and child in others:
                parent._modules[name] = others[child]
