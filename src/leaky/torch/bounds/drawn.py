"""Random numbers that a forward pass draws, of which nothing is known: another pass draws others."""

from __future__ import annotations

from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from leaky.torch.bounds.ranged import Ranged, Stopped, unknown


class RandomUnknown(TorchDispatchMode):
    """Has tensors of random numbers be ranges of which nothing is known, as long as it is on."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's is untyped

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # what keeps TorchDynamo out imports it first; here nothing is compiled anyhow

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and forget the numbers if they were drawn; what is drawn for a range knows of no rule."""
        out = func(*args, **kwargs or {})
        if not isinstance(func, OpOverload) or torch.Tag.nondeterministic_seeded not in func.tags:
            return out
        if any(isinstance(leaf, Ranged) for leaf in tree_leaves((args, kwargs))):
            return out
        if func._schema.is_mutable:
            raise Stopped(f"{func} draws random numbers into a constant")
        return tree_map(lambda leaf: unknown(leaf, f"{func} draws random numbers"), out)
