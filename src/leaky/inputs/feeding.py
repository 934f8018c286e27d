"""Data of any kind as the tensors that a PyTorch network is called with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from leaky.inputs.batch_size import holds_tokens
from leaky.inputs.batches import Batch, batches
from leaky.inputs.errors import InputError

# Of the first batch that a check sees, as many samples are kept as make a megabyte, and two at the least: of a single one
# it could not be told which axis is that of the samples.
_KEPT, _FEWEST = 2**20, 2


@dataclass(frozen=True, eq=False)
class Call:
    """What a network is called with: tensors, and what else its forward takes."""

    positional: tuple[Any, ...]
    named: dict[str, Any]

    def on(self, model: nn.Module) -> Any:
        """Return what the network returns."""
        return model(*self.positional, **self.named)

    def copied(self, samples: int | None = None) -> Call:
        """Return a copy, for a network may overwrite what it is given, with the first of the samples only if asked."""

        def copy(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            cut = samples if value.ndim and len(value) == self.samples else None
            return (value[:cut] if cut else value).detach().clone()

        return Call(tuple(map(copy, self.positional)), {name: copy(value) for name, value in self.named.items()})

    def excerpt(self) -> Call:
        """Return a copy of few samples, as many as make a megabyte."""
        each = sum(t.nbytes for t in self.tensors if t.ndim and len(t) == self.samples) // max(self.samples, 1)
        return self.copied(max(_KEPT // max(each, 1), _FEWEST))

    @property
    def samples(self) -> int:
        """How many samples there are: the length of the first tensor."""
        return next((len(t) for t in self.tensors if t.ndim), 0)

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments."""
        return [a for a in (*self.positional, *self.named.values()) if isinstance(a, Tensor)]


class Feed:
    """Makes tensors for a network: where it is, and floats of NumPy as floats of its parameters' type.

    Tensors keep their type, and what is neither tensor nor array stays as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        state = list(chain(model.parameters(), model.buffers()))
        floating = (each for each in state if each.is_floating_point())
        self._device = state[0].device if state else torch.device("cpu")
        self._dtype = next(floating, torch.empty(0)).dtype
        self._needed = _needed(model)

    def fitted(self, batch: Batch) -> Batch:
        """Return the batch with what would be its targets among the inputs, if the network cannot be called without."""
        if batch.target is None or len(batch.positional) + 1 != self._needed:
            return batch
        return replace(batch, positional=(*batch.positional, batch.target), target=None)

    def __call__(self, batch: Batch) -> Call:
        """Return what the network is to be called with."""
        batch = self.fitted(batch)
        named = {name: self.tensor(value) for name, value in batch.named.items()}
        return Call(tuple(map(self.tensor, batch.positional)), named)

    def tensor(self, value: Any) -> Any:
        """Return inputs: of an array, bytes and booleans are measurements too, other whole numbers token ids: int64."""
        if not _is_array(value):
            return self._moved(value)
        return self._made(value, whole=value.dtype.kind in "iu" and value.dtype.itemsize > 1)

    def target(self, value: Any) -> Any:
        """Return targets: whole numbers and booleans of an array are classes: int64."""
        if not _is_array(value):
            return self._moved(value)
        return self._made(value, whole=value.dtype.kind in "iub")

    def _moved(self, value: Any) -> Any:
        return value.to(self._device) if isinstance(value, Tensor) else value

    def _made(self, array: NDArray[Any], *, whole: bool) -> Tensor:
        dtype = np.asarray(array).dtype.newbyteorder("=")
        if whole:
            dtype = np.dtype(np.int64)
        elif dtype.kind == "f" and dtype.itemsize > 8:  # longer than any of PyTorch's
            dtype = np.dtype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond becomes infinite, and is found as such
            tensor = torch.from_numpy(np.array(array, dtype))  # a copy: it may be read-only, or in a file
        return tensor.to(self._device, None if whole or tensor.is_complex() else self._dtype)


def _needed(model: nn.Module) -> int:
    """Return how many inputs a network has to be called with; 0 if that is not known."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return 0
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in by_place and each.default is each.empty for each in parameters)


@contextmanager
def advised(batch: Batch) -> Iterator[None]:
    """Add to the error of a network that fails on a batch what may be wrong with the data."""
    try:
        yield
    except InputError as error:
        hint = "" if error.__cause__ is None else _advice(batch, str(error))
        if not hint:
            raise
        raise InputError(f"{error}; {hint}") from error.__cause__


def _advice(batch: Batch, text: str) -> str:
    arrays = [a for a in (*batch.positional, *batch.named.values()) if hasattr(a, "dtype") and hasattr(a, "shape")]
    if "required positional argument" in text:
        return "for several inputs: expected a tuple (a, b), or a dict by the names of forward's arguments"
    if any(word in text for word in ("dtype", "Long", "Byte", "Char", "scalar type")):
        if any(holds_tokens(a.dtype) for a in arrays):
            return (
                "whole numbers are taken for token ids: expected floats for measurements, such as x.astype('float32')"
            )
        if any(isinstance(a, Tensor) and not (a.is_floating_point() or a.is_complex()) for a in arrays):
            return "tensors keep their type: expected floats for measurements, such as x.float()"
    if any(len(a.shape) == 1 for a in arrays):
        return "data of one axis are samples of one number each: one sample of n numbers has shape (1, n)"
    return ""


def _is_array(value: Any) -> bool:
    return (
        not isinstance(value, Tensor)
        and isinstance(getattr(value, "dtype", None), np.dtype)
        and hasattr(value, "shape")
    )


def calls_of(model: nn.Module, data: Any, batch_size: int | None) -> Iterator[tuple[int, Call]]:
    """Return what a network is to be called with, each with the number of samples; see :func:`leaky.check` for data.

    Raises:
        InputError: a :class:`ValueError`; the data are of no form known, or fail when a batch is reached.
    """
    feed = Feed(model)
    return ((batch.samples, feed(batch)) for batch in batches(data, batch_size)[0])
