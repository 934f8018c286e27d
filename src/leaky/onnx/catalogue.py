"""Which ONNX operators are activations, alone or written out in simpler ones, and what their input is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from leaky import flat


@dataclass(frozen=True)
class Activation:
    """An activation and its pre-activation. Other fields are those of :class:`leaky.evidence.Site`."""

    kind: str
    form: str
    value: ir.Value
    limits: flat.Limits
    #: if it is an array, it is broadcast to the pre-activation
    slope: float | NDArray[np.float64] | None = None
    #: what exceeds this is what the activation goes by
    threshold: float = 0.0
    #: written as a general operation that is not always an activation
    general: bool = False


def recognise(node: ir.Node) -> Activation | None:
    """Return the activation that a node is, or is the heart of; None if it is none."""
    if node.domain not in ("", "com.microsoft"):
        return None
    rule = _RULES.get(node.op_type)
    return rule(node) if rule is not None else None


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """Return the numbers of a constant of few elements; None where it is not constant, or large."""
    if value is None or (value.is_graph_input() and not value.is_initializer()):
        return None
    try:
        tensor = ir.convenience.get_const_tensor(value)
        if tensor is None or tensor.size > _FEW or tensor.dtype == ir.DataType.STRING:
            return None
        return np.asarray(tensor.numpy())
    except (ValueError, TypeError):  # an odd Constant node
        return None


_FEW = 1 << 20


def _number(value: ir.Value | None) -> float | None:
    """Return the number that a constant holds in all its elements, if it is but one."""
    numbers = constant(value)
    if numbers is None or not numbers.size or (numbers.dtype.kind not in "fiub" and numbers.dtype.name != "bfloat16"):
        return None
    first = float(numbers.flat[0])
    return first if (numbers == numbers.flat[0]).all() else None


def _is(value: ir.Value | None, number: float) -> bool:
    found = _number(value)
    return found is not None and math.isclose(found, number, rel_tol=1e-3)


def _input(node: ir.Node, index: int = 0) -> ir.Value | None:
    return node.inputs[index] if len(node.inputs) > index else None


def _float(node: ir.Node, name: str, default: float) -> float:
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else float(attribute.as_float())


def _made_by(value: ir.Value | None, *operators: str) -> ir.Node | None:
    """Return the node that a value comes from, if it is one of these operators."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in operators and node.domain == "" else None


def _consumed_with(node: ir.Node, operator: str, other: ir.Value | None) -> bool:
    """Say whether the node's output goes into an operator whose other input is a given value."""
    return any(user.op_type == operator and other in user.inputs for user, _ in node.outputs[0].uses())


def _with_constant(node: ir.Node | None, number: float) -> ir.Value | None:
    """Return the other input of a commutative node, one of whose inputs is this number."""
    if node is not None and len(node.inputs) == 2:
        for one, other in (node.inputs, node.inputs[::-1]):
            if _is(one, number):
                return other
    return None


def _fixed(
    kind: str, limits: flat.Limits = flat.NOWHERE, slope: float | None = None
) -> Callable[[ir.Node], Activation | None]:
    """Return the rule of an operator that is always the same activation of its first input."""

    def rule(node: ir.Node) -> Activation | None:
        value = _input(node)
        return Activation(kind, node.op_type, value, limits, slope) if value is not None else None

    return rule


def _leaky(node: ir.Node) -> Activation | None:
    return _fixed("leaky_relu", slope=_float(node, "alpha", 0.01))(node)


def _prelu(node: ir.Node) -> Activation | None:
    found, slopes = _fixed("prelu")(node), constant(_input(node, 1))
    if found is None or slopes is None or not slopes.size:
        return found
    numbers = slopes.astype(np.float64)
    return replace(found, slope=float(numbers.flat[0]) if numbers.size == 1 else numbers)


def _elu(node: ir.Node) -> Activation | None:
    alpha = _float(node, "alpha", 1.0)
    return _fixed("elu", flat.elu(alpha))(node)


def _celu(node: ir.Node) -> Activation | None:
    alpha = _float(node, "alpha", 1.0)
    return _fixed("celu", flat.celu(alpha))(node)


def _threshold(node: ir.Node) -> Activation | None:
    value = _input(node)
    threshold = _float(node, "alpha", 1.0)
    return None if value is None else Activation("threshold", node.op_type, value, flat.RECTIFIED, threshold=threshold)


def _clip(node: ir.Node) -> Activation | None:
    value = _input(node)
    low, high = (_bound(node, name, index) for index, name in enumerate(("min", "max"), start=1))
    if value is None or low is None or high is None:
        return None
    if low == 0 and high > 0:
        kind = "relu" if high >= _HUGE else "relu6" if high == 6 else "hardtanh"
        form = "Clip(0)" if high >= _HUGE else f"Clip(0, {high:g})"
        return Activation(kind, form, value, (0.0, math.inf if high >= _HUGE else high), general=True)
    if (low, high) == (-1, 1):
        return Activation("hardtanh", "Clip(-1, 1)", value, (-1.0, 1.0), general=True)
    return None


# The largest numbers of the float types, which exporters write for no bound
_HUGE = 65504.0


def _bound(node: ir.Node, name: str, index: int) -> float | None:
    """Return a bound of a Clip, infinite if it has none; None if it is not constant."""
    none = -math.inf if name == "min" else math.inf
    if name in node.attributes:  # before opset 11
        return _float(node, name, none)
    return none if _input(node, index) is None else _number(_input(node, index))


def _max(node: ir.Node) -> Activation | None:
    if len(node.inputs) != 2:
        return None
    for one, other in (node.inputs, node.inputs[::-1]):
        if other is None:
            continue
        if _is_zero(one):
            return Activation("relu", "Max(x, 0)", other, flat.RECTIFIED, general=True)
        slope = _slope_of(one, other)
        if slope is not None and 0 <= slope <= 1:
            return Activation("leaky_relu", "Max(x, slope · x)", other, flat.NOWHERE, slope)
    return None


