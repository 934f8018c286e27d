"""Data of any kind as the tensors that a PyTorch network is called with."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from leaky.checkup.batches import Batch


class Feed:
    """Makes tensors for a network: where it is, and floats of NumPy as floats of its parameters' type.

    Tensors keep their type, and what is neither tensor nor array stays as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        state = list(chain(model.parameters(), model.buffers()))
        floating = (each for each in state if each.is_floating_point())
        self._device = state[0].device if state else torch.device("cpu")
        self._dtype = next(floating, torch.empty(0)).dtype

    def __call__(self, batch: Batch) -> tuple[list[Any], dict[str, Any]]:
        """Return what the network is to be called with."""
        named = {name: self.tensor(value) for name, value in batch.named.items()}
        return [self.tensor(value) for value in batch.positional], named

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


def _is_array(value: Any) -> bool:
    return (
        not isinstance(value, Tensor)
        and isinstance(getattr(value, "dtype", None), np.dtype)
        and hasattr(value, "shape")
    )
