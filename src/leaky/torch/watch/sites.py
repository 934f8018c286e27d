"""The activation sites that have been met: their names, their units, and the evidence on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Size, Tensor, broadcast_shapes, nn

from leaky.evidence import Evidence, Site, Slope, slopes_of_units, unused
from leaky.torch.watch.forms import Form
from leaky.torch.watch.labels import Label, Layout, along, layout
from leaky.torch.watch.names import Names
from leaky.torch.watch.origin import UNKNOWN, Origin
from leaky.torch.watch.statistics import Statistics
from leaky.torch.watch.written import Written

# How many kinds of calls are remembered; more of them, of ever new shapes, are worked out again.
_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class _Place:
    """What can be said of a call without looking at its numbers."""

    #: of the site, but for the count of its calls
    name: str
    #: the module of PyTorch's own that makes the call, and whether the call is all that a module does
    builtin: str | None
    layout: Layout
    units: int
    note: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """One call at a site: by what the site is known, how its tensors are laid out, and its evidence."""

    key: Any
    site: Site
    layout: Layout
    evidence: Evidence


class Sites:
    """The sites of one network, each known by where it is called, in which line, and for which time there in a pass."""

    def __init__(self, names: Names, statistics: Statistics) -> None:
        self._names = names
        self._statistics = statistics
        #: None for what turned out to be part of another
        self._found: dict[Any, tuple[Site, Evidence] | None] = {}
        self._given: dict[Any, str] = {}
        self._places: dict[Any, _Place] = {}
        self._calls: dict[Any, int] = {}
        self._samples = 1

    def begin(self, samples: int) -> None:
        """Start a forward pass on so many samples."""
        self._calls.clear()
        self._samples = samples

    def found(self) -> dict[str, tuple[Site, Evidence]]:
        """Return the sites by their names, in the order in which they were first met."""
        return {pair[0].name: pair for pair in self._found.values() if pair is not None}

    def restart(self) -> dict[str, tuple[Site, Evidence]]:
        """Return the sites and begin anew, with sites as they are when they are met again, but under their old names."""
        found = {name: pair for name, pair in self.found().items() if pair[1].samples}
        self._found = {key: None for key, pair in self._found.items() if pair is None}
        return found

    def meet(self, written: Written) -> Meeting | None:
        """Take in the evidence of a call; return None if its site turned out to be part of another."""
        form, origin = written.form, written.origin
        for part in written.parts:  # what was taken for a sigmoid was the first half of a SiLU
            self._found[part] = None
            self._given.pop(part, None)
        kind = (self._names.module, self._names.path, origin, self._samples, written.x.shape, form.form)
        place = self._places.get(kind) or self._placed(kind, form, origin, written.x.shape)
        line = None if place.builtin else self._names.source()
        call = (place.name, line, form.kind)
        self._calls[call] = number = self._calls.get(call, -1) + 1
        key = (*call, number, place.units)
        x = place.layout(written.x)
        if form.threshold:
            x = x - form.threshold
        try:
            pair = self._found[key]
        except KeyError:
            slope = _slope(form.slope, written.x.shape, place.layout)
            site = self._new(key, place, form, origin, tuple(x.shape[1:]), slope)
            pair = self._found[key] = site, Evidence(place.units)
        if pair is None:
            return None
        pair[1].add(self._statistics(x, place.layout.axis, form.limits))
        return Meeting(key, pair[0], place.layout, pair[1])

    def _placed(self, kind: Any, form: Form, origin: Origin, shape: Size) -> _Place:
        """Work out what holds for all calls of a kind."""
        if len(self._places) > _REMEMBERED:
            self._places.clear()
        units = origin.units
        slopes = form.slope.numel() if isinstance(form.slope, Tensor) else 1
        if units is None and slopes > 1 and len(shape) > 1 and shape[1] == slopes:
            units = along(shape, 1)
        samples, note = self._samples_of(origin, shape)
        if form.threshold:
            note = _joined(f"its pre-activation is what exceeds {form.threshold:g}", note)
        arranged = layout(shape, samples, units)
        count = 1 if arranged.axis is None or units is None else units[0]
        name, builtin = self._called(form)
        self._places[kind] = place = _Place(name, builtin, arranged, count, note)
        return place

    def _called(self, form: Form) -> tuple[str, str | None]:
        """Return what the site of a call is named by, and the module of PyTorch's own that makes it, if one does."""
        module, path = self._names.module, self._names.path
        builtin = None if module is None else _activation(module)
        if path and module is not None and (builtin or _is_bare(module)):
            return path, builtin
        return (f"{path}.{form.call}()" if path else f"{form.call}()"), builtin

    def _samples_of(self, origin: Origin, shape: Size) -> tuple[Label, str]:
        """Return where the samples lie, if only by a guess: to find a unit dead, any as many parts of a batch will do."""
        if origin.samples is not None:
            return origin.samples, ""
        total = shape.numel()
        if self._samples > 1 and shape and shape[0] % self._samples == 0:
            return (
                self._samples,
                total // self._samples,
            ), "its samples are taken to lie on axis 0, which could not be told"
        return (1, total), "its samples could not be told apart: each batch is taken for one"

    def _new(self, key: Any, place: _Place, form: Form, origin: Origin, shape: tuple[int, ...], slope: Slope) -> Site:
        _, line, *_ = key
        if key not in self._given:
            self._given[key] = unused(place.name, self._given.values())
        judged, note = _judged(form, origin)
        if place.layout.axis is None and judged:
            note = _joined(note, "the axis of its units could not be told: it is taken as one unit")
        return Site(
            name=self._given[key],
            kind=form.kind,
            form=place.builtin or form.form,
            module=self._names.path,
            units=place.units,
            axis=place.layout.axis,
            shape=shape,
            slope=slope,
            limits=form.limits,
            fed_by=origin.layer,
            alone=origin.alone,
            source=line and f"{line[1]}:{line[2]}",
            judged=judged,
            note=_joined(note, place.note),
            key=key,
        )


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _activation(module: nn.Module) -> str | None:
    """Return the name of the activation of PyTorch's own that a module is."""
    for each in type(module).__mro__:
        if each.__module__ == "torch.nn.modules.activation":
            return None if each is nn.MultiheadAttention else f"nn.{each.__name__}"
    return None


def _is_bare(module: nn.Module) -> bool:
    """Say whether a module holds no parameters and no other modules."""
    return next(module.parameters(), None) is None and next(module.children(), None) is None


def _slope(slope: float | Tensor | None, shape: Size, layout: Layout) -> Slope:
    """Return the negative slope of a form as a site has it, for a pre-activation of this shape."""
    if not isinstance(slope, Tensor):
        return slope
    slopes = slope.detach().double().cpu()
    if slopes.numel() == 1:
        return slopes.item()
    if broadcast_shapes(slopes.shape, shape) != shape:  # each pre-activation gets several
        return math.nan
    return slopes_of_units(layout(slopes.expand(shape)).numpy(), layout.axis)


def _judged(form: Form, origin: Origin) -> tuple[bool, str]:
    """Return whether a site is to be judged, and why not, or on what terms."""
    if origin is UNKNOWN:
        return not form.doubtful, "what feeds it could not be told"
    if origin.weights:
        return False, "of weights alone, not of data"
    if origin.layer is None:
        return False, "fed from no weights"
    if form.doubtful and origin.mixed:
        return False, "a maximum with 0 of a sum or mean, not of a layer's units"
    return True, ""
