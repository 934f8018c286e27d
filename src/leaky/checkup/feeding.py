"""What a PyTorch network is called with: batches of any customary form as tensors where the network is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leaky.checkup.batch_size import OF_A_DATA_SET
from leaky.checkup.batches import Batch, batches
from leaky.checkup.errors import CheckError
from leaky.user_code import in_one_line

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


def batches_of(data: Any, batch_size: int | None) -> tuple[Iterable[Batch], int | None]:
    """Return what :func:`leaky.checkup.batches.batches` does, of PyTorch's data sets too."""
    if isinstance(data, torch.utils.data.Dataset) and not isinstance(data, torch.utils.data.IterableDataset):
        data, batch_size = torch.utils.data.DataLoader(data, batch_size or OF_A_DATA_SET), None
    return batches(data, batch_size)


class Feed:
    """Makes of batches what a network is called with."""

    def __init__(self, model: nn.Module) -> None:
        state = list(chain(model.parameters(), model.buffers()))
        floating = (t for t in state if t.is_floating_point())
        self._device = state[0].device if state else torch.device("cpu")
        self._dtype = next(floating, torch.empty(0)).dtype

    def __call__(self, batch: Batch) -> Call:
        """Return the batch's arguments as tensors where the network is."""
        return Call(tuple(map(self._tensor, batch.positional)), {n: self._tensor(a) for n, a in batch.named.items()})

    def _tensor(self, value: Any) -> Any:
        """Return an array as a tensor where the network is; floats of NumPy, bytes and booleans in its own type."""
        if isinstance(value, Tensor):
            return value.to(self._device)
        if not (hasattr(value, "dtype") and hasattr(value, "shape")):
            return value
        array = np.array(value)  # a copy: it may be read-only, or in a file
        tensor = torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
        number = tensor.is_floating_point() or tensor.dtype in (torch.uint8, torch.bool)
        return tensor.to(self._device, self._dtype if number else None)

    def target(self, value: Any) -> Any:
        """Return targets as a tensor: whole numbers are classes."""
        if isinstance(value, Tensor) or not hasattr(value, "dtype"):
            return value.to(self._device) if isinstance(value, Tensor) else value
        tensor = torch.from_numpy(np.array(value))
        return tensor.to(self._device, self._dtype if tensor.is_floating_point() else torch.int64)


def reached(stream: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches that hold samples; what fails in the user's own loader is told in a line."""
    end = Batch((), {})
    number, batches = 0, iter(stream)
    while (
        batch := in_one_line(f"data: batch {number} cannot be had", partial(next, batches, end), CheckError)
    ) is not end:
        number += 1
        if batch.samples:
            yield batch


def calls_of(model: nn.Module, data: Any, batch_size: int | None) -> Iterator[tuple[int, Call]]:
    """Return what a network is to be called with, each with the number of samples; see :func:`leaky.check` for data.

    Raises:
        CheckError: a :class:`ValueError`; the data are of no form known, or fail when a batch is reached.
    """
    feed = Feed(model)
    return ((batch.samples, feed(batch)) for batch in reached(batches_of(data, batch_size)[0]))
