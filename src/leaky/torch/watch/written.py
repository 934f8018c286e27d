"""Activations that are written out in several operations: maximum(x, 0), where(x > 0, x, 0), x * (x > 0), x * sigmoid(x).

The operations before the last leave marks on what they return, by which the last is recognised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from leaky.torch.watch import forms
from leaky.torch.watch.forms import Arguments, Form
from leaky.torch.watch.origin import Origin, Origins


@dataclass(frozen=True, slots=True)
class Sign:
    """Marks the mask ``x > 0``, or ``x < 0``, and those that differ at 0 alone."""

    of: Origin
    positive: bool
    form: str


@dataclass(frozen=True, slots=True)
class Scaled:
    """Marks ``factor * x``."""

    of: Origin
    factor: float | Tensor


@dataclass(frozen=True, slots=True)
class Gate:
    """Marks what a sigmoid, a tanh, a softplus or an erf has put out: ``x * gate`` is another activation."""

    of: Origin
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


def is_zero(value: Any, origins: Origins) -> bool:
    """Say whether a number, or every element of a tensor that is no data and no parameter, is 0."""
    if isinstance(value, Tensor):
        return origins.find(value) is None and not value.requires_grad and value.numel() > 0 and not bool(value.any())
    return isinstance(value, int | float) and value == 0


def is_data(origin: Origin | None) -> bool:
    """Say whether a tensor comes from the inputs, and not from parameters or constants alone."""
    return origin is not None and not origin.weights


def _marked(value: Any, origins: Origins, kind: type) -> Any:
    origin = origins.find(value)
    return origin.mark if origin is not None and isinstance(origin.mark, kind) else None


def _maximum(given: Arguments, origins: Origins) -> Written | None:
    low = given.get("other", given.get("min"))
    if given.get("max") is not None or not isinstance(low, Tensor):
        return None
    for x, other in ((given["self"], low), (low, given["self"])):
        origin = origins.find(x)
        if origin is None:
            continue
        if is_zero(other, origins):
            return Written(x, origin, forms.relu("maximum(x, 0)"))
        scaled = _marked(other, origins, Scaled)
        if scaled is not None and scaled.of is origin and isinstance(scaled.factor, float) and 0 <= scaled.factor <= 1:
            return Written(x, origin, forms.leaky("maximum(x, slope * x)", scaled.factor))
    return None


def _where(given: Arguments, origins: Origins) -> Written | None:
    sign: Sign | None = _marked(given["condition"], origins, Sign)
    if sign is None:
        return None
    x, other = given["self"], given["other"]
    if not sign.positive:
        x, other = other, x
    if origins.find(x) is not sign.of:
        return None
    if is_zero(other, origins):
        return Written(x, sign.of, forms.relu(f"where({sign.form}, {'x, 0' if sign.positive else '0, x'})"))
    scaled = _marked(other, origins, Scaled)
    if scaled is None or scaled.of is not sign.of:
        return None
    branches = "x, slope * x" if sign.positive else "slope * x, x"
    return Written(x, sign.of, forms.leaky(f"where({sign.form}, {branches})", scaled.factor))


def _masked_fill(given: Arguments, origins: Origins) -> Written | None:
    sign: Sign | None = _marked(given["mask"], origins, Sign)
    if sign is None or sign.positive or origins.find(given["self"]) is not sign.of or not is_zero(given["value"], origins):
        return None
    return Written(given["self"], sign.of, forms.relu(f"masked_fill({sign.form}, 0)"))


def _mul(given: Arguments, origins: Origins) -> Written | None:
    one, other = given["self"], given["other"]
    if not isinstance(other, Tensor):
        return None
    origin, beside = origins.find(one), origins.find(other)
    if origin is None or beside is None:
        return None
    for x, of_x, factor in ((one, origin, beside.mark), (other, beside, origin.mark)):
        if isinstance(factor, Sign) and factor.positive and factor.of is of_x:
            return Written(x, of_x, forms.relu(f"x * ({factor.form})"))
        if isinstance(factor, Gate) and factor.kind in _GATED:
            form = forms.gated(*_GATED[factor.kind])
            if of_x in (inside := list(factor.of.sources())):
                return Written(x, of_x, form, factor.sites)
            if isinstance(of_x.mark, Scaled) and of_x.mark.of in inside:  # 0.5 * x * (1 + tanh(...))
                return Written(x / of_x.mark.factor, of_x.mark.of, form, factor.sites)
    return None


_GATED = {
    "sigmoid": ("silu", "x * sigmoid(x)"),
    "tanh": ("gelu", "x * (1 + tanh(...))"),
    "erf": ("gelu", "x * (1 + erf(...))"),
    "mish": ("mish", "x * tanh(softplus(x))"),
}

#: by the name of the operation that completes them
WRITTEN: dict[str, Callable[[Arguments, Origins], Written | None]] = {
    "maximum": _maximum,
    "clamp": _maximum,
    "clamp_min": _maximum,
    "where": _where,
    "masked_fill": _masked_fill,
    "mul": _mul,
}


def _compared(positive: bool, form: str) -> Callable[[Arguments, Origins, Any], Any]:
    def mark(given: Arguments, origins: Origins, site: Any) -> Sign | None:
        origin = origins.find(given["self"])
        return Sign(origin, positive, form) if origin is not None and is_zero(given["other"], origins) else None

    return mark


def _scaled(given: Arguments, origins: Origins, site: Any) -> Any:
    x, factor = given["self"], given["other"]
    if isinstance(factor, Tensor) and not is_data(origins.find(x)):
        x, factor = factor, x
    origin = origins.find(x)
    if origin is None or not is_data(origin) or is_data(origins.find(factor)):
        return None
    if isinstance(origin.mark, Gate):
        return origin.mark  # 0.5 * (1 + tanh(...))
    if isinstance(factor, Tensor):
        return Scaled(origin, factor.detach()) if factor.numel() == 1 or origins.find(factor) else None
    return Scaled(origin, float(factor))


def _kept(given: Arguments, origins: Origins, site: Any) -> Gate | None:
    return None if isinstance(given["other"], Tensor) else _marked(given["self"], origins, Gate)


def _gated(kind: str) -> Callable[[Arguments, Origins, Any], Any]:
    def mark(given: Arguments, origins: Origins, site: Any) -> Gate | None:
        origin = origins.find(given["self"])
        if origin is None:
            return None
        inner = origin.mark
        if kind == "tanh" and isinstance(inner, Gate) and inner.kind == "softplus":
            return Gate(inner.of, "mish", (*inner.sites, site))
        return Gate(origin, kind, (site,))

    return mark


#: what leaves a mark
MARKS: dict[str, Callable[[Arguments, Origins, Any], Any]] = {
    "gt": _compared(True, "x > 0"),
    "ge": _compared(True, "x >= 0"),
    "lt": _compared(False, "x < 0"),
    "le": _compared(False, "x <= 0"),
    "mul": _scaled,
    "add": _kept,
    "sigmoid": _gated("sigmoid"),
    "tanh": _gated("tanh"),
    "erf": _gated("erf"),
    "softplus": _gated("softplus"),
}
