"""What feeds each tensor of a forward pass: the layer with weights, and where its samples and units lie.

Tensors are known by address, shape and strides, for autograd may hand the same view on as another object. Every
operation sets what it returns, so nothing stale is found where memory is used again, and no tensor is kept alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any, Protocol, final

from torch import Tensor, nn

from leaky.torch.watch.labels import Label, along

_PLAIN = {int, float, bool, str, type(None)}

# How many operations are remembered; more of them, of ever new shapes, are worked out again.
_REMEMBERED = 20_000

# Steps to look back for what a value is a function of: activations are written out in fewer.
_FAR = 20


@final  # and so always true
class Origin:
    """What is known of a tensor without looking at its numbers. Tensors of other numbers may have the same."""

    __slots__ = ("alone", "layer", "mixed", "order", "pointwise", "samples", "units", "weights")

    def __init__(
        self,
        layer: str | None = None,
        order: int = 0,
        samples: Label | None = None,
        units: Label | None = None,
        mixed: bool = False,
        weights: tuple[str, ...] = (),
    ) -> None:
        #: path of the layer with weights that feeds it, and how many were known when it ran first
        self.layer, self.order = layer, order
        self.samples, self.units = samples, units
        #: whether it is a sum, a mean or the like over units or positions, with no layer since
        self.mixed = mixed
        #: paths of the layers whose parameters it is made of, if it is made of nothing else
        self.weights = weights
        #: whether it is the output of its layer and nothing else: times 2 where that is times 2
        self.alone = False
        #: whether each number is a function of those at its place in the operands
        self.pointwise = False


#: of tensors that came out of nothing that was seen
UNKNOWN = Origin()


@final
class Value:
    """The numbers of one tensor, in this forward pass: its origin, and what it is a function of.

    Views and copies of a tensor are the same value if they have the same numbers in the same order, or are the same
    part of it; equal results of two calls are not.
    """

    __slots__ = ("_source", "_views", "mark", "origin")

    def __init__(self, origin: Origin, source: Value | None = None) -> None:
        self.origin = origin
        #: what an activation that is written out needs to know of it
        self.mark: Any = None
        self._source = source
        self._views: dict[Origin, Value] | None = None

    def view(self, origin: Origin) -> Value:
        """Return the part of it, or the order of its axes, that has this origin: itself, if that is its own."""
        if origin is self.origin:
            return self
        if self._views is None:
            self._views = {}
        return self._views.get(origin) or self._views.setdefault(origin, Value(origin))

    def sources(self) -> Iterator[Value]:
        """Return itself and what it is an elementwise function of, the nearest first."""
        value: Value | None = self
        for _ in range(_FAR):
            if value is None:
                return
            yield value
            value = value._source


def _common(one: Value, other: Value) -> Value | None:
    """Return what both are elementwise functions of, if there is such a thing."""
    known = list(one.sources())
    return next((each for each in other.sources() if each in known), None)


class Call:
    """One call of an operation: where, its arguments by name, and what is known of the tensors and lists of them."""

    __slots__ = ("_layer", "facts", "given", "here", "known", "outs")

    def __init__(self, given: dict[str, Any], here: str, layer: Callable[..., Origin]) -> None:
        self.given, self.here = given, here
        #: the values, and lists of them, of those arguments that are tensors; None for what came out of nothing seen
        self.known: dict[str, Any] = {}
        #: all that its outcome depends on
        self.facts: list[Any] = []
        #: the tensors that it has returned
        self.outs: list[Tensor] = []
        self._layer = layer

    def __getitem__(self, name: str) -> Origin | None:
        """Return the origin of an argument."""
        value: Value | None = self.known.get(name)
        return value and value.origin

    def operands(self) -> Iterator[tuple[Tensor, Origin]]:
        """Return the tensors of which something is known."""
        for name, known in self.known.items():
            given = self.given[name]
            for tensor, value in zip(given, known, strict=True) if isinstance(known, list) else ((given, known),):
                if value is not None:
                    yield tensor, value.origin

    def source(self) -> Value | None:
        """Return what the result is a function of, if the operation is elementwise: its operand, or what those have in common."""
        found: Value | None = None
        for value in self.known.values():
            if type(value) is Value and value is not found and not value.origin.weights:
                if found is not None and (value := _common(found, value)) is None:
                    return None
                found = value
        return found

    def layer(self, weights: tuple[str, ...], samples: Label | None, units: Label | None) -> Origin:
        """Return the origin of what a layer with these weights puts out; with none, of the module whose forward runs."""
        return self._layer(weights, samples, units)


#: returns the origins of what an operation has returned
Rule = Callable[[Call], list[Origin | None]]


class Operation(Protocol):
    """What is to be known of an operation: each time the same object, which is quick to look up."""

    @property
    def rule(self) -> Rule:
        """What it makes of the origins of its operands."""

    @property
    def view(self) -> bool:
        """Whether it returns numbers of its first operand, in the same memory or copied."""


def _key(tensor: Tensor) -> tuple[int, tuple[int, ...], tuple[int, ...]] | None:
    try:
        return tensor.data_ptr(), tensor.shape, tensor.stride()
    except RuntimeError:  # it has no memory of its own
        return None


def tensors(value: Any) -> Iterable[Tensor]:
    """Return the tensors in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif hasattr(value, "values") and callable(value.values):
        for item in value.values():
            yield from tensors(item)