def _is_zero(value: ir.Value | None) -> bool:
    return _number(value) == 0


def _slope_of(value: ir.Value | None, x: ir.Value) -> float | None:
    """Return the number by which a value is x multiplied."""
    node = _made_by(value, "Mul")
    if node is None or x not in node.inputs or len(node.inputs) != 2:
        return None
    return _number(node.inputs[1] if node.inputs[0] is x else node.inputs[0])


def _positive(value: ir.Value | None) -> tuple[ir.Value, bool] | None:
    """Return x and True if the value is x > 0 or x ≥ 0, x and False if it is x < 0 or x ≤ 0."""
    node = _made_by(value, "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    if node is None:
        return None
    greater = node.op_type.startswith("Greater")
    left, right = node.inputs
    if left is not None and _is_zero(right):
        return left, greater
    if right is not None and _is_zero(left):
        return right, not greater
    return None


def _where(node: ir.Node) -> Activation | None:
    found = _positive(_input(node))
    if found is None or len(node.inputs) != 3:
        return None
    x, positive = found
    passes, other = (node.inputs[1], node.inputs[2]) if positive else (node.inputs[2], node.inputs[1])
    if passes is not x:
        return None
    if _is_zero(other):
        return Activation("relu", "Where(x > 0, x, 0)", x, flat.RECTIFIED, general=True)
    slope = _slope_of(other, x)
    return None if slope is None else Activation("leaky_relu", "Where(x > 0, x, slope · x)", x, flat.NOWHERE, slope)


def _mul(node: ir.Node) -> Activation | None:
    for one, other in (node.inputs[:2], node.inputs[1::-1]):
        cast = _made_by(one, "Cast")
        found = _positive(_input(cast)) if cast is not None else None
        if found is not None and found[1] and found[0] is other:
            return Activation("relu", "x · (x > 0)", found[0], flat.RECTIFIED, general=True)
    return None


def _sigmoid(node: ir.Node) -> Activation | None:
    value = _input(node)
    if value is not None and _consumed_with(node, "Mul", value):
        return Activation("silu", "x · Sigmoid(x)", value, flat.silu())
    return _fixed("sigmoid", flat.SIGMOID)(node)


def _swish(default: float) -> Callable[[ir.Node], Activation | None]:
    """Return the rule of a SiLU of ``alpha * x``, over ``alpha``."""

    def rule(node: ir.Node) -> Activation | None:
        alpha = _float(node, "alpha", default)
        return _fixed("silu", flat.silu(alpha))(node)

    return rule


def _hard_sigmoid(node: ir.Node) -> Activation | None:
    value, alpha, beta = _input(node), _float(node, "alpha", 0.2), _float(node, "beta", 0.5)
    if value is None or not alpha > 0:
        return None
    low, high = -beta / alpha, (1 - beta) / alpha
    if _consumed_with(node, "Mul", value):
        return Activation("hardswish", "x · HardSigmoid(x)", value, (low, math.inf))
    return Activation("hardsigmoid", "HardSigmoid", value, (low, high))


def _tanh(node: ir.Node) -> Activation | None:
    softplus = _made_by(_input(node), "Softplus")
    if softplus is not None and _consumed_with(node, "Mul", _input(softplus)):
        return _fixed("mish", flat.MISH)(softplus)
    scaled = _made_by(_with_constant(_made_by(_input(node), "Mul"), math.sqrt(2 / math.pi)), "Add")
    if scaled is not None:
        for one, other in (scaled.inputs, scaled.inputs[::-1]):
            if one is not None and one in _near(other):
                return Activation("gelu", "GELU by Tanh", one, flat.GELU)
    return _fixed("tanh", flat.TANH)(node)


def _near(value: ir.Value | None, steps: int = 3) -> set[ir.Value]:
    """Return the values that a value is computed from in a few steps."""
    node = value.producer() if value is not None else None
    if node is None or not steps:
        return set()
    before = {each for each in node.inputs if each is not None}
    return before.union(*(_near(each, steps - 1) for each in before))


def _erf(node: ir.Node) -> Activation | None:
    value = _with_constant(_made_by(_input(node), "Mul"), math.sqrt(0.5))
    division = _made_by(_input(node), "Div")
    if division is not None and _is(_input(division, 1), math.sqrt(2)):
        value = _input(division)
    return None if value is None else Activation("gelu", "GELU by Erf", value, flat.GELU)


def _softplus(node: ir.Node) -> Activation | None:
    tanh = {user for user, _ in node.outputs[0].uses() if user.op_type == "Tanh"}
    if any(_consumed_with(user, "Mul", _input(node)) for user in tanh):
        return None  # Mish, whose heart is the Tanh
    return _fixed("softplus", flat.softplus())(node)


_RULES: dict[str, Callable[[ir.Node], Activation | None]] = {
    "Relu": _fixed("relu", flat.RECTIFIED),
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    "ThresholdedRelu": _threshold,
    "Clip": _clip,
    "Max": _max,
    "Where": _where,
    "Mul": _mul,
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _fixed("hardswish", flat.HARDSWISH),
    "Softplus": _softplus,
    "Softsign": _fixed("softsign", flat.SOFTSIGN),
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _fixed("selu", flat.elu()),
    "Erf": _erf,
    "Gelu": _fixed("gelu", flat.GELU),
    "FastGelu": _fixed("gelu", flat.GELU),
    "QuickGelu": _swish(1.702),
    "Swish": _swish(1.0),
    "Mish": _fixed("mish", flat.MISH),
}
