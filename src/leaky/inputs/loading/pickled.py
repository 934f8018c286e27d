"""What a file of ``torch.save`` would do when it is unpickled, found out without unpickling it.

``torch.load(weights_only=True)`` runs no code that a file brings, but a file can still make it take any amount of memory: by
``bytearray(2**40)``, by tensor constructors, by copying one large dictionary many times. Here the instructions are followed
with stand-ins for all objects, and everything is refused but what ``torch.save`` writes for tensors and plain values.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

# Bytes of an element, by the kind of storage as pickles name it.
_ELEMENT = {
    **{f"torch {name}Storage": 1 for name in ("Bool", "Byte", "Char")},
    **{f"torch {name}Storage": 2 for name in ("BFloat16", "Half", "Short")},
    **{f"torch {name}Storage": 4 for name in ("Float", "Int")},
    **{f"torch {name}Storage": 8 for name in ("ComplexFloat", "Double", "Long")},
    "torch ComplexDoubleStorage": 16,
    "torch.storage UntypedStorage": 1,
}
_ORDERED = "collections OrderedDict"

_MOST_DIMENSIONS = 64


class ForeignObjectError(ValueError):
    """A pickle names something else than tensors and plain values; the text is its name."""


@dataclass(frozen=True)
class _Name:
    """A function, class or dtype that the pickle names: its module and its own name, with a space between."""

    name: str


@dataclass
class _Thing:
    """An object of a kind, with the number of its entries: more is not needed to know what it costs."""

    kind: str
    entries: int = 0


def _is(kind: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, _Thing) and value.kind == kind


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _truth(value: Any) -> bool:
    return type(value) is bool


def _sizes(value: Any) -> bool:
    return type(value) is tuple and len(value) <= _MOST_DIMENSIONS and all(_whole(n) for n in value)


def _dtype(value: Any) -> bool:
    return isinstance(value, _Name) and _is_dtype(value.name)


def _is_dtype(name: str) -> bool:
    module, _, dtype = name.partition(" ")
    return module == "torch" and isinstance(getattr(torch, dtype, None), torch.dtype)


_TENSOR = [_is("storage"), _whole, _sizes, _sizes, _truth, _is("ordered")]

# What may be called: what the call makes, and what each argument must be.
_CALLS: dict[str, tuple[str, list[Callable[[Any], bool]]]] = {
    _ORDERED: ("ordered", []),
    "torch._utils _rebuild_tensor_v2": ("tensor", _TENSOR),
    "torch._utils _rebuild_tensor_v3": ("tensor", [*_TENSOR, _dtype]),
    "torch._utils _rebuild_parameter": ("tensor", [_is("tensor"), _truth, _is("ordered")]),
}


def storages(pickled: bytes) -> dict[str, int]:
    """Return the bytes of each storage that a pickle refers to, by its key.

    Raises:
        ForeignObjectError: the pickle names an object that is no tensor, container or plain value.
        Exception: of any kind: it is damaged, or does what ``torch.save`` never does.
    """
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(pickled):
        machine.step(opcode.name, argument)
    return machine.storages


class _Machine:
    """Follows a pickle's instructions as PyTorch's own reader does; what that refuses or never meets, this refuses."""

    def __init__(self) -> None:
        self.storages: dict[str, int] = {}
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        match opcode:
            case "PROTO" if argument == 2:
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self._stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                self._stack.append(argument)
            case "EMPTY_TUPLE":
                self._stack.append(())
            case "EMPTY_LIST" | "EMPTY_DICT":
                self._stack.append(_Thing({"EMPTY_LIST": "list", "EMPTY_DICT": "dict"}[opcode]))
            case "GLOBAL":
                self._stack.append(_named(argument))
            case "MARK":
                self._below.append(self._stack)
                self._stack = []
            case "TUPLE":
                items = self._since_mark()
                self._stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._stack.append(self._popped(int(opcode[-1])))
            case "BINGET" | "LONG_BINGET":
                self._stack.append(self._memo[argument])
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._stack[-1]
            case "APPEND" | "SETITEM":
                count = {"APPEND": 1, "SETITEM": 2}[opcode]
                self._popped(count)
                self._grow(1, count)
            case "APPENDS" | "SETITEMS":
                count = {"APPENDS": 1, "SETITEMS": 2}[opcode]
                self._grow(len(self._since_mark()) // count, count)
            case "REDUCE":
                self._stack.append(_called(*self._popped(2)))
            case "BUILD":
                self._build(*self._popped(2))
            case "BINPERSID":
                self._stack.append(self._storage(*self._popped(1)[0]))
            case "STOP":
                self._popped(1)
            case _:
                raise ValueError(opcode)

    def _popped(self, count: int) -> tuple[Any, ...]:
        items = tuple(self._stack[-count:])
        if len(items) < count:
            raise IndexError(count)
        del self._stack[-count:]
        return items

    def _since_mark(self) -> list[Any]:
        """Return what came after the last mark, and go on with what lies below it."""
        items, self._stack = self._stack, self._below.pop()
        return items

    def _grow(self, entries: int, values_each: int) -> None:
        """Add entries to the container on top: values to a list, pairs to a dictionary."""
        container = self._stack[-1]
        if container.kind not in {1: ("list",), 2: ("dict", "ordered")}[values_each]:
            raise ValueError(container.kind)
        container.entries += entries

    def _build(self, target: Any, state: Any) -> None:
        """Allow what state_dict() gives its result, one attribute: a large state would be copied each time."""
        if not (_is("ordered")(target) and _is("dict")(state) and state.entries <= 1):
            raise ValueError("BUILD")
        self._stack.append(target)

    def _storage(self, word: str, kind: _Name, key: str, _location: str, count: int) -> _Thing:
        if word != "storage" or type(key) is not str or not _whole(count):
            raise ValueError(word)
        size = count * _ELEMENT[kind.name]
        if self.storages.setdefault(key, size) != size:
            raise ValueError(key)
        return _Thing("storage")


def _named(name: str) -> _Name:
    if name not in _CALLS and name not in _ELEMENT and not _is_dtype(name):
        raise ForeignObjectError(name.replace(" ", "."))
    return _Name(name)


def _called(function: _Name, arguments: tuple[Any, ...]) -> _Thing:
    made, expected = _CALLS[function.name]
    if len(arguments) != len(expected) or not all(fits(value) for fits, value in zip(expected, arguments, strict=True)):
        raise ValueError(function.name)
    return _Thing(made)
