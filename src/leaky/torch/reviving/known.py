"""The tags of the tensors of a forward pass, known by address, shape and strides as in :mod:`leaky.torch.watch.origin`."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def _key(tensor: Tensor) -> Any:
    try:
        return tensor.untyped_storage().data_ptr(), tensor.data_ptr(), tensor.shape, tensor.stride()
    except RuntimeError:  # it has no memory of its own
        return None


class Known:
    """The tags of tensors. Every operation sets what it returns, so nothing old is found where memory is used again."""

    def __init__(self) -> None:
        self._tags: dict[Any, Tensor] = {}
        #: whose numbers have been overwritten by way of another view
        self._stale: set[Any] = set()

    def __getitem__(self, tensor: Tensor) -> Tensor | None:
        """Return the tags of a tensor."""
        return self._tags.get(_key(tensor))

    def __setitem__(self, tensor: Tensor, tags: Tensor | None) -> None:
        """Set the tags of what an operation has returned."""
        key = _key(tensor)
        self._stale.discard(key)
        if tags is None or key is None:
            self._tags.pop(key, None)
        else:
            self._tags[key] = tags

    def overwritten(self, tensor: Tensor) -> None:
        """Take in that a tensor is written to, and with it all that shares its memory."""
        key = _key(tensor)
        self._stale |= {other for other in self._tags if key and other[0] == key[0] and other != key}

    def sharing(self, tensor: Tensor) -> list[Tensor]:
        """Return all the tags in a tensor's memory, if that has been written to by way of another view."""
        key = _key(tensor)
        return [tags for other, tags in self._tags.items() if other[0] == key[0]] if key in self._stale else []
