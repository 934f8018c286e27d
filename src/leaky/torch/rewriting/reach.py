"""The functions that a module runs which call rectifiers: its methods, and what these call by name."""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import nn

from leaky.torch.rewriting.calls import FUNCTIONS
from leaky.torch.rewriting.sources import Source, cells_of, rewrapped, source_of, within

# Names that say that a function holds a rectifier, and those that say that it may.
_WORDS = {
    *("relu", "relu_", "leaky_relu", "leaky_relu_", "threshold", "threshold_", "prelu", "rrelu", "rrelu_"),
    *("relu6", "hardtanh", "hardtanh_"),
}
_DOUBTFUL_WORDS = {
    *("clamp", "clamp_", "clamp_min", "clamp_min_", "clip", "clip_", "maximum", "max", "where", "masked_fill"),
    *("mul", "mul_", "multiply", "getattr"),  # as in getattr(F, name)
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

    @property
    def owner(self) -> str | None:
        """The name by which it knows the module."""
        code = self.function.__code__
        return code.co_varnames[0] if self.definer is not None and code.co_argcount else None

    @property
    def names_rectifiers(self) -> bool:
        """Whether its code has the name of one."""
        return any(_WORDS & set(code.co_names) for code in _codes(self.function.__code__))

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
            if isinstance(node.value, ast.Name) and node.value.id == self.owner:  # what the class itself holds
                held = inspect.getattr_static(self.definer, node.attr, None)
                held = held.__func__ if isinstance(held, staticmethod) else held
                return held if _is_rectifier(held) else None
            base = self.meaning(node.value)
            return getattr(base, node.attr, None) if isinstance(base, ModuleType | type) else None
        return None


def reached(cls: type) -> dict[str, Reached]:
    """Return the functions that may hold rectifiers, by their keys, that the modules of a class run."""
    known: Any = cls  # mypy doubts that classes of modules can be looked up
    return _reached(known)


@functools.lru_cache(maxsize=4096)
def _reached(cls: Any) -> dict[str, Reached]:
    found: dict[str, Reached] = {}
    for definer in theirs(cls):
        for name, value in vars(definer).items():
            if (name.startswith("__") and name != "__call__") or cls.__dict__.get(name, value) is not value:
                continue
            inner = getattr(value, "__func__", None) or getattr(value, "fget", None)
            if isinstance(value, FunctionType) and getattr(cls, name, None) is value:
                _reach(cls, value, definer, found, name)
            elif isinstance(inner, FunctionType) and _mentions(inner):
                reason = f"a {type(value).__name__}, which does not know its module or is no method"
                found[_key(inner)] = Reached(_key(inner), inner, inner, None, None, reason)
    return found


def _key(function: FunctionType) -> str:
    return f"{function.__module__}:{function.__qualname__}:{function.__code__.co_name}"


def theirs(cls: type) -> list[type]:
    """Return the classes that a module's class is made of, but for those of PyTorch itself."""
    return [each for each in cls.__mro__ if each is not object and not is_torchs(each)]


def is_torchs(thing: Any) -> bool:
    """Say whether a class or function is PyTorch's own."""
    return (getattr(thing, "__module__", None) or "").partition(".")[0] == "torch"


def _reach(cls: type, outer: Any, definer: type | None, found: dict[str, Reached], name: str = "") -> None:
    """Enter a function, and what it calls by name, if they may hold rectifiers."""
    function = within(outer)
    if function is None or not _mentions(function):
        return
    key = _key(function)
    if key in found:
        return
    source, problem = source_of(function), "its source is not there, or not what runs: what it calls is not seen"
    if source is not None and rewrapped(outer, function, function) is None:
        source, problem = None, "what decorates it cannot be looked into"
    found[key] = here = Reached(key, outer, function, definer, source, problem, name)
    for node in here.nodes:
        called = callee(cls, here, node)
        if called is not None:
            _reach(cls, *called, found)


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
            definer = next((each for each in theirs(cls) if any(value is own for own in vars(each).values())), None)
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
        if names & (_WORDS | _DOUBTFUL_WORDS) or _masks(code):
            return True
        for name in names:
            value = _known(function, name)
            among = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            if any(map(_is_rectifier, (value, *among))):
                return True
            if name == "super" or (isinstance(value, type) and issubclass(value, nn.Module)):
                return True  # methods of other classes
            inner = within(value) if isinstance(value, FunctionType) and not _is_foreign(value) else None
            if inner is not None and _mentions(inner, within_ | {function}):
                return True
    return False


def _masks(code: CodeType) -> bool:
    """Say whether code compares something and multiplies something."""
    done = {
        (step.opname, step.argrepr) for step in dis.get_instructions(code) if step.opname.startswith(("COMP", "BIN"))
    }
    return any(name == "COMPARE_OP" for name, _ in done) and ("BINARY_OP", "*") in done


def _is_rectifier(value: Any) -> bool:
    try:
        return value in FUNCTIONS
    except TypeError:  # it cannot be looked up
        return False


def mentions_rectifiers(function: Any) -> bool:
    """Say whether a Python function of the user's own may hold rectifiers."""
    inner = within(function) if isinstance(function, FunctionType) and not _is_foreign(function) else None
    return inner is not None and _mentions(inner)


def rectifier(value: Any) -> str | None:
    """Return the kind of a function that is a rectifier."""
    return FUNCTIONS[value] if not isinstance(value, nn.Module) and _is_rectifier(value) else None
