"""How what is known of tensors flows through each operation: which layer feeds the result, where its units lie."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from leaky.torch.watch.labels import Label, along, carried, permuted
from leaky.torch.watch.origin import Call, Origin, Rule


def _fed(origin: Origin, samples: Label | None, units: Label | None, *, mixed: bool = False) -> Origin:
    """Return the origin of a tensor that the same layer feeds."""
    fed = Origin(origin.layer, origin.order, samples, units, origin.mixed or mixed, origin.weights)
    fed.alone = origin.alone and not mixed
    return fed


def _resized(origin: Origin, old: Sequence[int], new: Sequence[int], *, mixed: bool = False) -> Origin:
    """Return the origin after axes have changed their sizes; of another number of axes the first alone is followed."""
    if len(old) != len(new):
        old, new = _folded(old), _folded(new)
    return _fed(origin, carried(origin.samples, old, new), carried(origin.units, old, new), mixed=mixed)


def _folded(shape: Sequence[int]) -> tuple[int, int]:
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


def same(call: Call) -> list[Origin | None]:
    """Follow the same numbers in the same order: views, copies, other types."""
    return [value and value.origin for value in [next(iter(call.known.values()), None)]]


def elementwise(call: Call) -> list[Origin | None]:
    """Anything else: the units are where the operand had them that is most like the result."""
    operands = list(call.operands())
    return [_blended(operands, out) for out in call.outs]


def _blended(operands: list[tuple[Tensor, Origin]], out: Tensor) -> Origin | None:
    weights = sum((origin.weights for _, origin in operands), ())
    data = [(operand, origin) for operand, origin in operands if not origin.weights]
    scaled = any(operand.shape == out.shape and origin.weights for operand, origin in operands)
    if not data or (scaled and all(operand.numel() == 1 for operand, _ in data)):  # such as weights over their norm
        return Origin(weights=weights) if weights else None
    fits = [(operand, _fitted(operand, origin, out), origin) for operand, origin in data]
    best, new, _ = max(
        fits,
        key=lambda fit: (fit[0].shape == out.shape, not fit[2].mixed and fit[2].layer is not None, fit[2].order),
    )
    new.alone = False
    if new.samples is None:  # as of queries that are learned, or positions, until they meet the data
        new.samples = next((fit.samples for _, fit, _ in fits if fit.samples is not None), None)
    new.pointwise = best.shape == out.shape
    if weights and new.layer is None:  # a layer that only scales or shifts
        new.layer = weights[0]
        new.units = next((units for part, of in operands if of.weights and (units := _own_axis(part, out))), new.units)
    return new


def _fitted(operand: Tensor, origin: Origin, out: Tensor) -> Origin:
    """Return the origin of an operand that is broadcast to a result."""
    return _resized(origin, (1,) * (out.ndim - operand.ndim) + tuple(operand.shape), out.shape)


def _scaling(call: Call) -> list[Origin | None]:
    """Follow what gives twice as much of twice as much: products with constants or weights, and maxima."""
    results = elementwise(call)
    data = [origin for _, origin in call.operands() if not origin.weights]
    for result in results:
        if result is not None:
            result.alone = len(data) == 1 and data[0].alone
    return results


def _sum(call: Call) -> list[Origin | None]:
    """Follow sums; a bias is of the layer whose output it is added to."""
    results = elementwise(call)
    operands = [origin for _, origin in call.operands()]
    data = [origin for origin in operands if not origin.weights]
    for result in results:
        if result is not None and len(operands) == 2 and len(data) == 1:
            result.alone = data[0].alone and any(origin.weights == (data[0].layer,) for origin in operands)
    return results


def _own_axis(vector: Tensor, out: Tensor) -> Label | None:
    """Return the label of the axis that a vector lies along when it is broadcast; None if it is not, as in products."""
    found = [(axis - vector.ndim + out.ndim, size) for axis, size in enumerate(vector.shape) if size > 1]
    if len(found) != 1 or found[0][0] < 0:
        return None
    ((axis, size),) = found
    return along(out.shape, axis) if out.shape[axis] == size else None


def _mixing(call: Call) -> list[Origin | None]:
    """Follow sums and the like along an axis that stays."""
    return [origin and _fed(origin, origin.samples, origin.units, mixed=True) for origin in elementwise(call)]


def _reduction(call: Call) -> list[Origin | None]:
    """Follow sums, means and the like, which take axes away."""
    x, origin, axes = call.given["self"], call["self"], call.given.get("dim")
    if origin is None:
        return [None] * len(call.outs)
    axes = range(x.ndim) if axes is None or axes == [] else [axes] if isinstance(axes, int) else axes
    gone = {axis % max(x.ndim, 1) for axis in axes}  # of a number, axes 0 and -1 may be given
    kept = [1 if axis in gone else size for axis, size in enumerate(x.shape)]
    return [_resized(origin, x.shape, kept, mixed=True)] * len(call.outs)


def _permutation(order: Callable[[dict[str, Any], int], Sequence[int]]) -> Rule:
    def rule(call: Call) -> list[Origin | None]:
        x, origin = call.given["self"], call["self"]
        if origin is None or not x.ndim:
            return [origin]
        axes = [axis % x.ndim for axis in order(call.given, x.ndim)]
        return [_fed(origin, permuted(origin.samples, x.shape, axes), permuted(origin.units, x.shape, axes))]

    return rule


def _swapped(ndim: int, one: int, other: int) -> list[int]:
    order = list(range(ndim))
    order[one], order[other] = order[other], order[one]
    return order


def _parts(call: Call) -> list[Origin | None]:
    """Pieces along an axis: slices, splits, single places."""
    x, origin = call.given["self"], call["self"]
    if origin is None:
        return [None] * len(call.outs)
    axis = call.given.get("dim", 0) % x.ndim
    pieces: list[Origin | None] = []
    for out in call.outs:
        new = tuple(out.shape) if out.ndim == x.ndim else (*out.shape[:axis], 1, *out.shape[axis:])
        piece = _resized(origin, x.shape, new)
        if piece.units is None and origin.units == along(x.shape, axis):
            piece.units = along(new, axis)
        pieces.append(piece)
    return pieces


def _joined(call: Call) -> list[Origin | None]:
    """Tensors one after another along an axis, which may be a new one."""
    (out,) = call.outs
    found = [(part, origin) for part, origin in call.operands() if part.ndim]
    if not found:
        return [None]
    part, origin = max(found, key=lambda pair: (not pair[1].weights, pair[1].order))
    axis = call.given.get("dim", 0) % out.ndim
    old = tuple(part.shape) if part.ndim == out.ndim else (*part.shape[:axis], 1, *part.shape[axis:])
    result = _resized(origin, old, out.shape)
    result.alone = False
    if result.units is None and part.ndim == out.ndim and origin.units == along(old, axis):
        result.units = along(out.shape, axis)
    return [result]


def _through(
    call: Call, x: Origin | None, weight: Origin | None, units: Label | None, samples: Label | None
) -> Origin | None:
    """Return the origin of a layer's output: the layer's if it has weights, else what its input is fed by."""
    if weight is not None and weight.weights:
        if x is not None and x.weights:
            return Origin(weights=x.weights + weight.weights)
        if x is None and "parametrizations" in call.here.split("."):  # the weights are only being made
            return weight
        return call.layer(weight.weights, samples, units)
    return x and Origin(x.layer, x.order, samples, units, x.mixed or weight is not None, x.weights)


def _product(one: str, other: str) -> Rule:
    """Products of matrices, of which one may hold weights."""

    def rule(call: Call) -> list[Origin | None]:
        a, b = call.given[one], call.given[other]
        of_a, of_b = call[one], call[other]
        shape = (*call.outs[0].shape, 1) if b.ndim == 1 else tuple(call.outs[0].shape)
        samples = (of_a and carried(of_a.samples, a.shape, shape)) or (
            of_b and carried(of_b.samples, (*b.shape, 1) if b.ndim == 1 else b.shape, shape)
        )
        from_a, from_b = bool(of_a and of_a.weights), bool(of_b and of_b.weights)
        if from_a == from_b:
            (mixed,) = _mixing(call)
            return [mixed and (mixed if from_a else _fed(mixed, samples, None))]
        weights, units = (b, along(shape, len(shape) - 1)) if from_b else (a, along(shape, len(shape) - 2))
        one_matrix = weights.ndim < 3 or len(weights) == 1 or weights.stride(0) == 0
        x, weight = (of_a, of_b) if from_b else (of_b, of_a)
        return [_through(call, x, weight, units if one_matrix else None, samples)]

    return rule


def _convolution(call: Call) -> list[Origin | None]:
    origin, (out,) = call["input"], call.outs
    samples = origin and carried(origin.samples, call.given["input"].shape, out.shape)
    return [_through(call, origin, call["weight"], along(out.shape, 1), samples)]


def _channels(call: Call) -> list[Origin | None]:
    """Normalisation by channels, which are axis 1, or what the samples leave of it."""
    x, origin = call.given["input"], call["input"]
    units = along(x.shape, 1)
    if origin is not None and origin.samples is not None:
        count, step = origin.samples
        each = step // units[1]
        if count > 1 and units[0] == count * each and step == each * units[1]:  # (1, N * C, ...), of InstanceNorm
            units = each, units[1]
    return _first(call, _through(call, origin, call["weight"], units, origin and origin.samples))


def _last(call: Call) -> list[Origin | None]:
    """Normalisation of the last axis, or of several, which leaves the units where they are."""
    x, origin = call.given["input"], call["input"]
    units = along(x.shape, x.ndim - 1) if len(call.given["normalized_shape"]) == 1 else origin and origin.units
    return _first(call, _through(call, origin, call["weight"], units, origin and origin.samples))


def _embedding(call: Call) -> list[Origin | None]:
    index, out = call["indices"], call.outs[0]
    samples = None
    if index is not None and index.samples is not None:
        count, step = index.samples
        if len(call.outs) == 1:
            samples = count, step * out.shape[-1]
        elif count == len(out):  # a bag for each
            samples = along(out.shape, 0)
    return _first(call, _through(call, index, call["weight"], along(out.shape, out.ndim - 1), samples))


def _units_last(call: Call) -> list[Origin | None]:
    """Whole recurrent layers and the like: several operands, the first of them data, some of them weights."""
    out = call.outs[0]
    if not (operands := list(call.operands())):
        return _constant(call)
    (x, origin), *others = operands
    weight = next((each for _, each in others if each.weights), None)
    samples = carried(origin.samples, x.shape, out.shape) if x.ndim == out.ndim else None
    return _first(call, _through(call, origin, weight, along(out.shape, out.ndim - 1), samples))


def opaque(call: Call) -> list[Origin | None]:
    """Operations of other libraries: they may well hold weights, and nothing is known of their axes."""
    return [call.layer((), origin and origin.samples, None) for origin in elementwise(call)]


def _first(call: Call, origin: Origin | None) -> list[Origin | None]:
    """Return the origin for the first result; of the others nothing is known."""
    return [origin, *[None] * (len(call.outs) - 1)]


def _shuffled(call: Call) -> list[Origin | None]:
    """Positions become channels, or channels positions."""
    (origin,), (out,) = elementwise(call), call.outs
    return [origin and _fed(origin, origin.samples, along(out.shape, out.ndim - 3))]


def _copied(call: Call) -> list[Origin | None]:
    source = call["src"]
    return [source and _resized(source, call.given["src"].shape, call.outs[0].shape)]


def _constant(call: Call) -> list[Origin | None]:
    return [None] * len(call.outs)


def _by_name(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


#: by the name of the operation; all others are :func:`elementwise`
RULES: dict[str, Rule] = {
    **_by_name(
        same,
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
    **_by_name(_scaling, "mul div neg max_pool2d_with_indices max_pool3d_with_indices"),
    "add": _sum,
    "copy": _copied,
    "t": _permutation(lambda given, ndim: list(range(ndim))[::-1]),
    "transpose": _permutation(lambda given, ndim: _swapped(ndim, given["dim0"], given["dim1"])),
    "permute": _permutation(lambda given, ndim: given["dims"]),
    **_by_name(_parts, "slice select narrow split split_with_sizes unsafe_split unsafe_split_with_sizes unbind chunk"),
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
    **_by_name(_units_last, "mkldnn_rnn_layer _cudnn_rnn miopen_rnn _trilinear"),
    **_by_name(_shuffled, "pixel_shuffle pixel_unshuffle"),
}
