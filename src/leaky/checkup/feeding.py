"""Batches as the tensors that a PyTorch network takes."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leaky.checkup.batches import Batch


class Feed:
    """Makes tensors of batches: where the network is, and of its type."""

    def __init__(self, model: nn.Module) -> None:
        state = list(chain(model.parameters(), model.buffers()))
        floating = (t for t in state if t.is_floating_point())
        self._device = state[0].device if state else torch.device("cpu")
        self._dtype = next(floating, torch.empty(0)).dtype

    def __call__(self, batch: Batch) -> tuple[list[Any], dict[str, Any]]:
        """Return what the network is called with."""
        return [self._tensor(a) for a in batch.positional], {name: self._tensor(a) for name, a in batch.named.items()}

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
