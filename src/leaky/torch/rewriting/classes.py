"""Classes whose methods call Leaky ReLU where those of the class they are made of call another rectifier.

Such a class is made once for a class and the places in its code, is called as that class is, and its modules are pickled
as modules of that class, with the places: so both sides need its source.
"""

from __future__ import annotations

import ast
import copy
import functools
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

from torch import nn

from leaky.torch.rewriting import calls
from leaky.torch.rewriting.places import Place
from leaky.torch.rewriting.reach import Reached, callee, changed, forget, reached
from leaky.torch.rewriting.sources import Source, recompiled, rewrapped
from leaky.torch.slopes import KeepsSlopes

#: by which new code knows the module
OWNER = "__leaky_owner__"
#: what other names mean in new code
CELLS: dict[str, Any] = {
    "__leaky_converted__": calls.converted,
    "__leaky_method__": calls.method,
    "__leaky_product__": operator.mul,
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


def refresh(root: nn.Module) -> None:
    """Forget what was made of classes, if code of this network's is not what it was then."""
    if changed({origin(module) for module in root.modules()}):
        forget()
        _rewritten.cache_clear()


def is_own(value: Any) -> bool:
    """Say whether something is a module's method, bound to it, as its class has it or had it before it was rewritten."""
    if not isinstance(value, MethodType) or not isinstance(value.__self__, nn.Module):
        return False
    function, known = value.__func__, getattr(origin(value.__self__), getattr(value.__func__, "__name__", ""), None)
    return _name_of(function) == _name_of(known)


def _name_of(function: Any) -> tuple[Any, ...]:
    return tuple(getattr(function, name, None) for name in ("__module__", "__qualname__"))


def methods_held(module: nn.Module) -> frozenset[str]:
    """Return the names of those of its own methods that a module holds, bound."""
    found = set()
    for value in vars(module).values():
        several = value.values() if type(value) is dict else value if type(value) in (list, tuple) else [value]
        for each in several:
            method: Any = each.func if isinstance(each, partial) else each
            if is_own(method):
                found.add(method.__func__.__name__)
    return frozenset(found)


def replaced(module: nn.Module) -> set[str]:
    """Return the names of methods in whose places a module itself holds something else."""
    cls = origin(module)
    return {name for name, value in vars(module).items() if callable(getattr(cls, name, None)) and not is_own(value)}


def rebind(root: nn.Module) -> list[Callable[[], None]]:
    """Have the methods that modules hold, bound, be those of the classes that they are bound to; return what undoes it."""
    undo: list[Callable[[], None]] = []
    for holder in root.modules():
        held = vars(holder)
        for name, value in held.items():
            if name not in ("_modules", "_parameters", "_buffers") and (new := _rebound(value)) is not value:
                undo.append(partial(held.__setitem__, name, value))
                held[name] = new
    return undo


def _rebound(value: Any) -> Any:
    if is_own(value):
        new = getattr(type(value.__self__), value.__func__.__name__)
        return value if new is value.__func__ else MethodType(new, value.__self__)
    if isinstance(value, partial):
        function = _rebound(value.func)
        return value if function is value.func else partial(function, *value.args, **value.keywords)
    if type(value) in (list, tuple, dict):
        before = list(value.values() if isinstance(value, dict) else value)
        after = [_rebound(each) if isinstance(each, MethodType | partial) else each for each in before]
        if any(one is not other for one, other in zip(before, after, strict=True)):
            return dict(zip(value, after, strict=True)) if isinstance(value, dict) else type(value)(after)
    return value


def rewritten(cls: type[nn.Module], where: tuple[Place, ...]) -> type[nn.Module]:
    """Return the class whose methods call Leaky ReLU at these places; see :mod:`leaky.torch.rewriting.classes`.

    Raises:
        RuntimeError: the source of the class is not there, or not what it was when the places were found.
    """
    known: Any = cls  # mypy doubts that classes of modules can be looked up
    return _rewritten(known, where)


@functools.cache
def _rewritten(cls: Any, where: tuple[Place, ...]) -> type[nn.Module]:

    def __reduce_ex__(self: Any, protocol: Any) -> Any:  # noqa: N807
        make, arguments, *rest = super(result, self).__reduce_ex__(protocol)
        plain = tuple(cls if each is result else each for each in arguments)
        return (rebuilt, (cls, where, make, plain), *rest)

    own = {"__reduce_ex__": __reduce_ex__, "leaky_origin": cls, "leaky_places": where}
    result = exchanged(cls, exchanges(cls, where), CELLS, own)
    return result


def rebuilt(cls: type[nn.Module], where: tuple[Place, ...], make: Any, arguments: tuple[Any, ...]) -> nn.Module:
    """Return a module of a rewritten class, without its state: what a pickled one is made by."""
    module: nn.Module = make(*arguments)
    module.__class__ = rewritten(cls, where)
    return module


def exchanges(
    cls: type[nn.Module], where: tuple[Place, ...], around: Callable[[str, int, str], str] | None = None
) -> dict[str, dict[int, ast.expr]]:
    """Return what is to stand at the places, by function and by the number of the node.

    Args:
        cls: the class as its author wrote it.
        where: the places.
        around: given a function, the number of the node and the text of what is called there: what is called instead.

    Raises:
        RuntimeError: the source of the class is not there, or not what it was when the places were found.
    """
    found: dict[str, dict[int, ast.expr]] = defaultdict(dict)
    for number, place in enumerate(where):
        here = reached(cls).get(place.function)
        nodes = here.nodes if here is not None else []
        if place.index >= len(nodes) or ast.unparse(nodes[place.index]) != place.text:
            raise RuntimeError(
                f"{cls.__qualname__}: the source of {place.function.split(':')[1]} is not there, or not what it was "
                f"when the network was converted; expected {place.text!r} at {place.line}"
            )
        wrap = partial(around, place.function, place.index) if around is not None else str
        found[place.function][place.index] = _replacement(nodes[place.index], number, place, wrap)
    return found


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


def _replacement(node: ast.AST, number: int, place: Place, wrap: Callable[[str], str]) -> ast.expr:
    known = f"{OWNER}, {number}, {place.operand}, {place.kind == 'relu'}"
    if place.way == "method":
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Attribute)
        return _with_arguments_of(node, f"{wrap('__leaky_method__')}({known}, __old_base__, {node.func.attr!r})")
    if place.way == "product":
        return expression(f"{wrap(f'__leaky_converted__({known}, __leaky_product__)')}(__old_left__, __old_right__)")
    return expression(wrap(f"__leaky_converted__({known}, __old__)"))


def expression(text: str) -> ast.expr:
    """Return the tree of an expression."""
    return ast.parse(text, mode="eval").body


def _with_arguments_of(old: ast.Call, text: str) -> ast.expr:
    """Return a call that takes the arguments of another one after its own."""
    new = expression(text)
    assert isinstance(new, ast.Call)
    new.args += [ast.Name(f"__old_argument_{number}__", ast.Load()) for number in range(len(old.args))]
    new.keywords += [
        ast.keyword(each.arg, ast.Name(f"__old_keyword_{n}__", ast.Load())) for n, each in enumerate(old.keywords)
    ]
    return new


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
