"""The methods that modules hold, bound to themselves: they must be those of the classes that are made anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

from torch import nn

from leaky.torch.rewriting.classes import origin


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
