"""Rules for what is done element by element: arithmetic, activations, comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from leaky.torch.bounds.rounding import Interval
from leaky.torch.bounds.rules import Call, rule

# Roundings to which library functions such as tanh are taken to be exact, relative to their result or to 1: several
# times what their authors and PyTorch's tests allow.
_FUNCTION = 16


def _hull(*corners: Tensor) -> Interval:
    lower = upper = corners[0]
    for corner in corners[1:]:
        lower, upper = torch.minimum(lower, corner), torch.maximum(upper, corner)
    return Interval(lower, upper)


@rule("add", "sub")
def _add(call: Call, a: Any, b: Any, *, alpha: float = 1) -> Interval | None:
    (a_low, a_high), (b_low, b_high) = call.ends(a), call.ends(b)
    if alpha not in (1, -1):
        return None
    if (call.name == "sub") != (alpha < 0):
        b_low, b_high = -b_high, -b_low
    return call.numbers.outward(Interval(a_low + b_low, a_high + b_high), 2)


@rule("rsub")
def _reverse_sub(call: Call, a: Any, b: Any, alpha: float = 1) -> Interval | None:
    return _add(call, Interval(*(-end for end in reversed(call.ends(a)))), b) if alpha == 1 else None


@rule("mul")
def _multiply(call: Call, a: Any, b: Any) -> Interval:
    if a is b:
        return _square(call, a)
    corners = [left * right for left in call.ends(a) for right in call.ends(b)]
    return call.numbers.outward(_hull(*corners), 2)


@rule("div")
def _divide(call: Call, a: Any, b: Any, *, rounding_mode: str | None = None) -> Interval | None:
    if rounding_mode is not None:
        return None
    low, high = _tensors(*call.ends(b))
    low = low.masked_fill((low <= 0) & (high >= 0), math.nan)
    corners = [left / right for left in call.ends(a) for right in (low, high)]
    return call.numbers.outward(_hull(*corners), 3)


@rule("reciprocal")
def _reciprocal(call: Call, x: Interval) -> Interval | None:
    return _divide(call, 1, x)


@rule("square")
def _square(call: Call, x: Interval) -> Interval:
    return _with_extreme(call, torch.square, x, 0.0)


@rule("pow")
def _power(call: Call, x: Any, exponent: Any) -> Interval | None:
    if not isinstance(x, Interval) or not isinstance(exponent, int | float) or exponent not in (2, 3):
        return None

    def power(values: Tensor) -> Tensor:
        return torch.pow(values, exponent)

    slack = call.numbers.growth(_FUNCTION) * power(x.magnitude)
    lower, upper = _with_extreme(call, power, x, 0.0)
    return Interval(lower - slack, upper + slack)


@rule("abs")
def _absolute(call: Call, x: Interval) -> Interval:
    return _with_extreme(call, torch.abs, x, 0.0)


@rule("neg")
def _negate(call: Call, x: Interval) -> Interval:
    return Interval(-x.upper, -x.lower)


@rule("leaky_relu", "_prelu_kernel")
def _leaky(call: Call, x: Interval, slope: Any = 0.01) -> Interval | None:
    """Slopes of either sign, learned ones too: linear on both sides of 0."""
    if isinstance(slope, Interval):
        return None
    _, slope = call.ends(slope)
    return _with_extreme(call, lambda values: torch.where(values > 0, values, values * slope), x, 0.0)


@rule("rrelu_with_noise")
def _random_leaky(
    call: Call, x: Interval, noise: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, *_: Any
) -> Interval | None:
    return None if training else _leaky(call, x, (lower + upper) / 2)


@rule("threshold")
def _threshold(call: Call, x: Interval, threshold: float, value: float) -> Interval | None:
    if value > threshold:
        return None
    low, high = call.ends(threshold)
    lower, upper = torch.where(x.lower > high, x.lower, value), torch.where(x.upper > low, x.upper, value)
    return call.numbers.outward(Interval(lower + x.lower * 0, upper + x.upper * 0))


@rule("sigmoid", "tanh", "exp", "hardsigmoid", "erf", "atan", "sqrt", "elu", "celu")
def _increasing(call: Call, x: Interval, *settings: float) -> Interval | None:
    if any(number < 0 for number in settings):
        return None  # not increasing
    lower, upper = (call.operation(end, *settings) for end in x)
    slack = call.numbers.growth(_FUNCTION) * max(1.0, math.prod(settings))
    return call.numbers.outward(Interval(lower, upper), _FUNCTION, slack)


# Where each falls to its least value, after which it rises.
_VALLEYS = {
    "silu": -1.2784645427610738,
    "mish": -1.1924312145150523,
    "hardswish": -1.5,
    ("gelu", "none"): -0.7517915639300347,
    ("gelu", "tanh"): -0.7524613854403026,
}


@rule("silu", "mish", "hardswish")
def _valley(call: Call, x: Interval) -> Interval:
    return _with_extreme(call, call.operation, x, _VALLEYS[call.name], _FUNCTION)


@rule("gelu")
def _gelu(call: Call, x: Interval, *, approximate: str = "none") -> Interval:
    bottom = _VALLEYS["gelu", approximate]
    return _with_extreme(call, lambda values: call.operation(values, approximate=approximate), x, bottom, _FUNCTION)


def _with_extreme(
    call: Call, function: Callable[[Tensor], Tensor], x: Interval, place: float, functions: int = 0
) -> Interval:
    """Return the bounds of a function that is monotone on both sides of one place."""
    lower, upper = x
    at = function(torch.full_like(lower, place))
    inside = (lower < place) & (place < upper)
    first, last = function(lower), function(upper)
    return call.numbers.outward(
        _hull(first, last, torch.where(inside, at, first)),
        2 + functions,
        call.numbers.growth(functions) * bool(functions),
    )


@rule("_softmax")
def _softmax(call: Call, x: Interval, axis: int, *_: Any) -> Interval:
    known = x.lower * 0 + x.lower.sum(axis, keepdim=True) * 0  # NaN where any of those that are divided by is unknown
    return call.numbers.outward(Interval(known, known + 1), _FUNCTION)


@rule("gt", "ge", "lt", "le")
def _compare(call: Call, a: Any, b: Any) -> Interval:
    """Return 1 in the lower bound where the comparison holds for certain, 1 in the upper one where it may hold."""
    (a_low, a_high), (b_low, b_high) = call.ends(a), call.ends(b)
    surely, perhaps = (a_low, b_high), (a_high, b_low)
    if call.name.startswith("l"):
        surely, perhaps = perhaps, surely
    known = (a_low + b_low) * 0  # NaN where unknown
    compare = getattr(torch, call.name)
    return Interval(compare(*_tensors(*surely)) + known, compare(*_tensors(*perhaps)) + known)


#: what is followed of booleans alone
LOGIC = {"bitwise_and", "bitwise_or", "bitwise_not", "logical_and", "logical_or", "logical_not", "__and__", "__or__"}


@rule("bitwise_and", "logical_and", "__and__")
def _and(call: Call, a: Any, b: Any) -> Interval:
    return Interval(*(torch.minimum(*_tensors(*ends)) for ends in zip(call.ends(a), call.ends(b), strict=True)))


@rule("bitwise_or", "logical_or", "__or__")
def _or(call: Call, a: Any, b: Any) -> Interval:
    return Interval(*(torch.maximum(*_tensors(*ends)) for ends in zip(call.ends(a), call.ends(b), strict=True)))


@rule("bitwise_not", "logical_not")
def _not(call: Call, x: Interval) -> Interval:
    return Interval(1 - x.upper, 1 - x.lower)


@rule("where")
def _where(call: Call, condition: Any, a: Any, b: Any) -> Interval:
    surely, perhaps = call.ends(condition)
    (a_low, b_low), (a_high, b_high) = (_tensors(*ends) for ends in zip(call.ends(a), call.ends(b), strict=True))
    lower = torch.where(perhaps > 0, torch.minimum(a_low, b_low), b_low)
    upper = torch.where(perhaps > 0, torch.maximum(a_high, b_high), b_high)
    lower, upper = torch.where(surely > 0, a_low, lower), torch.where(surely > 0, a_high, upper)
    known = surely * 0
    return call.numbers.outward(Interval(lower + known, upper + known))


def _tensors(*values: Any) -> list[Tensor]:
    return [torch.as_tensor(value, dtype=torch.float64) for value in values]
