"""Rules for what moves, selects or orders elements: done to the lower and to the upper bounds alike."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map

from leaky.torch.bounds.rounding import Interval
from leaky.torch.bounds.rules import Call, Operand, Result, rule


@rule(
    "relu",
    "amax",
    "amin",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "cat",
    "stack",
    "clone",
    "_unsafe_view",
    "index",
    "index_select",
    "gather",
    "max",
    "min",
    "flip",
    "roll",
    "repeat",
    "reflection_pad1d",
    "reflection_pad2d",
    "reflection_pad3d",
    "replication_pad1d",
    "replication_pad2d",
    "replication_pad3d",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "upsample_nearest3d",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "tril",
    "triu",
    "im2col",
    "zeros_like",
    "new_zeros",
    "zero",
)
def each(call: Call, *args: Any, **kwargs: Any) -> Result:
    """Return the operation's results for the lower bounds, and for the upper ones: it rises with each, or only moves them."""
    kwargs.pop("dtype", None)
    lower, upper = (
        call.operation(*_end(args, which), **_end(kwargs, which))  # one result, or several
        for which in (0, 1)
    )
    if isinstance(lower, Tensor):
        return Interval(lower, upper)
    return [Interval(*pair) if pair[0].is_floating_point() else None for pair in zip(lower, upper, strict=True)]


@rule("sort", "topk")
def _ordered(call: Call, x: Interval, *args: Any, **kwargs: Any) -> Result:
    """As :func:`each`, if all is known: any place may be that of an unknown element."""
    return None if bool(x.lower.isnan().any()) else each(call, x, *args, **kwargs)


@rule(
    "maximum",
    "minimum",
    "clamp",
    "clamp_min",
    "clamp_max",
    "hardtanh",
    "constant_pad_nd",
    "masked_fill",
    "copy",
    "full_like",
    "new_full",
    "ones_like",
)
def _with_number(call: Call, *args: Any, **kwargs: Any) -> Result:
    """As :func:`each`, with a number that may be rounded first."""
    bounds = each(call, *args, **kwargs)
    return call.numbers.outward(bounds) if isinstance(bounds, Interval) else None


@rule("_to_copy")
def _convert(call: Call, x: Interval, **_: Any) -> Interval:
    return call.numbers.outward(x)


@rule("embedding")
def _embedding(call: Call, weight: Operand, indices: Operand, *_: Any) -> Interval | None:
    """Return the least and the greatest of all rows that any index in range looks up."""
    if isinstance(weight, Interval) or isinstance(indices, Tensor) or bool(indices.lower.isnan().any()):
        return None
    rows = weight[int(indices.lower.min()) : int(indices.upper.max()) + 1].double()
    shape = (*indices.lower.shape, rows.shape[1])
    return Interval(rows.amin(0).expand(shape), rows.amax(0).expand(shape))


def _end(arguments: Any, which: int) -> Any:
    def choose(value: Any) -> Any:
        if isinstance(value, Interval):
            return value[which]
        return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value

    return tree_map(choose, arguments, is_leaf=lambda value: isinstance(value, Interval))
