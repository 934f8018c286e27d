"""What is measured of the networks of a cohort in training, as :mod:`leaky.trials.measure` does of one."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from leaky.trials.making import Made
from leaky.trials.measure import Data, Probe, chunks, evaluating
from leaky.trials.record import Epoch, finite
from leaky.trials.stacking import Stack
from leaky.trials.task import Task


class Survey:
    """Measures all networks of a stack over whole data sets.

    Args:
        task: what they are trained for.
        made: one of them, before it is stacked.
        train: the training data.
    """

    def __init__(self, task: Task, made: Made, train: Data) -> None:
        self._task = task
        model = copy.deepcopy(made.model)
        probe = Probe(model, made.sites)
        x = next(chunks(task, train))[0]
        with evaluating(model), torch.no_grad(), probe.watching():
            model(x)
        names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        #: of each site, the axis of its units
        self.axes = probe.axes
        self.units = [evidence.units for evidence, _ in probe.sites.values()]
        self._outputs = [outputs.count / len(x) for _, outputs in probe.sites.values()]
        #: names of the weights of each layer
        self.layers = {layer: [names[w] for w in weights] for layer, weights in probe.layers.items()}

    def measure(self, stack: Stack, train: Data, test: Data) -> list[Epoch]:
        """Return the state of each network over the whole training and test sets."""
        sites = [_Tally(outputs * len(train[0])) for outputs in self._outputs]
        with evaluating(stack.model):
            stack.zero_grad()
            trained = self._pass(stack, train, sites)
            gradients = stack.gradients()
            stack.zero_grad()
            with torch.no_grad():
                tested = self._pass(stack, test, [])
        of_sites = [(site.dead(), site.zeros(), site.largest()) for site in sites]
        return [
            Epoch(
                train_loss=finite(trained[i][0]),
                train_score=finite(trained[i][1]),
                test_loss=finite(tested[i][0]),
                test_score=finite(tested[i][1]),
                dead=tuple(dead[i] for dead, _, _ in of_sites),
                zeros=tuple(zeros[i] for _, zeros, _ in of_sites),
                largest=tuple(finite(largest[i]) for _, _, largest in of_sites),
                gradient=tuple(finite(_norm([gradients[n][i] for n in names])) for names in self.layers.values()),
            )
            for i in range(stack.networks)
        ]

    def _pass(self, stack: Stack, data: Data, sites: list[_Tally]) -> list[tuple[float, float]]:
        """Return each network's loss and score over a data set; with sites, add up the gradients of the losses."""
        outputs, totals = [], [0.0] * stack.networks
        for x, y, share in chunks(self._task, data):
            output, seen = stack.look(x, list(self.axes.values()) if sites else ())
            # Each network's loss by itself, as it rounds for one network.
            losses = [self._task.loss(own, y) * share for own in output.unbind()]
            if sites:
                torch.autograd.backward(losses)
            for site, call in zip(sites, seen, strict=True):
                site.add(*call)
            totals = [total + loss.item() for total, loss in zip(totals, losses, strict=True)]
            outputs.append(output.detach())
        scores = [self._task.score(output, data[1]) for output in torch.cat(outputs, 1)]
        return list(zip(totals, scores, strict=True))


class _Tally:
    """What one call of an activation has put out, in each network."""

    def __init__(self, outputs: float) -> None:
        self._outputs = outputs
        self._active, self._zeros, self._largest = torch.zeros((3, 1), dtype=torch.float64)

    def add(self, *call: Tensor) -> None:
        """Add what was seen in one pass; see :data:`leaky.trials.stacking.Seen`."""
        active, zeros, low, high = call
        self._active = self._active + active
        self._zeros = self._zeros + zeros
        self._largest = self._largest.maximum(high).maximum(-low)  # NaN stays

    def dead(self) -> list[int]:
        """Return how many units were active on no sample."""
        counts: list[int] = (self._active == 0).sum(1).tolist()
        return counts

    def zeros(self) -> list[float]:
        """Return the share of outputs that were 0."""
        shares: list[float] = (self._zeros / self._outputs).tolist()
        return shares

    def largest(self) -> list[float]:
        """Return the largest absolute output."""
        outputs: list[float] = self._largest.tolist()
        return outputs


def _norm(gradients: list[Tensor]) -> float:
    norm: float = torch.stack([gradient.norm() for gradient in gradients]).norm().item()
    return norm
