"""Data as a PyTorch network is called with it."""

from __future__ import annotations

from collections.abc import Iterator
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


def stream(data: Any, batch_size: int | None) -> tuple[Iterator[Batch], int | None]:
    """Return the batches that hold samples, and how many batches there are, if that is known.

    Args:
        data: see :func:`leaky.checkup.batches.batches`; or a PyTorch data set.
        batch_size: of what comes in one piece.

    Raises:
        CheckError: see there. What is wrong with a single batch, or fails in the user's own loader, is raised in a line
            when it is reached.
    """
    if isinstance(data, torch.utils.data.Dataset) and not isinstance(data, torch.utils.data.IterableDataset):
        data, batch_size = torch.utils.data.DataLoader(data, batch_size or OF_A_DATA_SET), None
    found, total = batches(data, batch_size)
    return _reached(iter(found)), total


def _reached(found: Iterator[Batch]) -> Iterator[Batch]:
    end = Batch((), {})
    number = 0
    while (
        batch := in_one_line(f"data: batch {number} cannot be had", partial(next, found, end), CheckError)
    ) is not end:
        number += 1
        if batch.samples:
            yield batch


class Feed:
    """Makes tensors of what a batch holds, where a network is and of its own type."""

    def __init__(self, model: nn.Module) -> None:
        state = list(chain(model.parameters(), model.buffers()))
        floating = (t for t in state if t.is_floating_point())
        self._device = state[0].device if state else torch.device("cpu")
        self._dtype = next(floating, torch.empty(0)).dtype

    def __call__(self, batch: Batch) -> tuple[list[Any], dict[str, Any]]:
        """Return what the network is to be called with."""
        named = {name: self.tensor(value) for name, value in batch.named.items()}
        return [self.tensor(value) for value in batch.positional], named

    def tensor(self, value: Any) -> Any:
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
