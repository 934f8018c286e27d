"""How what is known of tensors flows through each operation: which layer feeds the result, where its units lie."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from leaky.torch.watch.labels import Label, along, carried, permuted, stride
from leaky.torch.watch.origin import Origin, Origins, tensors

Given = dict[str, Any]
Rule = Callable[[Origins, Given, Any], None]


def _fed(origin: Origin, samples: Label | None, units: Label | None, *, mixed: bool = False) -> Origin:
    """Return the origin of a tensor that the same layer feeds."""
    return Origin(origin.layer, origin.order, samples, units, origin.mixed or mixed, origin.weights)


def _resized(origin: Origin, old: Sequence[int], new: Sequence[int], *, mixed: bool = False) -> Origin:
    """Return the origin after axes have changed their sizes; of another number of axes the first alone is followed."""
    if len(old) != len(new):
        old, new = _folded(old), _folded(new)
    return _fed(origin, carried(origin.samples, old, new), carried(origin.units, old, new), mixed=mixed)


def _folded(shape: Sequence[int]) -> tuple[int, int]:
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


def _same(origins: Origins, given: Given, out: Any) -> None:
    """The same numbers in the same order: views, copies, other types."""
    origins.set(out, origins.find(next(iter(given.values()))))


def elementwise(origins: Origins, given: Given, out: Any) -> None:
    """Anything else: the units are where the operand had them that is most like the result."""
    for result in tensors(out):
        origins.set(result, _blend(origins, given.values(), result))


def _blend(origins: Origins, operands: Any, result: Tensor) -> Origin | None:
    shape = result.shape
    best: Tensor | None = None
    chosen: Origin | None = None
    source: Origin | None = None
    weights: tuple[str, ...] = ()
    rank: tuple[bool, bool, int] | None = None
    for operand in tensors(list(operands)):
        if (origin := origins.find(operand)) is None:
            continue
        if origin.weights:
            weights += origin.weights
            continue
        source = origin if rank is None else _common(source, origin)
        mine = (operand.shape == shape, not origin.mixed and origin.layer is not None, origin.order)
        if rank is None or mine > rank:
            best, chosen, rank = operand, origin, mine
    if chosen is None or best is None:
        return Origin(weights=weights) if weights else None
    if best.shape == shape:
        new = Origin(chosen.layer, chosen.order, chosen.samples, chosen.units, chosen.mixed, (), source)
    else:
        old = (1,) * (len(shape) - best.ndim) + tuple(best.shape)
        new = _resized(chosen, old, shape)
    if weights and new.layer is None:
        new.layer = weights[0]
    return new


def _common(one: Origin | None, other: Origin) -> Origin | None:
    """Return what both are elementwise functions of, if there is such a thing."""
    if one is None or one is other:
        return one
    known = list(one.sources())
    return next((each for each in other.sources() if each in known), None)


def _mixing(origins: Origins, given: Given, out: Any) -> None:
    """Sums and the like along an axis that stays."""
    elementwise(origins, given, out)
    for result in tensors(out):
        if origin := origins.find(result):
            origin.mixed, origin.source = True, None


def _reduction(origins: Origins, given: Given, out: Any) -> None:
    """Sums, means and the like that take axes away."""
    x = given["self"]
    axes = given.get("dim")
    axes = list(range(x.ndim)) if axes is None or axes == [] else [axes] if isinstance(axes, int) else axes
    axes = {axis % x.ndim for axis in axes} if x.ndim else set()
    kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    origin = origins.find(x)
    for result in tensors(out):
        origins.set(result, origin and _resized(origin, x.shape, kept, mixed=True))


def _permutation(order: Callable[[Given, int], Sequence[int]]) -> Rule:
    def rule(origins: Origins, given: Given, out: Any) -> None:
        x = given["self"]
        origin = origins.find(x)
        if origin is not None:
            axes = [axis % x.ndim for axis in order(given, x.ndim)] if x.ndim else []
            moved = _fed(origin, permuted(origin.samples, x.shape, axes), permuted(origin.units, x.shape, axes))
            moved.mark, moved.source = origin.mark, origin.source
            origin = moved
        origins.set(out, origin)

    return rule


def _swapped(ndim: int, one: int, other: int) -> list[int]:
    order = list(range(ndim))
    order[one], order[other] = order[other], order[one]
    return order


def _part(origins: Origins, given: Given, out: Any) -> None:
    """Pieces along an axis: slices, splits, single places."""
    x = given["self"]
    origin = origins.find(x)
    axis = given.get("dim", 0)
    axis = axis % x.ndim if isinstance(axis, int) and x.ndim else 0
    for result in tensors(out):
        if origin is None:
            origins.set(result, None)
            continue
        new = tuple(result.shape)
        if result.ndim < x.ndim:
            new = (*new[:axis], 1, *new[axis:])
        piece = _resized(origin, x.shape, new)
        if piece.units is None and origin.units == along(x.shape, axis) and len(new) == x.ndim:
            piece.units = along(new, axis)
        origins.set(result, piece)


def _joined(origins: Origins, given: Given, out: Any) -> None:
    """Tensors one after another along an axis, which may be a new one."""
    found = [(each, origin) for each in given["tensors"] if each.ndim and (origin := origins.find(each))]
    if not found:
        origins.set(out, None)
        return
    part, origin = max(found, key=lambda pair: (not pair[1].weights, pair[1].order))
    axis = given.get("dim", 0) % out.ndim
    old = tuple(part.shape) if part.ndim == out.ndim else (*part.shape[:axis], 1, *part.shape[axis:])
    result = _resized(origin, old, out.shape)
    if result.units is None and part.ndim == out.ndim and origin.units == along(old, axis):
        result.units = along(out.shape, axis)
    origins.set(out, result)


def _fed_by(origins: Origins, x: Origin | None, weight: Any, samples: Label | None, units: Label | None) -> Origin | None:
    """Return the origin of a layer's output: of its own if it has weights, else of what its input is fed by."""
    weights = origins.find(weight)
    if weights is not None and weights.weights:
        if x is not None and x.weights:
            return Origin(weights=x.weights + weights.weights)
        return origins.layer(weights.weights, samples, units)
    return None if x is None else Origin(x.layer, x.order, samples, units, x.mixed or weights is not None, x.weights)


