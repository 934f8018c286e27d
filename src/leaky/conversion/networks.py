"""Converting a PyTorch network."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from leaky.activation import Activation
from leaky.conversion import drift as drifting
from leaky.conversion.candidates import Candidate, found
from leaky.conversion.errors import ConversionError
from leaky.conversion.initialisation import rescale
from leaky.conversion.passes import Passes
from leaky.conversion.result import Change, Conversion, Drift, Left
from leaky.conversion.selection import Selection
from leaky.torch.rewriting import bound, classes, modules
from leaky.torch.rewriting.places import Place
from leaky.torch.rewriting.sources import cells_of
from leaky.torch.watch import unwrapped
from leaky.torch.watch.names import cleaned
from leaky.user_code import in_one_line


@dataclass(frozen=True)
class Target:
    """What rectifiers become."""

    to: str
    #: None: each keeps its own
    slope: float | None

    @property
    def text(self) -> str:
        """Return the activation as it is written."""
        return self.to if self.to == "relu" or self.slope is None else f"{self.to}({self.slope:g})"

    @property
    def warning(self) -> str | None:
        """One line if the slope is an unusual one."""
        return None if self.slope is None else Activation("leaky_relu", (self.slope,)).slope_warning


def convert_network(
    model: nn.Module,
    target: Target,
    selection: Selection,
    *,
    subclasses: bool,
    data: Any,
    batch_size: int | None,
    trained: bool,
    recalibrate: bool,
    inplace: bool,
) -> Conversion:
    """Convert the rectifiers of a network; see :func:`leaky.convert`."""
    old: nn.Module | ConversionError = model
    original = model
    if not inplace:
        model = _copied(model, "model: it cannot be copied (inplace=True takes no copy)")
    elif data is not None:
        old = _kept(model)
    root = unwrapped(model)
    elsewhere = [] if inplace else _elsewhere(root, original)
    batches = None if data is None else Passes(data, batch_size)
    candidates, left, sites = found(root, batches)
    work = _Work(root, target, selection, subclasses)
    work.notes += elsewhere
    for candidate in candidates:
        work.convert(candidate)
    work.finish()
    places = {name: place for place, name in enumerate(sites)}

    def in_order(each: Change | Left) -> int:
        return places.get(each.site, len(places))

    changes, kept = sorted(work.changes, key=in_order), sorted([*work.left, *left], key=in_order)
    if not trained and (target.slope is not None or target.to == "relu"):
        slope = 0.0 if target.to == "relu" else target.slope or 0.0
        rescaled = rescale(root, sites.values(), {change.site: slope for change in changes if change.site in sites})
        changes = [replace(change, rescaled=rescaled.layers.get(change.site)) for change in changes]
        work.notes += rescaled.notes
    moved = again = None
    if batches is not None:
        moved = _moved(old, root, batches, work.notes)
        if recalibrate:
            work.notes += drifting.recalibrate(root, batches)
            again = _moved(old, root, batches, work.notes)
    return Conversion(model, tuple(changes), tuple(kept), tuple(dict.fromkeys(work.notes)), moved, again)


def _copied(model: nn.Module, what: str) -> nn.Module:
    # What was worked out of parameters, such as a weight of weight_norm's older form, is worked out anew when it is run.
    made = [
        (module, name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    try:
        for module, name, value in made:
            vars(module)[name] = value.detach()
        made_anew = in_one_line(what, partial(copy.deepcopy, model), ConversionError)
    finally:
        for module, name, value in made:
            vars(module)[name] = value
    modules.keep_activations(made_anew)
    return made_anew


def _elsewhere(copied: nn.Module, original: nn.Module) -> list[str]:
    """Return notes on functions in a copy that hold on to the network that was copied, as closures do."""
    theirs = {id(module) for module in original.modules()}
    return [
        f"{cleaned(path) or 'the model'}: {name}() runs parts of the network that was copied, not of the copy; inplace=True takes none."
        for path, module in copied.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, FunctionType)
        and any(id(getattr(each, "__self__", each)) in theirs for each in cells_of(value).values())
    ]


def _kept(model: nn.Module) -> nn.Module | ConversionError:
    """Return a copy of a network that is itself converted, or why there is none."""
    try:
        return _copied(model, "the network cannot be copied")
    except ConversionError as error:
        return error


def _moved(before: nn.Module | ConversionError, after: nn.Module, batches: Passes, notes: list[str]) -> Drift | None:
    """Return how far the outputs have moved; if they cannot be compared, None and a note."""
    try:
        if isinstance(before, ConversionError):
            raise before
        return drifting.drift(before, after, batches)
    except ConversionError as error:
        notes.append(f"How far the outputs have moved is not known: {error}.")
        return None


class _Work:
    """One conversion, candidate by candidate."""

    def __init__(self, root: nn.Module, target: Target, selection: Selection, subclasses: bool) -> None:
        self.changes: list[Change] = []
        self.left: list[Left] = []
        self.notes = [target.warning] if target.warning else []
        self._root, self._target, self._selection, self._subclasses = root, target, selection, subclasses
        self._calls: dict[nn.Module, dict[Place, float]] = {}

    def convert(self, candidate: Candidate) -> None:
        """Convert a candidate, or leave it, for a reason."""
        reason = next(self._reasons(candidate), None)
        if reason is not None:
            self.left += [Left(site, candidate.path, candidate.form, reason) for site in candidate.sites]
            return
        module, origin = candidate.origin.module, candidate.origin
        if origin.attribute is not None:
            activation = modules.WarmLeakyReLU(candidate.slope or 0.0)
            self._become(activation)
            modules.hold(module, origin.attribute, activation)
            after = modules.written(activation)
        elif origin.place is not None:
            slope = 0.0 if self._target.to == "relu" else self._target.slope or 0.0
            self._calls.setdefault(module, {})[origin.place] = slope
            after = "relu" if self._target.to == "relu" else f"leaky_relu({slope:g})"
        else:
            self._become(module)
            after = modules.written(module)
        self.changes += [
            Change(site, candidate.path, candidate.form, candidate.before, after, candidate.how)
            for site in candidate.sites
        ]

    def finish(self) -> None:
        """Rewrite the code of the modules whose calls are to be converted, each once."""
        for module, slopes in self._calls.items():
            classes.convert_calls(module, slopes)
        bound.rebind(self._root)
        modules.mind_transformers(self._root)

    def _reasons(self, candidate: Candidate) -> Iterator[str]:
        """Yield the reasons for which a candidate stays as it is."""
        module, kind = candidate.origin.module, candidate.kind
        if candidate.reason is not None:
            yield candidate.reason
        refusal = self._selection.refusal(kind, candidate.sites)
        if refusal is not None:
            yield refusal
        to, slope = self._target.to, self._target.slope
        if kind == to and (to != "leaky_relu" or slope is None or candidate.before == self._target.text):
            yield f"is {candidate.before} already"
        if candidate.how == "module":
            if modules.is_subclass(module) and not self._subclasses:
                yield f"a subclass of {candidate.form}: only when asked for (subclasses)"
            if module._parameters.keys() - {"weight"} or module._modules:
                yield "holds more than its activation"
        if candidate.how == "call":
            if to == "prelu":
                yield "a call has no place for a slope that is learned; a module has"
            if kind == "prelu" and slope is None:
                yield "a call is handed its slopes; a module has them"

    def _become(self, module: nn.Module) -> None:
        if self._target.to == "leaky_relu":
            modules.to_leaky(module, self._target.slope)
        elif self._target.to == "relu":
            modules.to_relu(module)
        elif modules.to_prelu(module, self._target.slope, self._like()):
            self._note("PReLU adds its weights to the network's state: checkpoints from before lack them.")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _like(self) -> Tensor:
        """Return a parameter to take the type and device of new ones from."""
        return next((each for each in self._root.parameters() if each.is_floating_point()), torch.empty(0))
