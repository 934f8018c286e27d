"""Checking a PyTorch network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leaky import wording
from leaky.checkup.given import Given
from leaky.checkup.layers import read_layer
from leaky.checkup.losses import Loss, named_loss
from leaky.checkup.result import Check
from leaky.checkup.run import InputRange
from leaky.checkup.seen import Seen
from leaky.evidence import Evidence, Site
from leaky.inputs.batches import Batch, Progress, batches
from leaky.inputs.errors import InputError
from leaky.inputs.feeding import Call, Feed, advised
from leaky.torch.bounds import prove, ranged
from leaky.torch.watch import undisturbed, unwrapped, watch
from leaky.torch.watch.names import cleaned
from leaky.torch.watch.statistics import statistics
from leaky.user_code import in_one_line


def check_network(
    model: nn.Module,
    data: Any,
    loss: str | Callable[[Any, Any], Any] | None,
    batch_size: int | None,
    *,
    input_range: InputRange,
    trained: bool,
    progress: Progress,
) -> Check:
    """Run the network on the data and return what was seen; see :func:`leaky.check`."""
    stream, total = batches(data, batch_size)
    model = unwrapped(model)  # watched, it would not run compiled, nor on many devices, anyway
    run = _Run(model, None if loss is None else named_loss(loss), input_range)
    with undisturbed(model):
        with watch(model, gradients=loss is not None) as seen, torch.set_grad_enabled(loss is not None):
            for batch in stream:
                with advised(batch):
                    in_one_line(f"data: batch {batch.number} failed", partial(run, batch), InputError)
                progress(batch.number + 1, total)
        if not run.samples:
            raise InputError("data: no samples; expected at least one")
        sites = _with_layers(model, seen.sites, run.given.evidence)
        notes = [*seen.notes, *run.notes]
        span = _prove(model, run, sites, input_range, notes)
    return Check(
        model=type(model).__name__,
        samples=run.samples,
        sites=sites,
        inputs=run.given.evidence,
        notes=tuple(notes),
        loss=loss is not None,
        trained=trained,
        input_range=span,
        example=run.example,
        nonfinite_input=run.given.nonfinite,
    )


def _prove(
    model: nn.Module, run: _Run, sites: dict[str, Seen], input_range: InputRange, notes: list[str]
) -> tuple[float, float] | None:
    """Enter in the sites what can be proved, and return for which range of inputs; None if nothing was tried."""
    x = run.only_input
    if input_range is None or run.given.evidence is None or x is None or run.given.evidence.nonfinite.any():
        if input_range is not None:
            notes.append("Nothing is proved: that takes networks with one input, of floats of one shape, all finite.")
        return None
    seen = float(run.given.evidence.smallest.min()), float(run.given.evidence.largest.max())
    span = seen if input_range == "data" else (float(input_range[0]), float(input_range[1]))
    # Two samples: of a single one the watch may not tell which axis is that of the samples.
    low, high = (torch.full((2, *x.shape), end, dtype=torch.float64) for end in span)
    bounded = ranged(low, high, x.dtype)
    proofs = prove(model, **{x.argument: bounded}) if x.argument else prove(model, bounded)
    names = {seen.site.identity: name for name, seen in sites.items()}
    for proof in proofs.sites.values():
        name = names.get(proof.site.identity)
        if name is not None and not sites[name].saturates:
            sites[name] = replace(sites[name], proved=np.asarray(proof.upper <= sites[name].limit))
    notes += [f"Not proved of all units: {note}" for note in proofs.notes]
    return span


@dataclass(frozen=True)
class _Input:
    """The one tensor that a network takes."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    argument: str | None


class _Run:
    """Runs a network on one batch after another, and looks at what goes in."""

    def __init__(self, model: nn.Module, loss: Loss | None, input_range: InputRange) -> None:
        self.model = model
        self.loss = loss
        self.range = None if input_range == "data" else input_range
        self.samples = 0
        self.given = Given()
        #: None too where there are several, or of several shapes
        self.only_input: _Input | None = None
        #: of the first batch
        self.example: Call | None = None
        self._feed = Feed(model)
        self._learned = [p for p in model.parameters() if p.requires_grad]

    def __call__(self, batch: Batch) -> None:
        batch = self._feed.fitted(batch)
        call = self._feed(batch)
        if not self.samples:
            self.example = call.excerpt()
        self._note_inputs(call)
        free = self.loss is not None and not self._learned
        if free:  # a gradient needs something to be taken by
            named = {name: _differentiable(value) for name, value in call.named.items()}
            call = Call(tuple(map(_differentiable, call.positional)), named)
        output = call.on(self.model)
        if self.loss is not None:
            target = None if batch.target is None else self._feed.target(batch.target)
            by = list(filter(_is_floating, call.tensors)) if free else self._learned
            moved = Batch(batch.positional, call.named, target)
            # Not backward(): that would add to the parameters' own gradients.
            torch.autograd.grad(self.loss(output, moved), by, allow_unused=True)
        self.samples += batch.samples

    @property
    def notes(self) -> list[str]:
        """What there is to say of the data."""
        x = self.only_input
        if x is None or x.shape:
            return []
        return ["The data have one axis: each number was taken for a sample. One sample of n numbers has shape (1, n)."]

    def _note_inputs(self, call: Call) -> None:
        """Take in the statistics of the inputs, if there is one tensor of floats."""
        floats = [a for a in call.tensors if _is_floating(a)]
        if len(floats) != 1:
            self.given.several()
            self.only_input = None
            return
        x = floats[0]
        only = (
            _Input(tuple(x.shape[1:]), x.dtype, next(iter(call.named), None))
            if len(call.positional) + len(call.named) == 1
            else None
        )
        if not self.samples:
            self.only_input = only
        if only != self.only_input:
            self.only_input = None

        def first() -> tuple[list[int], bool]:
            place = (~x.isfinite()).nonzero()[0].tolist()
            return place, bool(x[tuple(place)].isnan())

        self.given.note(tuple(x.shape), lambda axis: statistics(x, axis, (-math.inf, math.inf)), first)
        if self.given.evidence is not None:
            self._check_range(x, self.given.evidence)

    def _check_range(self, x: Tensor, inputs: Evidence) -> None:
        """Refuse what is beyond the range."""
        if self.range is not None:
            # In the type of the inputs, to which the data are rounded.
            low, high = torch.tensor(self.range, dtype=torch.float64).to(x.dtype).tolist()
            smallest, largest = float(inputs.smallest.min()), float(inputs.largest.max())
            if smallest < low or largest > high:
                raise InputError(
                    f"input_range: {wording.span(*self.range)}, but the data lie {wording.span(smallest, largest)}; "
                    "expected a range that holds them"
                )


def _differentiable(value: Any) -> Any:
    """Return a tensor by which a gradient can be taken, if it is one of floats."""
    return value.detach().requires_grad_() if _is_floating(value) else value


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _with_layers(
    model: nn.Module, watched: dict[str, tuple[Site, Evidence]], inputs: Evidence | None
) -> dict[str, Seen]:
    """Return the sites with the layers that feed them."""
    modules = {cleaned(path): module for path, module in model.named_modules()}
    sites = {}
    channels = None if inputs is None else inputs.units
    for name, (site, evidence) in watched.items():
        module = None if site.fed_by is None else modules.get(site.fed_by)
        layer = None if module is None else read_layer(module, site.units, channels)
        channels = None if layer is not None else channels  # only the first layer is fed by the network's inputs
        sites[name] = Seen(site, evidence, layer)
    return sites
