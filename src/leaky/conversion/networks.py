"""Converting a PyTorch network."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from leaky.conversion.result import Change, Conversion, Left
from leaky.conversion.selection import Selection
from leaky.torch.rewriting import classes, modules, places
from leaky.torch.rewriting.places import Place
from leaky.torch.rewriting.reach import reached
from leaky.torch.watch import unwrapped
from leaky.torch.watch.names import cleaned
from leaky.user_code import in_one_line


class ConversionError(ValueError):
    """A network that cannot be converted; the text says why in one line."""


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


def convert_network(
    model: nn.Module, target: Target, selection: Selection, *, subclasses: bool, inplace: bool
) -> Conversion:
    """Convert the rectifiers of a network; see :func:`leaky.convert`."""
    if not inplace:
        model = in_one_line("model: it cannot be copied (inplace=True needs no copy)", partial(copy.deepcopy, model), ConversionError)
    work = _Work(unwrapped(model), target, selection, subclasses)
    work.run()
    return Conversion(model, tuple(work.changes), tuple(work.left), tuple(work.notes))


class _Work:
    """One conversion, module by module."""

    def __init__(self, root: nn.Module, target: Target, selection: Selection, subclasses: bool) -> None:
        self.changes: list[Change] = []
        self.left: list[Left] = []
        self.notes: list[str] = []
        self._root, self._target, self._selection, self._subclasses = root, target, selection, subclasses
        self._names: Counter[str] = Counter()
        self._path = ""

    def run(self) -> None:
        """Convert all that is to be converted."""
        opaque: list[str] = []
        for path, module in list(self._root.named_modules()):
            if any(path.startswith(f"{each}." if each else "") for each in opaque):
                continue
            self._path = cleaned(path)
            reason = _opaque(module)
            if reason is not None:
                opaque.append(path)
                self._leave(self._path or "the model", f"nn.{type(module).__name__}", reason)
            elif (known := modules.kind_of(module)) is not None:
                self._module(module, *known)
            else:
                self._functions(module)
                self._calls(module)
        for module in self._root.modules():
            modules.mind_fused_path(module)

    def _module(self, module: nn.Module, kind: str, form: str) -> None:
        name = self._unused(self._path or f"{kind}()")
        before = modules.written(module)
        reason = self._selection.refusal(kind, [name]) or self._already(kind, before)
        if reason is None and modules.is_subclass(module) and not self._subclasses:
            reason = f"a subclass of {form}: only when asked: subclasses=True"
        if reason is None and (module._parameters.keys() - {"weight"} or list(module.children())):
            reason = "holds more than its activation"
        if reason is not None:
            self._leave(name, form, reason)
            return
        self._become(module)
        self.changes.append(Change(name, self._path, form, before, modules.written(module), "module"))

    def _become(self, module: nn.Module) -> None:
        if self._target.to == "leaky_relu":
            modules.to_leaky(module, self._target.slope)
        elif self._target.to == "relu":
            modules.to_relu(module)
        else:
            if modules.to_prelu(module, self._target.slope, self._like()):
                self._note("PReLU adds its weights to the network's state: checkpoints from before lack them.")

    def _functions(self, module: nn.Module) -> None:
        """Convert the functions that a module holds as attributes."""
        for attribute, (kind, form, slope) in modules.functions_held(module).items():
            name = self._unused(f"{self._path}.{form}()" if self._path else f"{form}()")
            before = form if slope is None else f"{form}({slope:g})"
            reason = self._selection.refusal(kind, [name]) or self._already(kind, before)
            if reason is not None:
                self._leave(name, form, reason)
                continue
            activation = modules.WarmLeakyReLU(slope or 0.0)
            self._become(activation)
            modules.hold(module, attribute, activation)
            self.changes.append(Change(name, self._path, form, before, modules.written(activation), "attribute"))

    def _calls(self, module: nn.Module) -> None:
        """Convert the calls in the code of a module that can be nothing but rectifiers."""
        cls = classes.origin(module)
        old = dict(zip(classes.places(module), getattr(module, "leaky_slopes", ()), strict=True))
        slopes: dict[Place, float] = {}
        for place in places.plain_places(cls):
            name = self._unused(self._named(place))
            before = f"leaky_relu({old[place]:g})" if place in old else place.kind
            kind = "leaky_relu" if old.get(place) else place.kind
            reason = self._selection.refusal(kind, [name]) or self._already(kind, before)
            if reason is None and self._target.to == "prelu":
                reason = "a call has no place for a slope that is learned; a module has"
            if reason is None and kind == "prelu" and self._target.slope is None:
                reason = "a call that is handed its slopes"
            if reason is not None:
                self._leave(name, place.form, reason)
                continue
            slopes[place] = 0.0 if self._target.to == "relu" else self._target.slope or 0.0
            self.changes.append(Change(name, self._path, place.form, before, self._target.text, "call"))
        for place in places.doubtful_places(cls):
            self._leave(
                self._unused(self._named(place)),
                place.form,
                "whether it is an activation shows only on data: give data=",
            )
        for here in reached(cls).values():
            if here.source is None:
                name = here.function.__qualname__
                self._leave(self._path or "the model", name, "its source is not there, or not what runs: what it calls is not seen")
        if slopes:
            classes.convert_calls(module, slopes)

    def _named(self, place: Place) -> str:
        return f"{self._path}.{place.call}()" if self._path else f"{place.call}()"

    def _already(self, kind: str, before: str) -> str | None:
        """Return that a rectifier is what is wanted, if it is."""
        to, slope = self._target.to, self._target.slope
        if kind == to and (to != "leaky_relu" or slope is None or before == self._target.text):
            return f"is {before} already"
        return None

    def _leave(self, site: str, form: str, reason: str) -> None:
        self.left.append(Left(site, self._path, form, reason))

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _unused(self, name: str) -> str:
        number = self._names[name]
        self._names[name] += 1
        return f"{name}[{number}]" if number else name

    def _like(self) -> Tensor:
        """Return a parameter to take the type and device of new ones from."""
        return next((each for each in self._root.parameters() if each.is_floating_point()), torch.empty(0))


def _opaque(module: nn.Module) -> str | None:
    """Return why nothing in a module can be converted, if nothing can."""
    cls: Any = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript: its code is fixed"
    if isinstance(module, torch.fx.GraphModule):
        return "a graph of torch.fx: its code is made anew whenever it changes"
    if isinstance(module, nn.RNNBase | nn.RNNCell) and getattr(module, "nonlinearity", None) == "relu":
        return "does its steps in one call"
    if isinstance(module, nn.RNNBase) and getattr(module, "mode", "") == "RNN_RELU":
        return "does its steps in one call"
    if cls.__module__.startswith(("torch.ao.nn", "torch.nn.quantized")) and "ReLU" in cls.__name__:
        return "a quantised layer with its activation in it"
    return None
