"""One call of an operation, its arguments by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves


class Call:
    """One call of an operation: its name without the ``_`` of those in place, its arguments, and what it returned."""

    def __init__(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.operation, self.args, self.kwargs = operation, args, kwargs
        self.space, self.name = "", str(operation)
        self.given: dict[str, Any] = {}
        self._writes: set[str] = set()
        self.outs: list[Tensor] = []
        if isinstance(operation, OpOverload):
            arguments = operation._schema.arguments
            self.space, _, name = operation._schema.name.partition("::")
            self.name = name.rstrip("_")
            self.given = dict(zip((argument.name for argument in arguments), args, strict=False)) | kwargs
            self._writes = {a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write}

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments."""
        return _tensors((self.args, self.kwargs))

    @property
    def written(self) -> list[Tensor]:
        """The tensors that it overwrites."""
        return _tensors([self.given.get(name) for name in self._writes])


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
