"""The functions that a module runs which call rectifiers: its methods, and what these call by name."""

from __future__ import annotations

import ast
import dis
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import nn

from leaky.torch.rewriting.calls import FUNCTIONS
from leaky.torch.rewriting.sources import Source, cells_of, source_of, within

#: names that say that a function may hold a rectifier
_WORDS = {
    *("relu relu_ leaky_relu leaky_relu_ threshold threshold_ relu6 hardtanh hardtanh_ prelu rrelu rrelu_").split(),
    *("clamp clamp_ clamp_min clamp_min_ clip clip_ maximum max where masked_fill").split(),
}


@dataclass(frozen=True, eq=False)
class Reached:
    """A function that is reached from a module."""

    key: str
    #: as it was found, and within its decorators
    outer: Any
    function: FunctionType
    #: the class that it is a method of; None for others
    definer: type | None
    source: Source | None

    @functools.cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of its syntax tree, in an order by which their places are known."""
        return [] if self.source is None else list(ast.walk(self.source.node))

    @functools.cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node around each."""
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @property
    def owner(self) -> str | None:
        """The name by which it knows the module."""
        code = self.function.__code__
        return code.co_varnames[0] if self.definer is not None and code.co_argcount else None

    @functools.cached_property
    def _local(self) -> dict[str, Any]:
        """Its local names: of what it imports, what that is; of all others None."""
        names: dict[str, Any] = {}
        for code in _codes(self.function.__code__):
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
            return _known(self.function, node.id)
        if isinstance(node, ast.Attribute):
            base = self.meaning(node.value)
            return getattr(base, node.attr, None) if isinstance(base, ModuleType | type) else None
        return None


@functools.lru_cache(maxsize=4096)
def reached(cls: type) -> dict[str, Reached]:
    """Return the functions that may hold rectifiers, by their keys, that the modules of a class run."""
    found: dict[str, Reached] = {}
    for definer in theirs(cls):
        for name, value in vars(definer).items():
            if name in found or (name.startswith("__") and name != "__call__"):
                continue
            if isinstance(value, FunctionType) and getattr(cls, name, None) is value:
                _reach(cls, value, definer, found)
    return found


def theirs(cls: type) -> list[type]:
    """Return the classes that a module's class is made of, but for those of PyTorch itself."""
    return [each for each in cls.__mro__ if each is not object and not is_torchs(each)]


def is_torchs(thing: Any) -> bool:
    """Say whether a class or function is PyTorch's own."""
    return (getattr(thing, "__module__", None) or "").partition(".")[0] == "torch"


def _reach(cls: type, outer: Any, definer: type | None, found: dict[str, Reached]) -> str | None:
    """Enter a function, and what it calls by name, if they may hold rectifiers; return its key."""
    function = within(outer)
    if function is None or not _mentions(function):
        return None
    key = f"{function.__module__}:{function.__qualname__}:{function.__code__.co_name}"
    if key in found:
        return key
    found[key] = here = Reached(key, outer, function, definer, source_of(function))
    for node in here.nodes:
        called = callee(cls, here, node)
        if called is not None:
            _reach(cls, *called, found)
    return key


def callee(cls: type, here: Reached, node: ast.AST) -> tuple[Any, type | None] | None:
    """Return the Python function that an expression stands for, and the class that it is a method of."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call) and here.definer is not None:
        called = node.value
        if isinstance(called.func, ast.Name) and called.func.id == "super" and not called.args:
            mro = cls.__mro__
            for above in mro[mro.index(here.definer) + 1 :]:
                if node.attr in vars(above):
                    value = vars(above)[node.attr]
                    ours = isinstance(value, FunctionType) and not is_torchs(above)
                    return (value, above) if ours else None
    if isinstance(node, ast.Name | ast.Attribute):
        value = here.meaning(node)
        if isinstance(value, FunctionType) and not _is_foreign(value):
            definer = next((each for each in theirs(cls) if vars(each).get(value.__name__) is value), None)
            return value, definer
    return None


def _is_foreign(function: FunctionType) -> bool:
    top = (function.__module__ or "").partition(".")[0]
    return top in ("torch", "leaky", "numpy", "builtins") or top in sys.stdlib_module_names


def _known(function: FunctionType, name: str) -> Any:
    """Return what a name that is not local stands for."""
    cells = cells_of(function)
    return cells[name] if name in cells else function.__globals__.get(name)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)


def _mentions(function: FunctionType, within_: frozenset[FunctionType] = frozenset()) -> bool:
    """Say whether a function may hold rectifiers, by the names in its code, or calls by name one that may."""
    if function in within_:
        return False
    for code in _codes(function.__code__):
        names = {*code.co_names, *code.co_freevars}
        if names & _WORDS or _masks(code):
            return True
        for name in names:
            value = _known(function, name)
            if _is_rectifier(value):
                return True
            inner = within(value) if isinstance(value, FunctionType) and not _is_foreign(value) else None
            if inner is not None and _mentions(inner, within_ | {function}):
                return True
    return False


def _masks(code: CodeType) -> bool:
    """Say whether code compares something and multiplies something."""
    done = {(step.opname, step.argrepr) for step in dis.get_instructions(code) if step.opname.startswith(("COMP", "BIN"))}
    return any(name == "COMPARE_OP" for name, _ in done) and ("BINARY_OP", "*") in done


def _is_rectifier(value: Any) -> bool:
    try:
        return value in FUNCTIONS
    except TypeError:  # it cannot be looked up
        return False


def rectifier(value: Any) -> str | None:
    """Return the kind of a function that is a rectifier."""
    return FUNCTIONS[value] if not isinstance(value, nn.Module) and _is_rectifier(value) else None
