"""What feeds each tensor of a forward pass: the layer with weights, and where its samples and units lie.

Tensors are known by address, shape and strides, for autograd may hand the same view on as another object. Every
operation sets what it returns, so nothing stale is found where memory is used again, and no tensor is kept alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, final

from torch import Tensor, nn

from leaky.torch.watch.labels import Label, along

_PLAIN = (int, float, bool, str, type(None))

# How many operations are remembered; more of them, of ever new shapes, are worked out again.
_REMEMBERED = 20_000


@final  # and so always true
class Origin:
    """What is known of one tensor."""

    __slots__ = ("alone", "layer", "mark", "mixed", "order", "samples", "source", "units", "weights")

    def __init__(
        self,
        layer: str | None = None,
        order: int = 0,
        samples: Label | None = None,
        units: Label | None = None,
        mixed: bool = False,
        weights: tuple[str, ...] = (),
        source: Origin | None = None,
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
        #: what it is an elementwise function of
        self.source = source
        #: what an activation that is written out needs to know of it
        self.mark: Any = None

    def sources(self) -> Iterator[Origin]:
        """Return itself and all that it is an elementwise function of, the nearest first."""
        origin: Origin | None = self
        while origin is not None:
            yield origin
            origin = origin.source


#: of tensors that came out of nothing that was seen
UNKNOWN = Origin()


class Call:
    """One call of an operation: where, its arguments by name, and the origins of the tensors and lists of them."""

    __slots__ = ("_layer", "facts", "given", "here", "known", "outs")

    def __init__(self, given: dict[str, Any], here: str, layer: Callable[..., Origin]) -> None:
        self.given, self.here = given, here
        self.known: dict[str, Any] = {}
        #: all that its outcome depends on
        self.facts: list[Any] = []
        #: the tensors that it has returned
        self.outs: list[Tensor] = []
        self._layer = layer

    def __getitem__(self, name: str) -> Origin | None:
        """Return the origin of an argument."""
        origin: Origin | None = self.known.get(name)
        return origin

    def operands(self) -> Iterator[tuple[Tensor, Origin]]:
        """Return the tensors of which something is known."""
        for name, known in self.known.items():
            value = self.given[name]
            for tensor, origin in zip(value, known, strict=True) if isinstance(known, list) else ((value, known),):
                if origin is not None:
                    yield tensor, origin

    def layer(self, weights: tuple[str, ...], samples: Label | None, units: Label | None) -> Origin:
        """Return the origin of what a layer with these weights puts out; with none, of the module whose forward runs."""
        return self._layer(weights, samples, units)


#: returns the origins of what an operation has returned
Rule = Callable[[Call], list[Origin | None]]


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


class Origins:
    """The origins of the tensors of one forward pass after the other.

    What an operation makes of the origins of its operands is remembered from one pass to the next, so that mostly the
    same objects come round again.
    """

    def __init__(self, paths: dict[str, nn.Parameter]) -> None:
        self._parameters = paths  # kept alive, for they are known by their addresses
        self._weights: dict[int, Origin] = {}
        for name, parameter in paths.items():
            before = self._weights.get(id(parameter))
            self._weights[id(parameter)] = Origin(weights=(*(before.weights if before else ()), owner(name)))
        self._known: dict[Any, Origin] = {}
        self._inputs: dict[Any, Origin] = {}
        self._remembered: dict[Any, list[Origin | None]] = {}
        self._layers = 0
        #: path of the module whose forward runs
        self.here = ""

    def begin(self, inputs: Any) -> int:
        """Start a forward pass on these inputs; return the number of samples, the length of their first tensor."""
        self._known.clear()
        if max(len(self._remembered), len(self._inputs)) > _REMEMBERED:
            self._remembered.clear()
            self._inputs.clear()
        found = [tensor for tensor in tensors(inputs) if tensor.ndim]
        count = len(found[0]) if found else 1
        for number, tensor in enumerate(found):
            where = (number, tensor.shape, count)
            if where not in self._inputs:
                self._inputs[where] = Origin(samples=along(tensor.shape, 0) if len(tensor) == count else None)
            self._known[_key(tensor)] = self._inputs[where]
        return count

    def call(self, given: dict[str, Any]) -> Call:
        """Return a call with what is known of its arguments."""
        call = Call(given, self.here, self._layer)
        known, facts = call.known, call.facts
        for name, value in given.items():
            if isinstance(value, Tensor):
                where = _key(value)
                known[name] = origin = self._known.get(where) or self._weights.get(id(value))
                facts.append((origin, where[1], where[2]) if where else origin)
            elif isinstance(value, list | tuple):
                if any(isinstance(each, Tensor) for each in value):
                    known[name] = origins = [self._find(each) for each in value]
                    facts.append(tuple((each.shape, of) for each, of in zip(value, origins, strict=True) if of))
                else:
                    facts.append(tuple(value))
            else:
                facts.append(value if type(value) in _PLAIN else type(value))
        return call

    def follow(self, operation: Any, rule: Rule, call: Call | None, out: Any) -> None:
        """Take in what a call has returned; without a call, that nothing is known of it."""
        outs = [out] if isinstance(out, Tensor) else list(tensors(out))
        where = [_key(each) for each in outs]
        if call is None or None in where:
            for each in where:
                self._known.pop(each, None)
            return
        facts = (operation, self.here, *call.facts, *(each.shape for each in outs))
        origins = self._remembered.get(facts)
        if origins is None:
            call.outs = outs
            origins = self._remembered[facts] = rule(call)
        for each, origin in zip(where, origins, strict=True):
            if origin is not None:
                self._known[each] = origin
            else:
                self._known.pop(each, None)

    def mark(self, out: Any, mark: Any) -> None:
        """Leave a mark on a tensor."""
        origin = self._find(out)
        if origin is not None:
            origin.mark = mark

    def _find(self, tensor: Any) -> Origin | None:
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
