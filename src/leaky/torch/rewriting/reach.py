"""The functions that a module runs which call rectifiers: its methods, and what these call by name."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from leaky.torch.rewriting.mentions import (
    WORDS,
    attribute,
    codes,
    is_foreign,
    is_rectifier,
    is_torchs,
    known_name,
    mentions,
    theirs,
)
from leaky.torch.rewriting.sources import Source, around, rewrapped, source_of, within


@dataclass(frozen=True, eq=False)
class Reached:
    """A function that is reached from a module."""

    key: str
    #: as it was found, and within its decorators
    outer: Any
    function: FunctionType
    #: the class that it is a method of; None for others
    definer: type | None
    #: None if it cannot be had, and why
    source: Source | None
    problem: str = ""
    #: by what name the class has it
    name: str = ""

    @functools.cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of its syntax tree, in an order by which their places are known."""
        return [] if self.source is None else list(ast.walk(self.source.node))

    @functools.cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node around each."""
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @functools.cached_property
    def outside(self) -> set[ast.AST]:
        """The nodes that are no code of its own: of decorators, annotations, and what arguments are by default."""
        if self.source is None:
            return set()
        tree = self.source.node
        parts = [*getattr(tree, "decorator_list", []), getattr(tree, "returns", None), tree.args]
        return {node for part in parts if part is not None for node in ast.walk(part)}

    @property
    def owner(self) -> str | None:
        """The name, or expression, by which it knows the module."""
        code = self.function.__code__
        if self.definer is None:
            return None
        # A decorator's may take all that it is given.
        takes_all = not code.co_argcount and code.co_flags & inspect.CO_VARARGS
        return f"{code.co_varnames[code.co_kwonlyargcount]}[0]" if takes_all else code.co_varnames[0]

    @property
    def names_rectifiers(self) -> bool:
        """Whether its code has the name of one."""
        return any(WORDS & set(code.co_names) for code in codes(self.function.__code__))

    @functools.cached_property
    def _local(self) -> dict[str, Any]:
        """Its local names: of what it imports, what that is; of all others None."""
        names: dict[str, Any] = {}
        for code in codes(self.function.__code__):
            names.update(dict.fromkeys((*code.co_varnames, *code.co_cellvars)))
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    names[alias.asname or alias.name.partition(".")[0]] = sys.modules.get(
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    names[alias.asname or alias.name] = getattr(sys.modules.get(node.module or ""), alias.name, None)
        return names

    def meaning(self, node: ast.AST) -> Any:
        """Return what a name, or a dotted one, stands for, if that does not depend on when it is asked; else None."""
        if isinstance(node, ast.Name):
            if node.id in self._local:
                return self._local[node.id]
            return known_name(self.function, node.id)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == self.owner:  # what the class itself holds
                held = attribute(self.definer, node.attr)
                return held if is_rectifier(held) else None
            return attribute(self.meaning(node.value), node.attr)
        return None


# By what names descriptors hold the function that they are made of: those of Python's own, its cached properties and caches.
_INNER = ("__func__", "fget", "func", "__wrapped__")


def reached(cls: type) -> dict[str, Reached]:
    """Return the functions that may hold rectifiers, by their keys, that the modules of a class run."""
    known: Any = cls  # mypy doubts that classes of modules can be looked up
    return _reached(known)


#: by class: its functions when they were looked at, and the global names by which they call others
_FUNCTIONS: WeakKeyDictionary[type, list[Any]] = WeakKeyDictionary()


_NAMED: WeakKeyDictionary[type, list[tuple[dict[str, Any], str, Any]]] = WeakKeyDictionary()


def changed(classes: Iterable[type]) -> bool:
    """Say whether functions have taken the places of others since these classes were looked at, as in a notebook."""
    known = [(cls, before) for cls in classes if (before := _FUNCTIONS.get(cls)) is not None]
    return any(
        before != _functions(cls) or any(names.get(name) is not value for names, name, value in _NAMED.get(cls, ()))
        for cls, before in known
    )


def forget() -> None:
    """Look at all classes anew."""
    _reached.cache_clear()
    _FUNCTIONS.clear()
    _NAMED.clear()


def _functions(cls: type) -> list[Any]:
    return [value for definer in theirs(cls) for value in vars(definer).values() if isinstance(value, FunctionType)]


@functools.lru_cache(maxsize=4096)
def _reached(cls: Any) -> dict[str, Reached]:
    _FUNCTIONS[cls] = _functions(cls)
    found: dict[str, Reached] = {}
    for definer in theirs(cls):
        for name, value in vars(definer).items():
            if (name.startswith("__") and name != "__call__") or cls.__dict__.get(name, value) is not value:
                continue
            inner = next((held for each in _INNER if (held := getattr(value, each, None)) is not None), None)
            if isinstance(value, FunctionType) and getattr(cls, name, None) is value:
                _reach(cls, value, definer, found, name)
            elif isinstance(inner, FunctionType) and mentions(inner, cls):
                reason = f"a {type(value).__name__}, which does not know its module or is no method"
                found[_key(inner)] = Reached(_key(inner), inner, inner, None, None, reason)
    return found


def _key(function: FunctionType) -> str:
    return f"{function.__module__}:{function.__qualname__}:{function.__code__.co_name}"


def run_by_forward(cls: type, held: Iterable[str] = ()) -> list[Reached]:
    """Return those of the functions that a forward pass may run, as far as their names tell, and by which they are held."""
    names, before = {"forward", "__call__", *held}, 0
    while len(names) > before:
        before = len(names)
        for definer in theirs(cls):
            for name in names & vars(definer).keys():
                inner = within(vars(definer)[name])
                names |= {each for code in codes(inner.__code__) for each in code.co_names} if inner else set()
    return [here for here in reached(cls).values() if here.name in names or not here.name]


def _reach(cls: type, outer: Any, definer: type | None, found: dict[str, Reached], name: str = "") -> None:
    """Enter a function, and what it calls by name, if they may hold rectifiers."""
    function = within(outer)
    if function is None or not any(mentions(each, cls) for each in (function, *around(outer))):
        return
    key = _key(function)
    if key in found:
        return
    source, problem = source_of(function), "its source is not there, or not what runs: what it calls is not seen"
    if source is not None and rewrapped(outer, function, function) is None:
        source, problem = None, "what decorates it cannot be looked into"
    found[key] = here = Reached(key, outer, function, definer, source, problem, name)
    for node in here.nodes:
        called = None if node in here.outside else callee(cls, here, node)
        if called is not None:
            if isinstance(node, ast.Name) and function.__globals__.get(node.id) is called[0]:
                _NAMED.setdefault(cls, []).append((function.__globals__, node.id, called[0]))
            _reach(cls, *called, found)


def callee(cls: type, here: Reached, node: ast.AST) -> tuple[Any, type | None] | None:
    """Return the Python function that an expression stands for, and the class that it is a method of."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call) and here.definer is not None:
        called = node.value
        if isinstance(called.func, ast.Name) and called.func.id == "super" and len(called.args) in (0, 2):
            mro = cls.__mro__
            # As it was written before Python 3: super(Net, self)
            definer = here.meaning(called.args[0]) if called.args else here.definer
            for above in mro[mro.index(definer) + 1 :] if definer in mro else ():
                if node.attr in vars(above):
                    value = vars(above)[node.attr]
                    ours = isinstance(value, FunctionType) and not is_torchs(above)
                    return (value, above) if ours else None
    if isinstance(node, ast.Name | ast.Attribute):
        value = here.meaning(node)
        if isinstance(value, FunctionType) and not is_foreign(value):
            definer = next((each for each in theirs(cls) if any(value is own for own in vars(each).values())), None)
            return value, definer
    return None
