"""How tags flow through operations. A tag says whose doing an element is: of which unit, or of which row of weights.

Tags are a tensor of int32 in the shape of the data: above 0 the number of a unit, below 0 that of a row, 0 for all else. An
element that is tagged is a function of the elements of that tag, perhaps times something else: where these are 0, so
that it is the same number whatever the data. What no tag can follow is lost, and is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from leaky.torch.reviving.call import Call
from leaky.torch.reviving.parts import View

Tags = Tensor | None


class Follower(Protocol):
    """What a rule may ask, and tell."""

    def tags(self, tensor: Any) -> Tags:
        """Return the tags of a tensor; None if it has none."""

    def view(self, tensor: Any) -> View | None:
        """Return of which parameter or buffer a tensor is a view; None if of none."""

    def lose(self, tags: Tags, why: str) -> None:
        """Take in that what carries these tags cannot be followed any further."""


def alike(tags: Tensor, axes: Sequence[int], lose: Callable[[Tags, str], None]) -> Tensor:
    """Return the tags that are the same all along these axes, which stay with length 1; the others are lost, and 0."""
    if not axes:
        return tags
    least, most = tags.amin(dim=tuple(axes), keepdim=True), tags.amax(dim=tuple(axes), keepdim=True)
    same = least == most
    if not bool(same.all()):
        lose(tags.where(~same, 0), "is mixed with others")
    return least.where(same, 0)


Rule = Callable[[Call, Follower], Sequence[Tags]]


def lost(call: Call, tracer: Follower) -> list[Tags]:
    """Anything else: no tag is followed through it."""
    for tensor in call.tensors:
        tracer.lose(tracer.tags(tensor), f"goes through {call.name}")
    return [None] * len(call.outs)


def _constant(call: Call, tracer: Follower) -> list[Tags]:
    return [None] * len(call.outs)


# Of these an operand that is 0 everywhere is a constant, not one half of a sum.
_CHOOSING = {"where", "maximum", "minimum", "clamp", "clamp_min", "masked_fill"}


def _pointwise(call: Call, tracer: Follower) -> list[Tags]:
    """Functions of one tensor and of constants, element by element; products."""
    if len(call.outs) != 1:
        return lost(call, tracer)
    shape = call.outs[0].shape
    data = [tensor for tensor in call.tensors if tracer.view(tensor) is None]
    if call.name in _CHOOSING:
        data = [tensor for tensor in data if tracer.tags(tensor) is not None or bool(tensor.any())]
    tags = [found.broadcast_to(shape) for tensor in data if (found := tracer.tags(tensor)) is not None]
    if len(tags) == len(data) and all(torch.equal(tags[0], other) for other in tags[1:]):
        return [tags[0]]
    if call.name == "mul" and len(data) == 2:
        return [_product(tracer, tags[0], tags[1] if len(tags) > 1 else torch.zeros_like(tags[0]))]
    for each in tags:
        tracer.lose(each, "is added to others" if call.name in ("add", "sub") else f"goes through {call.name}")
    return [None]


def _product(tracer: Follower, one: Tensor, other: Tensor) -> Tensor:
    """Return the tags of a product, which is 0 where a unit is 0, whatever that is multiplied by."""
    kept = torch.where((one > 0) | ((one < 0) & (other <= 0)), one, other)
    for each in (one, other):
        tracer.lose(each.where(each != kept, 0), "multiplies others")
    return kept


def _moved(call: Call, tracer: Follower) -> list[Tags]:
    """Let the tags go the way of the numbers: of views, and whatever puts the same numbers elsewhere."""

    def tags(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        found = tracer.tags(leaf)
        if found is None and not leaf.is_floating_point():
            return leaf  # places to look numbers up at
        return torch.zeros(leaf.shape, dtype=torch.int32, device=leaf.device) if found is None else found

    args, kwargs = tree_map(tags, (call.args, call.kwargs))
    try:
        moved = call.operation(*args, **kwargs)
    except RuntimeError:  # tags that share their memory cannot be viewed in every shape
        args, kwargs = tree_map(lambda leaf: leaf.contiguous() if isinstance(leaf, Tensor) else leaf, (args, kwargs))
        moved = call.operation(*args, **kwargs)
    return [moved] if isinstance(moved, Tensor) else list(moved)


def _padded(call: Call, tracer: Follower) -> list[Tags]:
    found, (out,) = tracer.tags(call.given["self"]), call.outs
    if found is None:
        return [None]
    axes = [axis for axis in range(out.ndim) if out.shape[axis] != found.shape[axis]]
    if axes and torch.equal(kept := found.amin(dim=axes, keepdim=True), found.amax(dim=axes, keepdim=True)):
        return [kept.expand(out.shape)]  # what is put beside a channel's own positions is a constant
    return [torch.constant_pad_nd(found, call.given["pad"])]


def _same(call: Call, tracer: Follower) -> list[Tags]:
    return [tracer.tags(call.given["self"])]


def _pooled(axes: int) -> Rule:
    """Functions of a channel's own positions, which are the last axes."""

    def rule(call: Call, tracer: Follower) -> list[Tags]:
        found = tracer.tags(call.given["self" if "self" in call.given else "input"])
        if found is None:
            return _constant(call, tracer)
        kept = alike(found, range(found.ndim - axes, found.ndim), tracer.lose)
        return [kept.expand(call.outs[0].shape), *[None] * (len(call.outs) - 1)]

    return rule


