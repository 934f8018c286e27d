"""Other expressions in the places of some in the code of a class: in its methods, and in what these call by name."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from functools import partial
from types import CellType, FunctionType
from typing import Any

from torch import nn

from leaky.torch.rewriting.reach import Reached, callee, reached
from leaky.torch.rewriting.sources import Source, recompiled, rewrapped
from leaky.torch.slopes import KeepsSlopes

#: by which new code knows the module
OWNER = "__leaky_owner__"


def exchanged(
    cls: type[nn.Module], exchanges: Mapping[str, Mapping[int, ast.expr]], cells: dict[str, Any], own: dict[str, Any]
) -> type[nn.Module]:
    """Return a class made of another one, with expressions exchanged in the code of its methods and what they call.

    Args:
        cls: the other one.
        exchanges: by function and by the number of the node: what stands there instead. In it ``__old__`` is what stood
            there before, and ``__leaky_owner__`` the module.
        cells: what other names mean in it.
        own: further attributes of the class.
    """
    functions = _Functions(cls, exchanges, cells)
    make: Any = type(cls)
    made: dict[str, Any] = {
        here.name: functions.outer(here)
        for here in reached(cls).values()
        if here.definer is not None and getattr(cls, here.name, None) is here.outer and functions.concern(here)
    }
    made |= {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    bases = (cls,) if issubclass(cls, KeepsSlopes) else (KeepsSlopes, cls)
    result: type[nn.Module] = make(cls.__name__, bases, {**made, **own})
    return result


class _Functions:
    """The functions of a class that are made anew."""

    def __init__(self, cls: type, exchanges: Mapping[str, Mapping[int, ast.expr]], cells: dict[str, Any]) -> None:
        self._cls, self._exchanges, self._cells = cls, exchanges, cells
        self._reached = reached(cls)
        self._made: dict[str, CellType] = {}

    def concern(self, here: Reached, seen: tuple[str, ...] = ()) -> bool:
        """Say whether something is exchanged in a function, or in one that it calls."""
        if here.key in seen:
            return False
        if self._exchanges.get(here.key):
            return True
        return any(self.concern(each, (*seen, here.key)) for each in self._callees(here).values())

    def _callees(self, here: Reached) -> dict[ast.AST, Reached]:
        """Return the functions that one calls by name, by the nodes that stand for them."""
        found = {}
        for node in here.nodes:
            called = None if node in here.outside else callee(self._cls, here, node)
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
            cell.cell_contents = rewrapped(here.outer, here.function, self._inner(here))
        return cell.cell_contents

    def _inner(self, here: Reached) -> FunctionType:
        assert here.source is not None
        changes = dict(self._exchanges.get(here.key, {}))
        cells = {name: CellType(value) for name, value in self._cells.items()} | {"__leaky_bound__": CellType(partial)}
        for node, called in self._callees(here).items():
            if self.concern(called):
                self.outer(called)
                name = f"__leaky_function_{len(cells)}__"
                cells[name] = self._made[called.key]
                through_super = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call)
                bound = through_super or called.definer is None
                changes[here.nodes.index(node)] = expression(f"__leaky_bound__({name}, {OWNER})" if bound else name)
        tree = _copied(here.source.node)
        order = {node: index for index, node in enumerate(ast.walk(tree))}
        tree = _Exchange({node: changes[index] for node, index in order.items() if index in changes}).visit(tree)
        _name_owner(tree, here.owner)
        return recompiled(here.function, Source(tree, here.source.owner, here.source.imports), cells)


def _copied(node: Any) -> Any:
    """Return a copy of a tree, sooner than copy.deepcopy does."""
    if isinstance(node, list):
        return [_copied(each) for each in node]
    if not isinstance(node, ast.AST):
        return node
    new = copy.copy(node)
    for name, value in ast.iter_fields(node):
        if isinstance(value, list | ast.AST):
            setattr(new, name, _copied(value))
    return new


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

    def visit_Name(self, node: ast.Name) -> Any:
        match node.id.strip("_").split("_"):
            case ["old"]:
                return self._old
            case ["old", "base"]:
                return self._old.func.value
            case ["old", "left"]:
                return self._old.left
            case ["old", "right"]:
                return self._old.right
            case ["old", "argument", number]:
                return self._old.args[int(number)]
            case ["old", "keyword", number]:
                return self._old.keywords[int(number)].value
        return node


class _Owner(ast.NodeTransformer):
    """Writes what knows the module in a function for our name of it."""

    def __init__(self, owner: ast.expr) -> None:
        self._owner = owner

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(_copied(self._owner), node) if node.id == OWNER else node


def _name_owner(tree: Any, owner: str | None) -> None:
    """Have the module known by a name of our own: a method's first argument, or one that comes before all others."""
    if owner is None:
        arguments = tree.args.posonlyargs or tree.args.args
        arguments.insert(0, ast.arg(OWNER))
    elif isinstance(tree, ast.Lambda):  # which has no place for a statement
        tree.body = _Owner(expression(owner)).visit(tree.body)
    else:
        first = ast.parse(f"{OWNER} = {owner}").body[0]
        for each in ast.walk(first):
            ast.copy_location(each, tree.body[0])
        documented = ast.get_docstring(tree) is not None
        tree.body.insert(1 if documented else 0, first)


def expression(text: str) -> ast.expr:
    """Return the tree of an expression."""
    return ast.parse(text, mode="eval").body
