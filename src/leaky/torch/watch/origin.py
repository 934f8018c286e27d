"""What feeds each tensor of a forward pass: the layer with weights, and where its samples and units lie.

Kept by the address, shape and strides of a tensor, for autograd may hand the same view on as another object. Every
operation sets what it returns, so that nothing stale is found when memory is used again; no tensor is kept alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from leaky.torch.watch import labels
from leaky.torch.watch.labels import Label
from leaky.torch.watch.names import Names

Key = tuple[int, tuple[int, ...], tuple[int, ...]]


class Origin:
    """What is known of one tensor."""

    __slots__ = ("layer", "mark", "mixed", "order", "samples", "source", "units", "weights")

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
        #: path of the layer with weights that feeds it, and how many such layers ran before
        self.layer, self.order = layer, order
        self.samples, self.units = samples, units
        #: whether it is a sum, a mean or the like over units or positions, with no layer since
        self.mixed = mixed
        #: paths of the layers whose parameters it is made of, if it is made of nothing else
        self.weights = weights
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


def key(tensor: Tensor) -> Key | None:
    """Return what a tensor is known by; None if it has no memory of its own."""
    try:
        return tensor.data_ptr(), tensor.shape, tensor.stride()
    except RuntimeError:
        return None


def _owner(parameter: str) -> str:
    """Return the path of the layer that a parameter is of, by the parameter's path."""
    parts = parameter.split(".")[:-1]
    return ".".join(parts[: parts.index("parametrizations")] if "parametrizations" in parts else parts)


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
    """The origins of the tensors of one forward pass."""

    def __init__(self, model: nn.Module, names: Names) -> None:
        self._model = model
        self._names = names
        self._known: dict[Key | None, Origin] = {}
        self._layers = 0

    def begin(self, inputs: Any) -> int:
        """Start a forward pass on these inputs; return the number of samples, the length of their first tensor."""
        self._known.clear()
        self._layers = 0
        for name, parameter in self._model.named_parameters(remove_duplicate=False):
            owner = self._names.cleaned(_owner(name))
            before = self._known.get(where := key(parameter))
            self._known[where] = Origin(weights=((*before.weights, owner) if before else (owner,)))
        found = [tensor for tensor in tensors(inputs) if tensor.ndim]
        count = len(found[0]) if found else 1
        for tensor in found:
            samples = labels.along(tensor.shape, 0) if len(tensor) == count else None
            self._known[key(tensor)] = Origin(samples=samples)
        return count

    def find(self, tensor: Any) -> Origin | None:
        """Return what is known of a tensor."""
        return self._known.get(key(tensor)) if isinstance(tensor, Tensor) else None

    def set(self, tensor: Tensor, origin: Origin | None) -> None:
        """Say what is known of a tensor from now on."""
        where = key(tensor)
        if origin is not None and where is not None:
            self._known[where] = origin
        else:
            self._known.pop(where, None)

    def end(self) -> None:
        """Forget the forward pass."""
        self._known.clear()

    def layer(self, weights: tuple[str, ...], samples: Label | None, units: Label | None) -> Origin:
        """Return the origin of what a layer with these weights has just put out."""
        self._layers += 1
        here = self._names.path
        return Origin(here if here in weights else weights[0], self._layers, samples, units)
