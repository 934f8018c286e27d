"""Rules for sums of products: matrix products, convolutions, BatchNorm, averages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from leaky.torch.bounds.rounding import Interval, product_arithmetic
from leaky.torch.bounds.rules import Call, Operand, rule


def middle(operand: Operand) -> tuple[Tensor, Tensor]:
    """Return the middle and the radius of each element."""
    if isinstance(operand, Tensor):
        centre = operand.double()
        return centre, torch.zeros_like(centre)
    centre = (operand.lower + operand.upper) / 2
    return centre, torch.maximum(operand.upper - centre, centre - operand.lower)


def _unknown(operand: Operand) -> Tensor:
    return ~(operand if isinstance(operand, Tensor) else operand.lower).isfinite()


def _filled(operand: Operand) -> Operand:
    """Return the operand with 0 where it is unknown."""
    lost = _unknown(operand)
    if isinstance(operand, Tensor):
        return operand.masked_fill(lost, 0)
    return Interval(*(end.masked_fill(lost, 0) for end in operand))


def sums(
    a: Operand,
    b: Operand,
    multiply: Callable[[Tensor, Tensor], Tensor],
    terms: int,
    dtype: torch.dtype,
    bias: Operand | None = None,
    *,
    convolution: bool = False,
) -> Interval:
    """Return the bounds of sums of products, by their middles and radii (Rump 1999, "Fast and parallel interval arithmetic").

    Args:
        a: one factor.
        b: the other.
        multiply: from float64 factors to the sums, linear in each.
        terms: the largest number of products in one sum.
        dtype: of the network's own arithmetic.
        bias: added to the sums, or None.
        convolution: whether the network computes them as one.
    """
    a_lost, b_lost = (_unknown(operand).double() for operand in (a, b))
    if bool(a_lost.any()) or bool(b_lost.any()):
        known = sums(_filled(a), _filled(b), multiply, terms, dtype, bias, convolution=convolution)
        # Sums in which they are multiplied by 0 are unknown, too, for they may be infinite.
        reached = multiply(a_lost, torch.ones_like(b_lost)) + multiply(torch.ones_like(a_lost), b_lost) != 0
        return Interval(*(end.masked_fill(reached, math.nan) for end in known))
    (a_mid, a_rad), (b_mid, b_rad) = middle(a), middle(b)
    numbers = product_arithmetic(dtype, a_mid.device, convolution=convolution)
    growth = numbers.growth(terms + 4)  # both factors, the sum and the bias may be rounded, too
    a_size, b_size = a_mid.abs() + a_rad, b_mid.abs() + b_rad
    # rad(a)|b| + |mid a| rad(b) of the exact sums, growth |a||b| of rounding; one product where one factor varies
    radius = multiply(a_rad * (1 + growth) + growth * a_size, b_size)
    if isinstance(b, Interval):
        radius = radius + multiply(a_mid.abs(), b_rad * (1 + growth))
    touched = radius != 0
    if dtype == torch.float64:  # products may be lost below the normal range here, too
        touched = multiply((a_size != 0).double(), (b_size != 0).double()) != 0
    # What is lost below the normal range, of products and of flushed factors. Sums of zeros are exact.
    radius = radius + touched * (numbers.smallest * terms * (4 + a_size.max() + b_size.max()))
    # radius is at least growth |a||b|: beyond this, sums on the way may overflow.
    radius = radius.masked_fill(radius > growth * numbers.largest, math.nan)
    centre = multiply(a_mid, b_mid)
    if bias is not None:
        bias_mid, bias_rad = middle(bias)
        centre = centre + bias_mid
        radius = radius + bias_rad * (1 + growth) + growth * bias_mid.abs()
    return Interval(centre - radius, centre + radius)


@rule("mm", "bmm", "mv", "dot")
def _matrix_product(call: Call, a: Operand, b: Operand) -> Interval:
    return sums(a, b, torch.matmul, _shape(a)[-1], call.dtype)


@rule("addmm", "baddbmm", "addmv")
def _matrix_product_with_bias(
    call: Call, bias: Operand, a: Operand, b: Operand, *, beta: float = 1, alpha: float = 1
) -> Interval | None:
    if (beta, alpha) != (1, 1):
        return None
    return sums(a, b, torch.matmul, _shape(a)[-1], call.dtype, bias)


@rule("linear")
def _linear(call: Call, x: Operand, weight: Operand, bias: Operand | None = None) -> Interval:
    return sums(x, weight, torch.nn.functional.linear, _shape(x)[-1], call.dtype, bias)


@rule("convolution")
def _convolution(call: Call, x: Operand, weight: Operand, bias: Operand | None, *settings: Any) -> Interval | None:
    if isinstance(weight, Interval) or isinstance(bias, Interval):
        return None
    transposed, groups = settings[3], settings[5]
    inputs = weight.shape[0] // groups if transposed else weight.shape[1]
    if bias is not None:
        bias = bias[:, *[None] * (weight.dim() - 2)]

    def convolve(a: Tensor, b: Tensor) -> Tensor:
        result: Tensor = call.operation(a, b, None, *settings)
        return result

    return sums(x, weight, convolve, inputs * math.prod(weight.shape[2:]), call.dtype, bias, convolution=True)


@rule("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm")
def _batch_norm(
    call: Call,
    x: Operand,
    weight: Operand | None,
    bias: Operand | None,
    mean: Operand | None,
    variance: Operand | None,
    training: bool,
    momentum: float,
    eps: float,
) -> list[Interval | None]:
    if training or mean is None or variance is None:
        return [None]  # normalised by the batch itself
    return _batch_norm_in_evaluation(call, x, weight, bias, mean, variance, momentum, eps)


@rule("_native_batch_norm_legit_no_training")
def _batch_norm_in_evaluation(
    call: Call,
    x: Operand,
    weight: Operand | None,
    bias: Operand | None,
    mean: Operand,
    variance: Operand,
    momentum: float,
    eps: float,
) -> list[Interval | None]:
    """Return the bounds, whether it is computed as ``(x - mean) * scale + bias`` or ``x * scale + (bias - mean * scale)``."""
    varying = [a for a in (weight, bias, mean, variance) if isinstance(a, Interval)]
    if varying or not isinstance(x, Interval):
        return [None]

    def per_channel(values: Any) -> Tensor:
        result: Tensor = values.double()[:, *[None] * (x.lower.dim() - 2)]
        return result

    offset = per_channel(mean)
    scale = (per_channel(variance) + eps).rsqrt()
    scale = scale if weight is None else scale * per_channel(weight)
    shift = torch.zeros_like(offset) if bias is None else per_channel(bias)
    centre, radius = middle(x)
    # Roundings: sum and root, their inverse or quotient, times weight; product, difference and sum; and one to spare.
    growth = call.numbers.growth(8)
    size = centre.abs() + radius + offset.abs()
    lost = (scale != 0) * call.numbers.smallest * (4 + size + scale.abs())
    radius = radius * scale.abs() + growth * (scale.abs() * size + shift.abs()) + lost
    centre = (centre - offset) * scale + shift
    return [Interval(centre - radius, centre + radius)]


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _average_pool(call: Call, x: Interval, kernel: list[int], *settings: Any) -> Interval:
    terms = math.prod(kernel * 3 if len(kernel) == 1 else kernel)
    return _averages(call, x, lambda values: call.operation(values, kernel, *settings), terms)


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d")
def _adaptive_average_pool(call: Call, x: Interval, size: list[int]) -> Interval:
    return _averages(call, x, lambda values: call.operation(values, size), math.prod(x.lower.shape[-len(size) :]))


@rule("mean", "sum")
def _mean_or_sum(call: Call, x: Interval, *settings: Any, **more: Any) -> Interval:
    more.pop("dtype", None)

    def average(values: Tensor) -> Tensor:
        result: Tensor = call.operation(values, *settings, **more)
        return result

    return _averages(call, x, average, x.lower.numel() // max(average(x.lower).numel(), 1))


def _averages(call: Call, x: Interval, average: Callable[[Tensor], Tensor], terms: int) -> Interval:
    """Return the bounds of sums or averages of so many terms, none with a negative weight."""
    growth = call.numbers.growth(terms + 4)
    size = average(x.magnitude)
    size = size.masked_fill(size > call.numbers.largest / terms, math.nan)  # sums on the way may overflow
    slack = growth * size + (size != 0) * call.numbers.smallest * terms
    return Interval(average(x.lower) - slack, average(x.upper) + slack)


@rule("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def _interpolation(call: Call, x: Interval, *settings: Any) -> Interval:
    lower, upper = (call.operation(values, *settings) for values in x)
    # The weights are off by roundings of the place in the picture, which is at most as large as the picture.
    slack = call.numbers.growth(8 * max(lower.shape[2:] + x.lower.shape[2:])) * x.magnitude.nan_to_num(0).max()
    return Interval(lower - slack, upper + slack)


def _shape(operand: Operand) -> torch.Size:
    return operand.shape if isinstance(operand, Tensor) else operand.lower.shape
