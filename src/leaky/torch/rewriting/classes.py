"""Classes whose methods call Leaky ReLU where those of the class they are made of call another rectifier.

Such a class is made once for a class and the places in its code, is called as that class is, and its modules are pickled
as modules of that class, with the places: so both sides need its source.
"""

from __future__ import annotations

import ast
import copy
import functools
import operator
from types import CellType, FunctionType
from typing import Any

from torch import nn

from leaky.torch.rewriting import calls
from leaky.torch.rewriting.places import Place
from leaky.torch.rewriting.reach import Reached, callee, reached
from leaky.torch.rewriting.sources import Source, recompiled, rewrapped

_OWNER = "__leaky_owner__"
_CELLS: dict[str, Any] = {
    "__leaky_converted__": calls.converted,
    "__leaky_method__": calls.method,
    "__leaky_product__": operator.mul,
    "__leaky_bound__": functools.partial,
}


def origin(module: nn.Module) -> type[nn.Module]:
    """Return the class of a module as its author wrote it."""
    cls: type[nn.Module] = getattr(type(module), "leaky_origin", type(module))
    return cls


def places(module: nn.Module) -> tuple[Place, ...]:
    """Return the places of a module's code that were converted; its ``leaky_slopes`` has a slope for each."""
    found: tuple[Place, ...] = getattr(type(module), "leaky_places", ())
    return found


def convert_calls(module: nn.Module, slopes: dict[Place, float]) -> None:
    """Have a module call Leaky ReLU at these places of its code; those converted before keep their slopes."""
    both = {**dict(zip(places(module), getattr(module, "leaky_slopes", ()), strict=True)), **slopes}
    module.__class__ = rewritten(origin(module), tuple(both))
    module.leaky_slopes = list(both.values())  # type: ignore[assignment]  # modules declare tensors and modules


@functools.lru_cache(maxsize=None)
def rewritten(cls: type[nn.Module], where: tuple[Place, ...]) -> type[nn.Module]:
    """Return the class whose methods call Leaky ReLU at these places; see :mod:`leaky.torch.rewriting.classes`.

    Raises:
        RuntimeError: the source of the class is not there, or not what it was when the places were found.
    """
    functions = _Functions(cls, where)
    made: dict[str, Any] = {
        here.outer.__name__: functions.outer(here)
        for here in reached(cls).values()
        if here.definer is not None and getattr(cls, here.outer.__name__, None) is here.outer and functions.concern(here)
    }

    def __reduce_ex__(self: Any, protocol: Any) -> Any:  # noqa: N807
        make, arguments, *rest = super(result, self).__reduce_ex__(protocol)
        plain = tuple(cls if each is result else each for each in arguments)
        return (rebuilt, (cls, where, make, plain), *rest)

    made |= {"__reduce_ex__": __reduce_ex__, "leaky_origin": cls, "leaky_places": where}
    made |= {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    result: type[nn.Module] = type(cls)(cls.__name__, (cls,), made)
    return result


def rebuilt(cls: type[nn.Module], where: tuple[Place, ...], make: Any, arguments: tuple[Any, ...]) -> nn.Module:
    """Return a module of a rewritten class, without its state: what a pickled one is made by."""
    module: nn.Module = make(*arguments)
    module.__class__ = rewritten(cls, where)
    return module


class _Functions:
    """The functions of a class that are made anew."""

    def __init__(self, cls: type, where: tuple[Place, ...]) -> None:
        self._cls, self._where = cls, where
        self._reached = reached(cls)
        self._made: dict[str, CellType] = {}
        for place in where:
            here = self._reached.get(place.function)
            nodes = here.nodes if here is not None else []
            if place.index >= len(nodes) or ast.unparse(nodes[place.index]) != place.text:
                raise RuntimeError(
                    f"{cls.__qualname__}: the source of {place.function.split(':')[1]} is not there, or not what it was "
                    f"when the network was converted; expected {place.text!r} at {place.line}"
                )

    def concern(self, here: Reached, seen: tuple[str, ...] = ()) -> bool:
        """Say whether a function holds one of the places, or calls a function that does."""
        if here.key in seen:
            return False
        if any(place.function == here.key for place in self._where):
            return True
        return any(self.concern(each, (*seen, here.key)) for each in self._callees(here).values())

    def _callees(self, here: Reached) -> dict[ast.AST, Reached]:
        """Return the functions that one calls by name, by the nodes that stand for them."""
        found = {}
        for node in here.nodes:
            called = callee(self._cls, here, node)
            if called is not None:
                match = next((each for each in self._reached.values() if each.outer is called[0]), None)
                if match is not None:
                    found[node] = match
        return found

    def outer(self, here: Reached) -> Any:
        """Return the new function in the decorators of the old one; of no method, it takes the module before all else."""
        cell = self._made.get(here.key)
        if cell is None:
            cell = self._made[here.key] = CellType(None)  # it may call itself
            inner = self._inner(here)
            cell.cell_contents = rewrapped(here.outer, here.function, inner)
            if cell.cell_contents is None:
                raise RuntimeError(f"{here.function.__qualname__}: what decorates it cannot be looked into")
        return cell.cell_contents

    def _inner(self, here: Reached) -> FunctionType:
        assert here.source is not None
        changes: dict[int, ast.expr] = {}
        cells = {name: CellType(value) for name, value in _CELLS.items()}
        for number, place in enumerate(self._where):
            if place.function == here.key:
                changes[place.index] = _replacement(here.nodes[place.index], number, place)
        for node, called in self._callees(here).items():
            if self.concern(called):
                self.outer(called)
                name = f"__leaky_function_{len(cells)}__"
                cells[name] = self._made[called.key]
                through_super = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call)
                bound = through_super or called.definer is None
                text = f"__leaky_bound__({name}, {_OWNER})" if bound else name
                changes[here.nodes.index(node)] = _expression(text)
        tree = copy.deepcopy(here.source.node)
        order = {node: index for index, node in enumerate(ast.walk(tree))}
        tree = _Exchange({node: changes[index] for node, index in order.items() if index in changes}).visit(tree)
        _name_owner(tree, here.owner)
        return recompiled(here.function, Source(tree, here.source.owner, here.source.imports), cells)