def _reduced(call: Call, tracer: Follower) -> list[Tags]:
    x, axes = call.given["self"], call.given.get("dim")
    found = tracer.tags(x)
    if found is None or not call.outs:
        return _constant(call, tracer)
    axes = range(x.ndim) if axes is None or axes == [] else [axes] if isinstance(axes, int) else axes
    kept = alike(found, sorted({axis % x.ndim for axis in axes}), tracer.lose)
    return [kept.reshape(call.outs[0].shape), *[None] * (len(call.outs) - 1)]


def normalised(call: Call, tracer: Follower) -> list[Tags]:
    """Normalisation by channels; by running statistics it is pointwise, by its own it takes in all of a channel."""
    found = tracer.tags(call.given["input"])
    if found is None:
        return _constant(call, tracer)
    if call.given.get("training") or call.given.get("running_mean") is None:
        found = alike(found, [axis for axis in range(found.ndim) if axis != 1], tracer.lose).expand(found.shape)
    return [found, *[None] * (len(call.outs) - 1)]


def _by_name(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


#: by the name of the operation; of others, views are moved, what is pointwise is so, and the tags of the rest are lost
RULES: dict[str, Rule] = {
    **_by_name(
        _moved,
        "cat stack index_select index _unsafe_view _reshape_alias pixel_shuffle pixel_unshuffle channel_shuffle repeat "
        "flip roll",
    ),
    **_by_name(_same, "_to_copy clone"),
    **_by_name(_padded, "constant_pad_nd"),
    **_by_name(
        _constant,
        "zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_full new_empty",
    ),
    **_by_name(
        _pooled(1),
        "avg_pool1d adaptive_max_pool1d reflection_pad1d replication_pad1d upsample_linear1d upsample_nearest1d",
    ),
    **_by_name(
        _pooled(2),
        "avg_pool2d _adaptive_avg_pool2d max_pool2d_with_indices adaptive_max_pool2d reflection_pad2d replication_pad2d "
        "upsample_bilinear2d upsample_bicubic2d upsample_nearest2d",
    ),
    **_by_name(
        _pooled(3),
        "avg_pool3d _adaptive_avg_pool3d max_pool3d_with_indices adaptive_max_pool3d reflection_pad3d replication_pad3d "
        "upsample_trilinear3d upsample_nearest3d",
    ),
    **_by_name(_reduced, "mean sum amax amin"),
    **_by_name(
        normalised,
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update "
        "cudnn_batch_norm miopen_batch_norm",
    ),
}

# Views of bits, or of memory beside the tensor.
_NO_VIEWS = {torch.ops.aten.view.dtype, torch.ops.aten.as_strided.default, torch.ops.aten.view_as_real.default}


def rule_for(call: Call) -> Rule:
    """Return the rule of an operation that is no layer with weights."""
    operation = call.operation
    if call.space != "aten" or operation in _NO_VIEWS or "out" in call.given:
        return lost
    if call.name in RULES:
        return RULES[call.name]
    if operation.is_view:
        return _moved
    return _pointwise if torch.Tag.pointwise in operation.tags else lost
