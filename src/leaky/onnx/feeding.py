"""What a model takes, and batches of it in whatever form the user has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from leaky.wording import counted, listing, plain

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Feed:
    """One batch: arrays by the names of the inputs, some of which have the samples on axis 0."""

    arrays: Arrays
    samples: int
    #: names of the inputs that have
    batched: frozenset[str]

    def part(self, start: int, size: int) -> Arrays:
        """Return so many samples from one on; past the end, the last sample again."""
        which = np.minimum(np.arange(start, start + size), self.samples - 1)
        within = start + size <= self.samples
        rows = slice(start, start + size) if within else which
        return {name: array[rows] if name in self.batched else array for name, array in self.arrays.items()}


class Inputs:
    """The inputs of a model, those that are no more than defaults for its weights aside."""

    def __init__(self, graph: ir.Graph) -> None:
        self.values = {value.name or "": value for value in graph.inputs if value.name not in graph.initializers}
        if not self.values:
            raise ValueError("the model has no inputs")

    def feed(self, batch: object) -> Feed:
        """Return a batch as the model wants it.

        Args:
            batch: an array, or several: by the names of the inputs, or in their order (what comes after is left out,
                such as labels). Anything that NumPy makes an array of will do.

        Raises:
            ValueError: if an input is missing, or is of a type or shape that the model does not take.
        """
        arrays = {name: self._array(name, given) for name, given in self._by_name(batch).items()}
        having = [name for name, array in arrays.items() if array.ndim]
        # where some inputs take any number of samples, one of a fixed first dimension is something else, such as a state
        free = [name for name in having if not (dims := self._dims(name)) or dims[0] is None] or having
        samples = len(arrays[free[0]]) if free else 1
        if not samples:
            raise ValueError("batches: a batch of no samples")
        return Feed(arrays, samples, frozenset(name for name in free if len(arrays[name]) == samples))

    def fixed(self, feed: Feed) -> int | None:
        """Return the number of samples that the model takes at once, if it takes no other."""
        sizes = [shape[0] for name in feed.batched if (shape := self._dims(name))]
        return next((size for size in sizes if size is not None), None)

    def _by_name(self, batch: object) -> dict[str, object]:
        if isinstance(batch, Mapping):
            missing = [name for name in self.values if name not in batch]
            if missing:
                there = listing([repr(plain(str(name))) for name in batch]) or "nothing"
                raise ValueError(f"batches: no input {plain(missing[0])!r}; there is {there}")
            return {name: batch[name] for name in self.values}
        given = list(batch) if isinstance(batch, list | tuple) else [batch]
        if len(given) < len(self.values):
            names = listing([repr(plain(name)) for name in self.values])
            raise ValueError(f"batches: {counted(len(given), 'array')}; the model takes {len(self.values)}: {names}")
        return dict(zip(self.values, given, strict=False))

    def _array(self, name: str, given: object) -> NDArray[Any]:
        value, dims = self.values[name], self._dims(name)
        shown = f"batches: input {plain(name)!r}"
        try:
            array = np.asarray(given)
            wanted = value.dtype.numpy() if value.dtype is not None else array.dtype
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{shown} is no array: {plain(str(error))}") from None
        if not np.can_cast(array.dtype, wanted, "same_kind"):
            raise ValueError(f"{shown} has elements of {array.dtype}; the model takes {wanted}")
        # the first dimension of a batch need not be that of the model: it is fed in parts
        ranks = dims is None or len(dims) == array.ndim
        if not ranks or any(
            dim not in (None, size) for dim, size in zip((dims or [])[1:], array.shape[1:], strict=True)
        ):
            takes = ", ".join("N" if dim is None else str(dim) for dim in dims or [])
            raise ValueError(f"{shown} has the shape {array.shape}; the model takes ({takes})")
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond becomes infinite, and is found as such
            return np.ascontiguousarray(array, wanted) if array.ndim else array.astype(wanted)

    def _dims(self, name: str) -> list[int | None] | None:
        """Return the dimensions that an input has to have; some exporters write -1 for any."""
        shape = self.values[name].shape
        if shape is None:
            return None
        return [dim if isinstance(dim, int) and dim > 0 else None for dim in shape]
