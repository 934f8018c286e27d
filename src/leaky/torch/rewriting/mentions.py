"""Whether a function may hold rectifiers, by the names in its code and in what it calls."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import nn

from leaky.torch.rewriting.calls import FUNCTIONS
from leaky.torch.rewriting.sources import around, cells_of, within

# Names that say that a function holds a rectifier, and those that say that it may.
WORDS = {
    *("relu", "relu_", "leaky_relu", "leaky_relu_", "threshold", "threshold_", "prelu", "rrelu", "rrelu_"),
    *("relu6", "hardtanh", "hardtanh_"),
}


# Of modules that are rectifiers: code may make one whenever it runs.
_MODULES = {"ReLU", "LeakyReLU", "PReLU", "ReLU6", "Hardtanh", "RReLU", "Threshold"}


_DOUBTFUL_WORDS = {
    *("clamp", "clamp_", "clamp_min", "clamp_min_", "clip", "clip_", "maximum", "max", "where", "masked_fill"),
    *("mul", "mul_", "multiply"),
}


def theirs(cls: type) -> list[type]:
    """Return the classes that a module's class is made of, but for those of PyTorch itself."""
    return [each for each in cls.__mro__ if each is not object and not is_torchs(each)]


def is_torchs(thing: Any) -> bool:
    """Say whether a class or function is PyTorch's own."""
    return (getattr(thing, "__module__", None) or "").partition(".")[0] == "torch"


def is_foreign(function: FunctionType) -> bool:
    """Say whether a function is not of the user's own."""
    return _is_own(function.__module__ or "")


def _is_own(module: str) -> bool:
    """Say whether a module, by its name, is Python's, NumPy's, PyTorch's or ours."""
    top = module.partition(".")[0]
    return top in ("torch", "leaky", "numpy", "builtins") or top in sys.stdlib_module_names


def attribute(base: Any, name: str) -> Any:
    """Return what a class, or a module in Python's sense, holds: without asking it, for that may import what is large."""
    if isinstance(base, ModuleType):
        return vars(base).get(name)
    held = inspect.getattr_static(base, name, None) if isinstance(base, type) else None
    return held.__func__ if isinstance(held, staticmethod) else held


def known_name(function: FunctionType, name: str) -> Any:
    """Return what a name that is not local stands for."""
    cells = cells_of(function)
    return cells[name] if name in cells else function.__globals__.get(name)


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield code and that of all functions written in it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from codes(const)


def mentions(function: FunctionType, cls: type, callers: frozenset[FunctionType] = frozenset()) -> bool:
    """Say whether a function may hold rectifiers, by the names in its code, or calls by name one that may."""
    if function in callers:
        return False
    callers |= {function}
    if any(map(is_rectifier, (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()))):
        return True
    for code in codes(function.__code__):
        names = {*code.co_names, *code.co_freevars}
        if names & (WORDS | _MODULES | _DOUBTFUL_WORDS) or _masks(code):
            return True
        known = [value for name in names if (value := known_name(function, name)) is not None]
        if "getattr" in names and any(isinstance(each, ModuleType) and is_torchs_module(each) for each in known):
            return True  # as in getattr(F, name)
        own = [held for name in names if (held := inspect.getattr_static(cls, name, None)) is not None]
        if any(is_rectifier(each) for value in (*known, *own) for each in (value, *parts(value))):
            return True
        if any(isinstance(each, torch.jit.ScriptFunction) for each in known):
            return True
        if "apply" in names and any(isinstance(each, type) and is_torchs(each.__mro__[-2]) for each in known):
            return True  # a torch.autograd.Function
        if "super" in names or any(each is base for each in known for base in theirs(cls)):
            known += [vars(each).get(name) for each in theirs(cls) for name in code.co_names]
        known += [vars(each).get(name) for each in known if _is_theirs(each) for name in code.co_names]
        inner = [within(each) for each in known if isinstance(each, FunctionType) and not is_foreign(each)]
        if any(mentions(each, cls, callers) for each in inner if each is not None):
            return True
    return False


def parts(value: Any) -> Iterable[Any]:
    """Return what is in a dictionary or a list."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()


def is_torchs_module(value: ModuleType) -> bool:
    """Say whether a module, in Python's sense, is PyTorch's own."""
    return value.__name__.partition(".")[0] == "torch"


def _is_theirs(value: Any) -> bool:
    """Say whether something is a module, in Python's sense, of the user's own."""
    return isinstance(value, ModuleType) and not _is_own(value.__name__)


@functools.lru_cache(maxsize=8192)
def _masks(code: CodeType) -> bool:
    """Say whether code compares something and multiplies something."""
    done = {
        (step.opname, step.argrepr) for step in dis.get_instructions(code) if step.opname.startswith(("COMP", "BIN"))
    }
    return any(name == "COMPARE_OP" for name, _ in done) and ("BINARY_OP", "*") in done


def is_rectifier(value: Any) -> bool:
    """Say whether something is one of the functions that rectify, by what it is."""
    try:
        return value in FUNCTIONS
    except TypeError:  # it cannot be looked up
        return False


def mentions_rectifiers(function: Any) -> bool:
    """Say whether a Python function of the user's own may hold rectifiers."""
    if not isinstance(function, FunctionType) or is_foreign(function):
        return False
    return any(mentions(each, object) for each in (within(function), *around(function)) if each is not None)


def rectifier(value: Any) -> str | None:
    """Return the kind of a function that is a rectifier."""
    return FUNCTIONS[value] if not isinstance(value, nn.Module) and is_rectifier(value) else None
