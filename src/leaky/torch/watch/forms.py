"""Which operations of PyTorch are activations, on their own: by the name that its dispatcher knows them by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

#: an operation's arguments, by the names of its schema; those left at their default are missing
Arguments = dict[str, Any]

_ALL = (-math.inf, math.inf)
_RECTIFIED = (0.0, math.inf)

# At and beyond these pre-activations the derivative is at most 1 % of its maximum.
_SIGMOID = 5.9865
_TANH = 2.9933
_ELU = math.log(0.01)
_SOFTPLUS = math.log(0.01 / 0.99)
_SILU = -6.1430
_MISH = -6.1588
_GELU = -3.0217

_SELU = (1.6732632423543772, 1.0507009873554805)


@dataclass(frozen=True, slots=True)
class Form:
    """One way of writing an activation."""

    kind: str
    form: str
    limits: tuple[float, float]
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
    return Form("relu", form, _RECTIFIED, doubtful=True)


def leaky(form: str, slope: float | Tensor) -> Form:
    """Return a leaky ReLU that is written out."""
    return Form("leaky_relu", form, _RECTIFIED if isinstance(slope, float) and slope == 0 else _ALL, slope)


def gated(kind: str, form: str) -> Form:
    """Return a SiLU, GELU or Mish that is written out."""
    return Form(kind, form, ({"silu": _SILU, "gelu": _GELU, "mish": _MISH}[kind], math.inf))


def swish(rate: float) -> Form:
    """Return a SiLU of ``rate * x``, over ``rate``."""
    return Form("silu", f"x * sigmoid({rate:g} * x)", (_SILU / rate, math.inf))


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
        return Form("relu", form, _RECTIFIED)
    return Form("threshold", form, _RECTIFIED, threshold=float(low))


def _leaky_relu(given: Arguments) -> Form:
    return leaky("leaky_relu", float(given.get("negative_slope", 0.01)))


def _prelu(given: Arguments) -> Form:
    return Form("prelu", "prelu", _ALL, given["weight"])


def _rrelu(given: Arguments) -> Form:
    slope = (float(given.get("lower", 0.125)) + float(given.get("upper", 1 / 3))) / 2
    return Form("rrelu", "rrelu", _ALL, slope)


def _elu(given: Arguments) -> Form:
    alpha, scale, rate = (float(given.get(name, 1.0)) for name in ("alpha", "scale", "input_scale"))
    kind = "selu" if (alpha, scale) == _SELU else "elu"
    steepest = max(1.0, alpha * rate)
    return Form(
        kind, kind, (math.log(0.01 * steepest / (alpha * rate)) / rate if alpha * rate > 0 else -math.inf, math.inf)
    )


def _celu(given: Arguments) -> Form:
    return Form("celu", "celu", (_ELU * float(given.get("alpha", 1.0)), math.inf))


def _softplus(given: Arguments) -> Form:
    return Form("softplus", "softplus", (_SOFTPLUS / float(given.get("beta", 1)), math.inf))


def _fixed(kind: str, low: float, high: float) -> Callable[[Arguments], Form]:
    form = Form(kind, kind, (low, high))
    return lambda given: form


#: by the name of the operation, without the "_" of those in place; the pre-activation is the first argument
FORMS: dict[str, Callable[[Arguments], Form | None]] = {
    "relu": _fixed("relu", *_RECTIFIED),
    "clamp": _clamp,
    "clamp_min": _clamp_min,
    "threshold": _threshold,
    "hardtanh": lambda given: _hardtanh("hardtanh", given.get("min_val", -1), given.get("max_val", 1)),
    "leaky_relu": _leaky_relu,
    "_prelu_kernel": _prelu,
    "rrelu_with_noise": _rrelu,
    "elu": _elu,
    "celu": _celu,
    "gelu": _fixed("gelu", _GELU, math.inf),
    "silu": _fixed("silu", _SILU, math.inf),
    "mish": _fixed("mish", _MISH, math.inf),
    "softplus": _softplus,
    "hardswish": _fixed("hardswish", -3.0, math.inf),
    "sigmoid": _fixed("sigmoid", -_SIGMOID, _SIGMOID),
    "hardsigmoid": _fixed("hardsigmoid", -3.0, 3.0),
    "log_sigmoid_forward": _fixed("logsigmoid", -math.inf, -_SOFTPLUS),
    "tanh": _fixed("tanh", -_TANH, _TANH),
}
