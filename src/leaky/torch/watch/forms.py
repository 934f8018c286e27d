"""Which operations of PyTorch are activations, on their own: by the name that its dispatcher knows them by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from leaky import flat

#: an operation's arguments, by the names of its schema; those left at their default are missing
Arguments = dict[str, Any]

_SELU = (1.6732632423543772, 1.0507009873554805)


@dataclass(frozen=True, slots=True)
class Form:
    """One way of writing an activation."""

    kind: str
    form: str
    limits: flat.Limits
    slope: float | Tensor | None = None
    #: its pre-activation is what exceeds this
    threshold: float = 0.0
    #: whether it is a maximum with 0 that need not be meant as an activation
    doubtful: bool = False

    @property
    def call(self) -> str:
        """What is called, as far as the form says."""
        name = self.form.partition("(")[0]
        return name if name.isidentifier() else self.kind


def relu(form: str) -> Form:
    """Return a ReLU that is written as a maximum with 0."""
    return Form("relu", form, flat.RECTIFIED, doubtful=True)


def leaky(form: str, slope: float | Tensor) -> Form:
    """Return a leaky ReLU that is written out."""
    return Form("leaky_relu", form, flat.RECTIFIED if isinstance(slope, float) and slope == 0 else flat.NOWHERE, slope)


def gated(kind: str, form: str) -> Form:
    """Return a SiLU, GELU or Mish that is written out."""
    return Form(kind, form, {"silu": flat.silu(), "gelu": flat.GELU, "mish": flat.MISH}[kind])


def swish(rate: float) -> Form:
    """Return a SiLU of ``rate * x``, over ``rate``."""
    return Form("silu", f"x * sigmoid({rate:g} * x)", flat.silu(rate))


def _hardtanh(form: str, low: float, high: float) -> Form:
    kind = {(0.0, 6.0): "relu6", (0.0, math.inf): "relu"}.get((low, high), "hardtanh")
    return Form(kind, "relu6" if form == "hardtanh" and kind == "relu6" else form, (float(low), float(high)))


def _clamp(given: Arguments) -> Form | None:
    low, high = given.get("min"), given.get("max")
    if isinstance(low, Tensor) or low != 0 or isinstance(high, Tensor) or (high is not None and not high > 0):
        return None  # it keeps numbers in bounds; or see written
    if high is None or high == math.inf:
        return relu("clamp(min=0)")
    found = _hardtanh(f"clamp(0, {high:g})", 0.0, high)
    return Form(found.kind, found.form, found.limits, doubtful=True)


def _clamp_min(given: Arguments) -> Form | None:
    low = given.get("min")
    return None if isinstance(low, Tensor) or low != 0 else relu("clamp_min(0)")


def _threshold(given: Arguments) -> Form:
    low, value = given["threshold"], given["value"]
    form = f"threshold({low:g}, {value:g})"
    if low == value == 0:
        return Form("relu", form, flat.RECTIFIED)
    return Form("threshold", form, flat.RECTIFIED, threshold=float(low))


def _leaky_relu(given: Arguments) -> Form:
    return leaky("leaky_relu", float(given.get("negative_slope", 0.01)))


def _prelu(given: Arguments) -> Form:
    return Form("prelu", "prelu", flat.NOWHERE, given["weight"])


def _rrelu(given: Arguments) -> Form:
    slope = (float(given.get("lower", 0.125)) + float(given.get("upper", 1 / 3))) / 2
    return Form("rrelu", "rrelu", flat.NOWHERE, slope)


def _elu(given: Arguments) -> Form:
    alpha, scale, rate = (float(given.get(name, 1.0)) for name in ("alpha", "scale", "input_scale"))
    kind = "selu" if (alpha, scale) == _SELU else "elu"
    return Form(kind, kind, flat.elu(alpha, rate))


def _celu(given: Arguments) -> Form:
    return Form("celu", "celu", flat.celu(float(given.get("alpha", 1.0))))


def _softplus(given: Arguments) -> Form:
    return Form("softplus", "softplus", flat.softplus(float(given.get("beta", 1))))


def _fixed(kind: str, where: flat.Limits) -> Callable[[Arguments], Form]:
    form = Form(kind, kind, where)
    return lambda given: form


#: by the name of the operation, without the "_" of those in place; the pre-activation is the first argument
FORMS: dict[str, Callable[[Arguments], Form | None]] = {
    "relu": _fixed("relu", flat.RECTIFIED),
    "clamp": _clamp,
    "clamp_min": _clamp_min,
    "threshold": _threshold,
    "hardtanh": lambda given: _hardtanh("hardtanh", given.get("min_val", -1), given.get("max_val", 1)),
    "leaky_relu": _leaky_relu,
    "_prelu_kernel": _prelu,
    "rrelu_with_noise": _rrelu,
    "elu": _elu,
    "celu": _celu,
    "gelu": _fixed("gelu", flat.GELU),
    "silu": _fixed("silu", flat.silu()),
    "mish": _fixed("mish", flat.MISH),
    "softplus": _softplus,
    "hardswish": _fixed("hardswish", flat.HARDSWISH),
    "sigmoid": _fixed("sigmoid", flat.SIGMOID),
    "hardsigmoid": _fixed("hardsigmoid", flat.HARDSIGMOID),
    "log_sigmoid_forward": _fixed("logsigmoid", flat.LOGSIGMOID),
    "tanh": _fixed("tanh", flat.TANH),
}
