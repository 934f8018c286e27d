"""A conversion made again, from what the weights of the converted network say of it.

The weights may come from a file, and are hostile until trusted: nothing in them is run, and only rectifiers, and maxima with 0,
can be exchanged by what they say.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from leaky.torch.rewriting import bound, classes, modules
from leaky.torch.rewriting.calls import FUNCTIONS, MAYBE
from leaky.torch.rewriting.mentions import rectifier
from leaky.torch.rewriting.places import Place, place_of
from leaky.torch.rewriting.reach import Reached, reached
from leaky.torch.slopes import Record, slopes_of
from leaky.wording import counted, listing

_METHODS = {function.__name__ for function in (*FUNCTIONS, *MAYBE) if hasattr(Tensor, function.__name__)}
_KINDS = set(FUNCTIONS.values())


def restore(model: nn.Module, record: Record, tensors: Mapping[str, Tensor]) -> str:
    """Convert a network as the one was whose weights these are, in place; say in one line to what, "" if to nothing.

    Where the weights say nothing of it, or what they say cannot be done, it stays as it is.

    Args:
        model: the network, as its author's code makes it.
        record: what its weights say of their slopes.
        tensors: the weights: one for a rectifier that has none is that of a PReLU.
    """
    classes.refresh(model)
    work = _Work(model)
    for name, weight in tensors.items():
        work.thaw(name, weight)
    for path in sorted(record.frozen):
        work.freeze(path)
    for path, slopes in record.slopes.items():
        if path in record.relus:
            work.to_relu(path)
        elif isinstance(slopes, list):
            work.convert_calls(path, slopes, record.places.get(path, []))
        else:
            work.convert(path, slopes)
    bound.rebind(model)
    modules.mind_transformers(model)
    return listing([f"{text} in {counted(count, 'place')}" for text, count in work.made.items()])


class _Work:
    """What has been converted, by what it is now, and how often."""

    def __init__(self, model: nn.Module) -> None:
        self.made: Counter[str] = Counter()
        self._modules = dict(model.named_modules(remove_duplicate=False))
        self._names = set(model.state_dict())
        self._like = next((each for each in model.parameters() if each.is_floating_point()), torch.empty(0))

    def thaw(self, name: str, weight: Tensor) -> None:
        """Make a PReLU of what has a weight in the file and none in the network."""
        path, _, last = name.rpartition(".")
        # What is contiguous is all in the file: one number, repeated, could claim any length.
        if name in self._names or last != "weight" or weight.ndim != 1 or not weight.is_contiguous():
            return
        module = self._rectifier(path)
        if module is not None and "weight" not in module._parameters:
            modules.to_prelu(module, None, self._like)
            start = module._parameters["weight"]
            assert start is not None
            if len(weight) != 1:
                module._parameters["weight"] = nn.Parameter(start.detach().expand(len(weight)).clone())
                module.__dict__["num_parameters"] = len(weight)
            self.made["prelu"] += 1

    def freeze(self, path: str) -> None:
        """Have a PReLU keep its slopes."""
        module = self._modules.get(path)
        if isinstance(module, nn.PReLU):
            modules.to_leaky(module, None)
            self.made["leaky_relu, its slopes frozen,"] += 1

    def to_relu(self, path: str) -> None:
        """Make a ReLU of a Leaky ReLU."""
        module = self._modules.get(path)
        if isinstance(module, nn.LeakyReLU):
            modules.to_relu(module)
            self.made["relu"] += 1

    def convert(self, path: str, slope: float) -> None:
        """Give a rectifier its slope."""
        module = self._rectifier(path)
        if module is None or "weight" in (*module._parameters, *module._buffers):
            return
        if not isinstance(module, nn.LeakyReLU):
            modules.to_leaky(module, slope)
        elif module.negative_slope != slope:
            module.negative_slope = slope  # the class may be of its author's own
        else:
            return
        self.made[modules.written(module)] += 1

    def _rectifier(self, path: str) -> nn.Module | None:
        """Return the rectifier at a path; a function that a module holds becomes one."""
        module = self._modules.get(path)
        if module is not None:
            return None if modules.kind_of(module) is None else module
        above, _, name = path.rpartition(".")
        holder = self._modules.get(above)
        if holder is None or name not in (held := modules.functions_held(holder)):
            return None
        activation = self._modules[path] = modules.WarmLeakyReLU(held[name][2] or 0.0)
        modules.hold(holder, name, activation)
        return activation

    def convert_calls(self, path: str, slopes: list[float], rows: Iterable[list[Any]]) -> None:
        """Give the calls in a module's code their slopes, if all of them are found in it."""
        module = self._modules.get(path)
        if module is None or slopes_of(module) == slopes:
            return
        found = [_place(classes.origin(module), row) for row in rows]
        places = [place for place in found if place is not None]
        if places and len(places) == len(found):
            classes.convert_calls(module, dict(zip(places, slopes, strict=True)))
            self.made.update("relu" if slope == 0 else f"leaky_relu({slope:g})" for slope in slopes)


def _place(cls: type[nn.Module], row: list[Any]) -> Place | None:
    """Return the place in a class's code that was written beside weights, if that code is still what it was."""
    try:
        known = Place(*row)
        key, text = known.function, known.text
        name = key.partition(":")[2]
        matches = [here for here in reached(cls).values() if here.key.partition(":")[2] == name]
        # A file that is run has one name as a script, and another one where it is loaded.
        matches = [here for here in matches if here.key == key] or matches
        (place,) = (found for here in matches if (found := _found(here, known)) and found.text == text)
    except (TypeError, ValueError, AttributeError):  # rows of a file may hold anything
        return None
    return place


def _found(here: Reached, known: Place) -> Place | None:
    """Return the place in a function, if a rectifier may be called there."""
    if known.kind not in _KINDS or known.operand not in (0, 1, 2) or not 0 <= known.index < len(here.nodes):
        return None
    node = here.nodes[known.index]
    around = here.parents.get(node)
    called = isinstance(around, ast.Call) and around.func is node
    fits = {
        # What is called, and no rectifier then, is left alone.
        "function": called or rectifier(here.meaning(node)) is not None,
        "method": isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS,
        "product": isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult),
    }
    return place_of(here, node, known.kind, str(known.form), known.way, known.operand) if fits.get(known.way) else None