def _product(one: str, other: str) -> Rule:
    """Products of matrices, of which one may hold weights."""

    def rule(origins: Origins, given: Given, out: Any) -> None:
        a, b = given[one], given[other]
        of_a, of_b = origins.find(a), origins.find(b)
        shape = tuple(out.shape)
        if b.ndim == 1:
            shape = (*shape, 1)
        if of_b is not None and of_b.weights and not (of_a and of_a.weights):
            units = along(shape, len(shape) - 1) if _is_one(b) else None
            samples = of_a and carried(of_a.samples, a.shape, shape)
            origins.set(out, origins.layer(of_b.weights, samples, units))
        elif of_a is not None and of_a.weights and not (of_b and of_b.weights):
            old = b.shape if b.ndim > 1 else (*b.shape, 1)
            units = along(shape, len(shape) - 2) if _is_one(a) else None
            samples = of_b and carried(of_b.samples, old, shape)
            origins.set(out, origins.layer(of_a.weights, samples, units))
        else:
            _mixing(origins, {"a": a, "b": b}, out)
            if (result := origins.find(out)) and not result.weights:
                result.units = None
                result.samples = (of_a and carried(of_a.samples, a.shape, shape)) or (
                    of_b and b.ndim == len(shape) and carried(of_b.samples, b.shape, shape) or None
                )

    return rule


def _is_one(matrices: Tensor) -> bool:
    """Say whether a stack of matrices is one matrix, repeated perhaps."""
    return matrices.ndim < 3 or matrices.shape[0] == 1 or matrices.stride(0) == 0


def _convolution(origins: Origins, given: Given, out: Any) -> None:
    x, weight = given["input"], given["weight"]
    origin, kernel = origins.find(x), origins.find(weight)
    if kernel is None:  # a fixed filter, such as a blur
        elementwise(origins, {"x": x}, out)
    else:
        samples = origin and carried(origin.samples, x.shape, out.shape)
        origins.set(out, _fed_by(origins, origin, weight, samples, along(out.shape, 1)))


def _channels(origins: Origins, given: Given, out: Any) -> None:
    """Normalisation by channels, which are axis 1, or what the samples leave of it."""
    x = given["input"]
    origin = origins.find(x)
    units = along(x.shape, 1)
    if origin is not None and origin.samples is not None:
        count, step = origin.samples
        inner = step // units[1]
        if 1 < count and units[0] == count * inner and step == inner * units[1]:  # (1, N * C, ...) of InstanceNorm
            units = inner, units[1]
    result, *statistics = tensors(out)
    origins.set(result, _fed_by(origins, origin, given.get("weight"), origin and origin.samples, units))
    for each in statistics:
        origins.set(each, None)