class _Exchange(ast.NodeTransformer):
    """Puts other expressions in the places of some; the first arguments of a new call are kept empty for what was there."""

    def __init__(self, new: dict[ast.AST, ast.expr]) -> None:
        self._new = new

    def visit(self, node: ast.AST) -> Any:
        new = self._new.get(node)
        node = self.generic_visit(node)
        if new is None:
            return node
        for each in ast.walk(new):
            ast.copy_location(each, node)
        return _Fill(node).visit(new)


class _Fill(ast.NodeTransformer):
    """Puts what was there before into what replaces it."""

    def __init__(self, old: ast.AST) -> None:
        self._old: Any = old

    def visit_Name(self, node: ast.Name) -> Any:  # noqa: N802
        match node.id:
            case "__old__":
                return self._old
            case "__old_base__":
                return self._old.func.value
            case "__old_left__":
                return self._old.left
            case "__old_right__":
                return self._old.right
        return node


def _replacement(node: ast.AST, number: int, place: Place) -> ast.expr:
    rectifies = place.kind == "relu"
    match place.way:
        case "method":
            assert isinstance(node, ast.Call)
            assert isinstance(node.func, ast.Attribute)
            return _expression(
                f"__leaky_method__({_OWNER}, {number}, {rectifies}, __old_base__, {node.func.attr!r})"
            )
        case "product":
            function = f"__leaky_converted__({_OWNER}, {number}, {place.operand}, {rectifies}, __leaky_product__)"
            return _expression(f"{function}(__old_left__, __old_right__)")
    return _expression(f"__leaky_converted__({_OWNER}, {number}, {place.operand}, {rectifies}, __old__)")


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _name_owner(tree: Any, owner: str | None) -> None:
    """Have the module known by a name of our own: a method's first argument, or one that comes before all others."""
    if owner is None:
        arguments = tree.args.posonlyargs or tree.args.args
        arguments.insert(0, ast.arg(_OWNER))
    else:
        first = ast.parse(f"{_OWNER} = {owner}").body[0]
        for each in ast.walk(first):
            ast.copy_location(each, tree.body[0])
        documented = ast.get_docstring(tree) is not None
        tree.body.insert(1 if documented else 0, first)
