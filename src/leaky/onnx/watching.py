"""Watches an ONNX model's activations: which there are, and what batches show of their units."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from leaky.evidence import Evidence, Site, Slope, batch_statistics_of, slopes_of_units
from leaky.onnx import reading, shapes
from leaky.onnx.feeding import Arrays, Feed, Inputs
from leaky.onnx.hiding import hidden, some
from leaky.onnx.layout import Layout, Output, arranged, guessed, layout_of, shape_of
from leaky.onnx.naming import write_out_functions
from leaky.onnx.running import Runner, capped
from leaky.onnx.tapping import tap
from leaky.onnx.tracing import Found, find
from leaky.wording import plain


@dataclass
class Watched:
    """What was seen of a model."""

    #: sites by name, in the order of computation
    sites: dict[str, tuple[Site, Evidence]] = field(default_factory=dict)
    #: what could not be seen, and what else is to be known
    notes: list[str] = field(default_factory=list)
    samples: int = 0


def watch(
    model: str | Path | onnx.ModelProto | ir.Model,
    batches: Iterable[object],
    *,
    max_memory: int | None = None,
    progress: Callable[[int], None] | None = None,
    look: Callable[[Arrays], None] | None = None,
) -> Watched:
    """Run a model on batches through ONNX Runtime on the CPU, and see what its activations get.

    Args:
        model: the path of a model, or a model in memory. It is left as it is.
        batches: each an array, with the samples on axis 0; or several, as a dictionary by the names of the inputs or, in
            their order, as a list or tuple. Taken one at a time. A model for a fixed number of samples is fed so many.
        max_memory: the bytes that ONNX Runtime may take; a quarter of it is what pre-activations may take at once, for
            which batches are run in parts, and sites in groups. None sets no limit.
        progress: called with the number of samples seen so far, after each batch.
        look: called with each batch before it is run: arrays by the names of the inputs, as the model takes them.

    Returns:
        All sites that were reached, with the evidence on their units.

    Raises:
        ValueError: the model is not sound or cannot be run, or a batch is not what it takes; in one line.
    """
    loaded = _loaded(model, max_memory)
    write_out_functions(loaded)
    inputs = Inputs(loaded.graph)
    feeds = (inputs.feed(batch) for batch in batches)
    first = next(feeds, None)
    if first is None:
        raise ValueError("batches: there is none")
    with capped(max_memory):
        watcher = _Watcher(loaded, first, inputs.fixed(first), max_memory)
        for feed in itertools.chain([first], feeds):
            if look is not None:
                look(feed.arrays)
            watcher.take(feed)
            if progress is not None:
                progress(watcher.seen.samples)
        return watcher.finished()


def _loaded(model: str | Path | onnx.ModelProto | ir.Model, max_memory: int | None) -> ir.Model:
    """Return a model that may be changed."""
    if isinstance(model, ir.Model):
        return model.clone()
    if isinstance(model, onnx.ModelProto):
        return reading.checked(model, None, max_memory)
    return reading.read(model, max_memory)


# Samples in the second of two small runs. The dimension that has doubled since the first is that of the samples.
_TWO = 2


class _Watcher:
    def __init__(self, model: ir.Model, feed: Feed, fixed: int | None, max_memory: int | None) -> None:
        self.seen = Watched(notes=hidden(model))
        #: samples that are run at once, always as many if the model is for no other number; None for whole batches
        self.step, self.fixed = fixed, fixed
        self.layouts: dict[str, Layout] = {}
        trial = fixed or _TWO
        with shapes.inferred(model, feed.part(0, trial)):
            self.found = {each.name: each for each in find(model)}
            sizes = {name: shapes.size(each.activation.value) // trial for name, each in self.found.items()}
        taps = tap(model, self.found.values())
        self.blind = [name for name in self.found if name not in taps]
        if self.blind:
            self.seen.notes.append(f"Not seen, in bodies that nothing can be brought out of: {some(self.blind)}.")
        self.runner = Runner(model, taps, {name: sizes[name] for name in taps}, max_memory) if taps else None
        if self.runner is not None and fixed is None:
            self._rehearse(self.runner, feed)

    def _rehearse(self, runner: Runner, feed: Feed) -> None:
        """Find out, by two small runs, where each site has the samples, and how many fit in memory."""
        try:
            one = {site: (shape_of(output), _nbytes(output)) for site, output in runner.run(feed.part(0, 1))}
        except ValueError:  # it may yet run on the whole batch, and says what is wrong if it does not
            return
        try:
            two = {site: shape_of(output) for site, output in runner.run(feed.part(0, _TWO))}
        except ValueError:  # it reshapes to a fixed shape, for instance
            self._one_by_one("as it runs on no more")
            return
        self.layouts = {site: layout_of(one[site][0], two[site]) for site in one.keys() & two.keys()}
        if odd := [site for site in self.found if site in self.layouts and self.layouts[site].odd]:
            self._one_by_one(f"as what comes out for more does not tell them apart at {some(odd)}")
        elif runner.limit is not None:
            self.step = max(1, runner.limit // max(1, sum(nbytes for _, nbytes in one.values())))

    def _one_by_one(self, why: str) -> None:
        self.step, self.layouts = 1, {}
        self.seen.notes.append(f"The model was fed one sample at a time, {why}.")

    def take(self, feed: Feed) -> None:
        """Take in one batch."""
        self.seen.samples += feed.samples
        if self.runner is None:
            return
        step = self.step or feed.samples
        for start in range(0, feed.samples, step):
            real = min(step, feed.samples - start)
            samples = self.fixed or real
            for site, output in self.runner.run(feed.part(start, samples)):
                self._add(self.found[site], output, samples, real)

    def _add(self, found: Found, output: Output, samples: int, real: int) -> None:
        """Take in what came out of a run of so many samples, of which the first are real."""
        layout = self.layouts.get(found.name) or guessed(output, samples)
        x, axis = arranged(output, found.flow.axis, layout, samples)
        x = x[:real] if x.dtype.kind == "f" else x[:real].astype(np.float64)
        if found.activation.threshold:
            x = x - found.activation.threshold
        if found.name not in self.seen.sites:
            slope = _slope(found, output, layout, samples)
            site = _site(found, x.shape, axis, slope, apart=len(x) == real)
            self.seen.sites[found.name] = site, Evidence(site.units)
        site, evidence = self.seen.sites[found.name]
        if site.units != (1 if site.axis is None or axis is None else x.shape[axis]):
            raise ValueError(f"batches: {plain(site.name)!r} has {site.units} units in one and others in another")
        evidence.add(batch_statistics_of(x, None if site.axis is None else axis, site.limits))

    def finished(self) -> Watched:
        """Return what was seen, the sites in the order of computation."""
        reached = [name for name in self.found if name in self.seen.sites]
        if away := [name for name in self.found if name not in reached and name not in self.blind]:
            self.seen.notes.append(f"Never reached, being in bodies that no sample led into: {some(away)}.")
        self.seen.sites = {name: self.seen.sites[name] for name in reached}
        return self.seen


def _nbytes(output: Output) -> int:
    return sum(array.nbytes for array in output) if isinstance(output, list) else output.nbytes


def _slope(found: Found, output: Output, layout: Layout, samples: int) -> Slope:
    """Return the negative slope, or that of each unit, by where the slopes come to lie in what came out of a run."""
    slope = found.activation.slope
    if not isinstance(slope, np.ndarray):
        return slope
    spread = (
        [np.broadcast_to(slope, each.shape) for each in output]
        if isinstance(output, list)
        else np.broadcast_to(slope, output.shape)
    )
    return slopes_of_units(*arranged(spread, found.flow.axis, layout, samples))


def _site(found: Found, shape: tuple[int, ...], axis: int | None, slope: Slope, apart: bool) -> Site:
    """Describe a site whose pre-activation has this shape, the samples on axis 0 and told apart, or not."""
    activation = found.activation
    judged = not found.unjudged
    notes = {
        found.unjudged: not judged,
        "the axis of its units could not be told: it is taken as one unit": judged and axis is None,
        f"its pre-activation is what exceeds {activation.threshold:g}": activation.threshold != 0,
        "it does not tell the samples of a batch apart, which count as one": not apart,
    }
    return Site(
        name=found.name,
        kind=activation.kind,
        form=activation.form,
        module=found.module,
        units=1 if axis is None else shape[axis],
        axis=axis,
        shape=tuple(shape[1:]),
        slope=slope,
        limits=activation.limits,
        fed_by=found.flow.layer,
        judged=judged,
        note="; ".join(note for note, holds in notes.items() if holds),
    )