def _last(origins: Origins, given: Given, out: Any) -> None:
    """Normalisation of the last axis, or of several, which leaves the units where they are."""
    x = given["input"]
    origin = origins.find(x)
    units = along(x.shape, x.ndim - 1) if len(given["normalized_shape"]) == 1 else origin and origin.units
    result, *statistics = tensors(out)
    origins.set(result, _fed_by(origins, origin, given.get("weight"), origin and origin.samples, units))
    for each in statistics:
        origins.set(each, None)


def _embedding(origins: Origins, given: Given, out: Any) -> None:
    index = origins.find(given["indices"])
    result, *others = tensors(out)
    samples = None
    if index is not None and index.samples is not None and result.ndim == given["indices"].ndim + 1:
        samples = index.samples[0], index.samples[1] * result.shape[-1]
    units = along(result.shape, result.ndim - 1)
    origins.set(result, _fed_by(origins, index, given["weight"], samples, units))
    for each in others:
        origins.set(each, None)


def _recurrent(origins: Origins, given: Given, out: Any) -> None:
    """Whole recurrent layers and other layers of several operands, of which one holds weights: units on the last axis."""
    x = next(iter(tensors(list(given.values()))))
    origin = origins.find(x)
    weight = next((each for each in tensors(list(given.values())) if (o := origins.find(each)) and o.weights), None)
    for result in tensors(out):
        if not result.ndim or result.ndim != x.ndim:
            origins.set(result, None)
            continue
        samples = origin and carried(origin.samples, x.shape, result.shape)
        origins.set(result, _fed_by(origins, origin, weight, samples, along(result.shape, result.ndim - 1)))


def _shuffled(origins: Origins, given: Given, out: Any) -> None:
    """Positions become channels, or channels positions."""
    elementwise(origins, given, out)
    if (origin := origins.find(out)) and out.ndim > 2:
        origin.units = out.shape[-3], stride(out.shape, out.ndim - 3)


def _copied(origins: Origins, given: Given, out: Any) -> None:
    elementwise(origins, {"src": given["src"]}, out)


def _constant(origins: Origins, given: Given, out: Any) -> None:
    for result in tensors(out):
        origins.set(result, None)


def _by_name(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


#: by the name of the operation; all others are :func:`elementwise`
RULES: dict[str, Rule] = {
    **_by_name(
        _same,
        "view reshape _unsafe_view _reshape_alias squeeze unsqueeze flatten alias detach clone contiguous _to_copy to "
        "lift_fresh view_as positive _conj",
    ),
    **_by_name(
        _constant,
        "zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_full new_empty zero fill",
    ),
    **_by_name(
        _reduction,
        "sum mean prod var std var_mean std_mean norm linalg_vector_norm amax amin max min logsumexp median any all "
        "argmax argmin",
    ),
    **_by_name(
        _mixing,
        "_softmax _log_softmax cumsum cumprod _scaled_dot_product_flash_attention_for_cpu "
        "_scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention "
        "_scaled_dot_product_cudnn_attention _scaled_dot_product_attention_math _scaled_dot_product_fused_attention_overrideable",
    ),
    "copy": _copied,
    "t": _permutation(lambda given, ndim: list(range(ndim))[::-1]),
    "transpose": _permutation(lambda given, ndim: _swapped(ndim, given["dim0"], given["dim1"])),
    "permute": _permutation(lambda given, ndim: given["dims"]),
    **_by_name(_part, "slice select narrow split split_with_sizes unsafe_split unsafe_split_with_sizes unbind chunk"),
    **_by_name(_joined, "cat stack"),
    "mm": _product("self", "mat2"),
    "bmm": _product("self", "mat2"),
    "mv": _product("self", "vec"),
    "addmm": _product("mat1", "mat2"),
    "baddbmm": _product("batch1", "batch2"),
    "addmv": _product("mat", "vec"),
    **_by_name(_convolution, "convolution _convolution convolution_overrideable"),
    **_by_name(
        _channels,
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update "
        "cudnn_batch_norm miopen_batch_norm native_group_norm",
    ),
    **_by_name(_last, "native_layer_norm _fused_rms_norm"),
    **_by_name(_embedding, "embedding _embedding_bag"),
    **_by_name(_recurrent, "mkldnn_rnn_layer _cudnn_rnn miopen_rnn _trilinear"),
    **_by_name(_shuffled, "pixel_shuffle pixel_unshuffle"),
}