def _held(value: Any, seen: dict[int, Any]) -> Iterator[Tensor]:
    """Return the tensors in containers and in the attributes of objects, such as batches by a class of their own."""
    if isinstance(value, Tensor):
        yield value
    if type(value) in _PLAIN or isinstance(value, Tensor | ModuleType) or callable(value) or id(value) in seen:
        return
    seen[id(value)] = value
    inner: Iterable[Any]
    if isinstance(value, list | tuple):
        inner = value
    elif isinstance(value, Mapping):
        inner = value.values()
    elif is_dataclass(value):  # it may have slots
        inner = [getattr(value, each.name, None) for each in fields(value)]
    else:
        inner = getattr(value, "__dict__", {}).values()
    for each in inner:
        yield from _held(each, seen)


def _lengths(inputs: Iterable[Tensor]) -> tuple[list[Tensor], list[int]]:
    """Return the tensors that have axes, and how long those are that are longer than 1 along the first."""
    found = [tensor for tensor in inputs if tensor.ndim]
    return found, [length for length in map(len, found) if length > 1]


class Origins:
    """The origins of the tensors of one forward pass after the other.

    What an operation makes of the origins of its operands is remembered from one pass to the next, so that mostly the
    same objects come round again; the values are new in each.
    """

    def __init__(self, paths: dict[str, nn.Parameter]) -> None:
        self._parameters = paths  # kept alive, for they are known by their addresses
        self._weights: dict[int, Value] = {}
        for name, parameter in paths.items():
            before = self._weights.get(id(parameter))
            self._weights[id(parameter)] = Value(
                Origin(weights=(*(before.origin.weights if before else ()), owner(name)))
            )
        self._known: dict[Any, Value] = {}
        self._inputs: dict[Any, Origin] = {}
        self._remembered: dict[Any, list[Origin | None]] = {}
        self._layers = 0
        #: path of the module whose forward runs
        self.here = ""

    def begin(self, inputs: Any) -> int:
        """Start a forward pass on these inputs; return the number of samples, the length that most of their tensors have."""
        self._known.clear()
        if max(len(self._remembered), len(self._inputs)) > _REMEMBERED:
            self._remembered.clear()
            self._inputs.clear()
        found, lengths = _lengths(tensors(inputs))
        if not lengths:
            found, lengths = _lengths(_held(inputs, {}))
        count = max(lengths, key=lengths.count, default=1)
        for number, tensor in enumerate(found):
            where = (number, tensor.shape, count)
            if where not in self._inputs:
                self._inputs[where] = Origin(samples=along(tensor.shape, 0) if len(tensor) == count else None)
            self._known[_key(tensor)] = Value(self._inputs[where])
        return count

    def call(self, given: dict[str, Any]) -> Call:
        """Return a call with what is known of its arguments."""
        call = Call(given, self.here, self._layer)
        known, facts = call.known, call.facts
        for name, value in given.items():
            if isinstance(value, Tensor):
                where = _key(value)
                known[name] = found = self._known.get(where) or self._weights.get(id(value))
                origin = found and found.origin
                facts.append((origin, where[1], where[2]) if where else origin)
            elif isinstance(value, list | tuple):
                if any(isinstance(each, Tensor) for each in value):
                    known[name] = values = [self._find(each) for each in value]
                    facts.append(tuple((each.shape, of.origin) for each, of in zip(value, values, strict=True) if of))
                else:
                    facts.append(tuple(value))
            else:
                facts.append(value if type(value) in _PLAIN else type(value))
        return call

    def follow(self, operation: Operation, call: Call | None, out: Any) -> None:
        """Take in what a call of an operation has returned; without a call, that nothing is known of it."""
        outs = [out] if isinstance(out, Tensor) else list(tensors(out))
        where = [_key(each) for each in outs]
        if call is None or None in where:
            for each in where:
                self._known.pop(each, None)
            return
        facts = (operation, self.here, *call.facts, *[key[1] for key in where if key])
        origins = self._remembered.get(facts)
        if origins is None:
            call.outs = outs
            origins = self._remembered[facts] = operation.rule(call)
        known = self._known
        viewed = next(iter(call.known.values()), None) if operation.view else None
        for each, origin in zip(where, origins, strict=True):
            if origin is None:
                known.pop(each, None)
            elif viewed is not None:
                known[each] = viewed.view(origin)
            else:
                known[each] = Value(origin, call.source() if origin.pointwise else None)

    def mark(self, out: Any, mark: Any) -> None:
        """Leave a mark on a tensor."""
        value = self._find(out)
        if value is not None:
            value.mark = mark

    def _find(self, tensor: Any) -> Value | None:
        if not isinstance(tensor, Tensor):
            return None
        return self._known.get(_key(tensor)) or self._weights.get(id(tensor))

    def _layer(self, weights: tuple[str, ...], samples: Label | None, units: Label | None) -> Origin:
        self._layers += 1
        origin = Origin(self.here if self.here in weights or not weights else weights[0], self._layers, samples, units)
        origin.alone = bool(weights)
        return origin


def owner(parameter: str) -> str:
    """Return the path of the layer that a parameter is of, by the parameter's path."""
    parts = parameter.split(".")[:-1]
    return ".".join(parts[: parts.index("parametrizations")] if "parametrizations" in parts else parts)
