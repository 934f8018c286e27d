"""Where in the code of a module rectifiers are called."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any, Literal

from leaky.torch.rewriting.mentions import rectifier
from leaky.torch.rewriting.reach import Reached, reached

#: of tensors, those that are rectifiers and take nothing
_METHODS = {"relu": "relu", "relu_": "relu"}

_LOWER_BOUNDS = {"clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_"}
_ZEROS = {"zeros", "zeros_like", "new_zeros"}


@dataclass(frozen=True)
class Place:
    """One place in the code at which a rectifier is called; it may be passed several times."""

    #: which of the functions that the module reaches, and which node of its syntax tree
    function: str
    index: int
    #: the code of the node: if it is another one when the network is loaded again, the source has changed
    text: str
    #: of the activation, as of a site, and how it is written
    kind: str
    form: str
    #: a function's name, the call of a tensor's method, or a product
    way: Literal["function", "method", "product"]
    line: str
    #: place of the pre-activation among the arguments
    operand: int = 0

    @property
    def fields(self) -> list[Any]:
        """Return what is written of it beside weights: its fields, plain and in order."""
        return list(astuple(self))

    @property
    def call(self) -> str:
        """What is called, as far as the form says."""
        name = self.form.partition("(")[0]
        return name if name.isidentifier() else self.kind


def plain_places(cls: type) -> list[Place]:
    """Return the places that can be nothing but rectifiers, in the order in which they are written."""
    return [place for function in reached(cls).values() for place in _plain(function)]


def doubtful_places(cls: type) -> list[Place]:
    """Return the places of maxima with 0 that need not be meant as activations."""
    return [place for function in reached(cls).values() for place in _doubtful(function)]


def place_of(here: Reached, node: ast.AST, kind: str, form: str, way: str, operand: int = 0) -> Place:
    """Return the place of a node."""
    file = here.function.__code__.co_filename.rpartition("/")[2]
    return Place(
        here.key,
        here.nodes.index(node),
        ast.unparse(node),
        kind,
        form,
        way,  # type: ignore[arg-type]  # one of the three
        f"{file}:{getattr(node, 'lineno', 0)}",
        operand,
    )


def _plain(here: Reached) -> Iterator[Place]:
    for node in here.nodes:
        if node in here.outside:
            continue
        around = here.parents.get(node)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            kind = None if isinstance(around, ast.Attribute) else rectifier(here.meaning(node))
            called = around if isinstance(around, ast.Call) and around.func is node else None
            if kind is not None:
                yield place_of(here, node, *_kind_and_form(kind, called), "function")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not (node.args or node.keywords):
            kind = _METHODS.get(node.func.attr)
            own = isinstance(node.func.value, ast.Name) and node.func.value.id == here.owner
            if kind is not None and not own and here.meaning(node.func.value) is None:
                yield place_of(here, node, kind, kind, "method")


def _kind_and_form(kind: str, called: ast.Call | None) -> tuple[str, str]:
    """Return the kind of the call of a rectifier, and how it is written."""
    numbers = [_number(each) for each in called.args[1:3]] if called is not None else []
    if kind == "threshold" and numbers == [0, 0]:
        return "relu", "threshold(0, 0)"
    if kind == "hardtanh" and numbers == [0, 6]:
        return "relu6", "relu6"
    return kind, kind


def _number(node: ast.AST) -> float | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _doubtful(here: Reached) -> Iterator[Place]:
    for node in here.nodes:
        form = _maximum(node) or _mask(node)
        if form is None or node in here.outside:
            continue
        if not isinstance(node, ast.Call):
            yield place_of(here, node, "relu", form, "product")
        elif here.meaning(node.func) is not None:
            yield place_of(here, node.func, "relu", form, "function")
        else:
            yield place_of(here, node, "relu", form, "method")


def _maximum(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    name, given = node.func.attr, {each.arg: each.value for each in node.keywords}
    if name in _LOWER_BOUNDS:
        low = [*node.args, *([given["min"]] if "min" in given else [])]
        high = given.get("max")
        if any(_is_zero(each) for each in low) and (high is None or _number(high) == math.inf):
            return "clamp_min(0)" if "min" in name else "clamp(min=0)"
    if name in ("maximum", "max") and any(_is_zero(each) for each in node.args):
        return "maximum(x, 0)"
    return None


def _mask(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        name = node.func.attr
        if name == "where" and _is_sign(node.args[0]) and any(_is_zero(each) for each in node.args[1:]):
            return f"where({ast.unparse(node.args[0])}, ...)"
        if name == "masked_fill" and _is_sign(node.args[0]) and _is_zero(node.args[-1]):
            return f"masked_fill({ast.unparse(node.args[0])}, 0)"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        for x, mask in ((node.left, node.right), (node.right, node.left)):
            sign = mask.func.value if isinstance(mask, ast.Call) and isinstance(mask.func, ast.Attribute) else mask
            if _is_sign(sign) and isinstance(sign, ast.Compare) and ast.unparse(sign.left) == ast.unparse(x):
                return f"x * ({ast.unparse(sign)})"
    return None


def _is_sign(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and len(node.ops) == 1 and _is_zero(node.comparators[0])


def _is_zero(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        return name in _ZEROS or (name in ("tensor", "as_tensor") and bool(node.args) and _is_zero(node.args[0]))
    return _number(node) == 0
