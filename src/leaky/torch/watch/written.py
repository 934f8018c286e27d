"""Activations that are written out in several operations: maximum(x, 0), where(x > 0, x, 0), x * (x > 0), x * sigmoid(x).

The operations before the last leave marks on what they return, by which the last is recognised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from leaky.torch.watch import forms
from leaky.torch.watch.forms import Form
from leaky.torch.watch.origin import Call, Origin, Value


@dataclass(frozen=True, slots=True)
class Sign:
    """Marks the mask ``x > 0``, or ``x < 0``, and those that differ at 0 alone."""

    of: Value
    positive: bool
    form: str


@dataclass(frozen=True, slots=True)
class Scaled:
    """Marks ``factor * x``."""

    of: Value
    factor: float | Tensor


@dataclass(frozen=True, slots=True)
class Gate:
    """Marks what a sigmoid, a tanh, a softplus or an erf has put out: ``x * gate`` is another activation."""

    of: Value
    kind: str
    #: the sites that it was taken for, this one and those it is made of
    sites: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """An activation that an operation completes."""

    x: Tensor
    origin: Origin
    form: Form
    #: sites that were only part of it
    parts: tuple[Any, ...] = ()


def _is_zero(call: Call, name: str) -> bool:
    """Say whether an argument is 0, or a tensor of zeros that is neither data nor parameters."""
    value = call.given[name]
    if isinstance(value, Tensor):
        return call.known.get(name) is None and value.numel() > 0 and not bool(value.any())
    return isinstance(value, int | float) and value == 0


def _scale(value: Value | None, of: Value) -> float | Tensor | None:
    """Return what multiple one tensor is of another, if it is."""
    mark = value.mark if value is not None else None
    return mark.factor if isinstance(mark, Scaled) and mark.of is of else None


def _sign(call: Call, name: str) -> Sign | None:
    value = call.known.get(name)
    return value.mark if value is not None and isinstance(value.mark, Sign) else None


def _maximum(call: Call) -> Written | None:
    low = "other" if "other" in call.given else "min"
    if call.given.get("max") is not None or not isinstance(call.given.get(low), Tensor):
        return None
    for name, other in (("self", low), (low, "self")):
        x, value = call.given[name], call.known.get(name)
        if value is None:
            continue
        if _is_zero(call, other):
            return Written(x, value.origin, forms.relu("maximum(x, 0)"))
        slope = _scale(call.known.get(other), value)
        if isinstance(slope, float) and 0 <= slope <= 1:
            return Written(x, value.origin, forms.leaky("maximum(x, slope * x)", slope))
    return None


def _where(call: Call) -> Written | None:
    sign = _sign(call, "condition")
    if sign is None:
        return None
    name, other = ("self", "other") if sign.positive else ("other", "self")
    if call.known.get(name) is not sign.of:
        return None
    x = call.given[name]
    if _is_zero(call, other):
        return Written(x, sign.of.origin, forms.relu(f"where({sign.form}, {'x, 0' if sign.positive else '0, x'})"))
    slope = _scale(call.known.get(other), sign.of)
    if slope is None:
        return None
    branches = "x, slope * x" if sign.positive else "slope * x, x"
    return Written(x, sign.of.origin, forms.leaky(f"where({sign.form}, {branches})", slope))


def _masked_fill(call: Call) -> Written | None:
    sign = _sign(call, "mask")
    if sign is None or sign.positive or call.known.get("self") is not sign.of or not _is_zero(call, "value"):
        return None
    return Written(call.given["self"], sign.of.origin, forms.relu(f"masked_fill({sign.form}, 0)"))


def _mul(call: Call) -> Written | None:
    for name, other in (("self", "other"), ("other", "self")):
        x, value, beside = call.given[name], call.known.get(name), call.known.get(other)
        factor = beside.mark if value is not None and beside is not None else None
        if isinstance(factor, Sign) and factor.positive and factor.of is value:
            return Written(x, value.origin, forms.relu(f"x * ({factor.form})"))
        if isinstance(factor, Gate) and factor.kind in _GATED and value is not None:
            form, within = forms.gated(*_GATED[factor.kind]), list(factor.of.sources())
            rate = _scale(factor.of, value)
            if factor.kind == "sigmoid" and isinstance(rate, float) and rate > 0:
                form = forms.swish(rate)
            if value in within:
                return Written(x, value.origin, form, factor.sites)
            if isinstance(value.mark, Scaled) and value.mark.of in within:  # 0.5 * x * (1 + tanh(...))
                return Written(x / value.mark.factor, value.mark.of.origin, form, factor.sites)
    return None


_GATED = {
    "sigmoid": ("silu", "x * sigmoid(x)"),
    "tanh": ("gelu", "x * (1 + tanh(...))"),
    "erf": ("gelu", "x * (1 + erf(...))"),
    "mish": ("mish", "x * tanh(softplus(x))"),
}

#: by the name of the operation that completes them
WRITTEN: dict[str, Callable[[Call], Written | None]] = {
    "maximum": _maximum,
    "clamp": _maximum,
    "clamp_min": _maximum,
    "where": _where,
    "masked_fill": _masked_fill,
    "mul": _mul,
}


def _compared(positive: bool, form: str) -> Callable[[Call, Any], Any]:
    def mark(call: Call, site: Any) -> Sign | None:
        value = call.known.get("self")
        return Sign(value, positive, form) if value is not None and _is_zero(call, "other") else None

    return mark


def _multiplied(call: Call, site: Any) -> Any:
    name, other = ("self", "other") if _is_data(call.known.get("self")) else ("other", "self")
    value, factor = call.known.get(name), call.given[other]
    if value is None or not _is_data(value) or _is_data(call.known.get(other)):
        return None
    if isinstance(value.mark, Gate):
        return value.mark  # 0.5 * (1 + tanh(...))
    if isinstance(factor, Tensor):
        return Scaled(value, factor.detach()) if factor.numel() == 1 or isinstance(factor, nn.Parameter) else None
    return Scaled(value, float(factor)) if isinstance(factor, int | float) else None  # it may be complex


def _is_data(value: Value | None) -> bool:
    return value is not None and not value.origin.weights


def _added(call: Call, site: Any) -> Gate | None:
    value = call.known.get("self")
    if value is None or not isinstance(value.mark, Gate) or isinstance(call.given["other"], Tensor):
        return None
    return value.mark


def _gated(kind: str) -> Callable[[Call, Any], Any]:
    def mark(call: Call, site: Any) -> Gate | None:
        value = call.known.get("self")
        if value is None:
            return None
        inner = value.mark
        if kind == "tanh" and isinstance(inner, Gate) and inner.kind == "softplus":
            return Gate(inner.of, "mish", (*inner.sites, site))
        return Gate(value, kind, () if site is None else (site,))

    return mark


#: by the name of the operation, what it leaves a mark with; it is told the site that the operation is itself
MARKS: dict[str, Callable[[Call, Any], Any]] = {
    "gt": _compared(True, "x > 0"),
    "ge": _compared(True, "x >= 0"),
    "lt": _compared(False, "x < 0"),
    "le": _compared(False, "x <= 0"),
    "mul": _multiplied,
    "add": _added,
    "sigmoid": _gated("sigmoid"),
    "tanh": _gated("tanh"),
    "erf": _gated("erf"),
    "softplus": _gated("softplus"),
}
