"""How operators without weights move the axis of the units from their inputs to their output."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from leaky.onnx.catalogue import constant

#: A value, and the axis of its units: counted from the end where its rank is not known, None where the axis is not
Operand = tuple[ir.Value | None, int | None]

# Dimensions, as far as they are known
_Dims = Sequence[int | None]


def operands(node: ir.Node) -> Sequence[ir.Value | None]:
    """Return the inputs whose numbers go into a node's output; the others are shapes, places and the like."""
    return node.inputs if _RULES.get(node.op_type) in (_broadcast, _concat) else node.inputs[:1]


def moved(node: ir.Node, varying: list[Operand]) -> int | None:
    """Return the axis of the units in a node's output, by those of its operands that are not constant."""
    rule = _RULES.get(node.op_type)
    return rule(node, varying) if rule is not None and varying else None


def gathered(node: ir.Node, axis: int | None) -> int | None:
    """Return the axis of the units after a Gather of places along another."""
    dims, indices = _dims(node.inputs[0]), _dims(node.inputs[1])
    if axis is None or not dims or indices is None:
        return None
    attribute = node.attributes.get("axis")
    along = (attribute.as_int() if attribute is not None else 0) % len(dims)
    axis = axis % len(dims)
    if along == axis:
        return axis if len(indices) == 1 else None
    return axis if axis < along else axis + len(indices) - 1


def contracted(node: ir.Node, weights: int) -> int | None:
    """Return the axis of an Einsum's output that comes from its weights alone, which are its input of this number."""
    equation = node.attributes["equation"].as_string().replace(" ", "")
    terms, arrow, output = equation.partition("->")
    if not arrow or terms.count(",") != 1 or "." in equation:
        return None
    own, other = terms.split(",")[weights], terms.split(",")[1 - weights]
    new = [index for index, letter in enumerate(output) if letter in own and letter not in other]
    return new[-1] if new else None


def _stays(node: ir.Node, varying: list[Operand]) -> int | None:
    return varying[0][1]


def _broadcast(node: ir.Node, varying: list[Operand]) -> int | None:
    """Align the operands at their last dimensions; their axes have to agree."""
    rank = _rank(node.outputs[0])
    if rank is None:
        return varying[0][1] if len(varying) == 1 else None
    axes = set()
    for value, axis in varying:
        dims = _dims(value)
        # of several, a single unit is broadcast over the units of others
        if axis is not None and dims and (len(varying) == 1 or dims[axis % len(dims)] != 1):
            axes.add(axis % len(dims) - len(dims) + rank)
    return axes.pop() if len(axes) == 1 else None


def _transpose(node: ir.Node, varying: list[Operand]) -> int | None:
    value, axis = varying[0]
    attribute = node.attributes.get("perm")
    order = list(attribute.as_ints()) if attribute is not None else list(range(_rank(value) or 0))[::-1]
    return order.index(axis % len(order)) if axis is not None and order and axis % len(order) in order else None


def _reshape(node: ir.Node, varying: list[Operand]) -> int | None:
    """Find the dimension that holds the same units: as many, with as many places before it, or after it."""
    value, axis = varying[0]
    old, new = _dims(value), _dims(node.outputs[0])
    if axis is None or not old or new is None or old[axis % len(old)] is None:
        return None
    axis = axis % len(old)
    before, after = _size(old[:axis]), _size(old[axis + 1 :])
    for index, dim in enumerate(new):
        if dim == old[axis]:
            if before is not None and before == _size(new[:index]):
                return index
            if before is None and after is not None and after == _size(new[index + 1 :]):
                return index
    return None


def _concat(node: ir.Node, varying: list[Operand]) -> int | None:
    axes = {axis % rank if axis is not None and (rank := _rank(value)) else None for value, axis in varying}
    return axes.pop() if len(axes) == 1 else None


def _reduce(node: ir.Node, varying: list[Operand]) -> int | None:
    value, axis = varying[0]
    rank, after = _rank(value), _rank(node.outputs[0])
    given = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if "axes" in node.attributes:
        given = np.array(node.attributes["axes"].as_ints())
    if axis is None or not rank or after is None or given is None:
        return None  # over all dimensions, or who knows which
    over = {int(each) % rank for each in given.ravel()}
    axis = axis % rank
    if axis in over:
        return None
    return axis if after == rank else axis - sum(each < axis for each in over)


_RULES: dict[str, Callable[[ir.Node, list[Operand]], int | None]] = {
    operator: rule
    for rule, operators in (
        (
            _broadcast,
            "Add And BiasGelu Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu",
        ),
        (_broadcast, "Pow QLinearAdd QLinearMul Sub Sum Where Xor"),
        (_stays, "Abs Cast CastLike Ceil Celu Clip Cos DequantizeLinear Dropout Elu Erf Exp FastGelu Floor Gelu"),
        (
            _stays,
            "HardSigmoid HardSwish Identity LeakyRelu Log Mish Neg Not QLinearLeakyRelu QLinearSigmoid QuantizeLinear",
        ),
        (_stays, "QuickGelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Softplus Softsign Sqrt Swish Tan Tanh"),
        (_stays, "ThresholdedRelu DynamicQuantizeLinear"),
        (_stays, "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool QLinearAveragePool"),
        (
            _stays,
            "QLinearGlobalAveragePool CumSum Hardmax LRN LogSoftmax LpNormalization MeanVarianceNormalization Pad",
        ),
        (_stays, "Resize Slice Softmax Split Tile Upsample"),
        (_reshape, "Flatten Reshape Squeeze Unsqueeze"),
        (_reduce, "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"),
        (_reduce, "ReduceSumSquare"),
        (_transpose, "Transpose"),
        (_concat, "Concat QLinearConcat"),
    )
    for operator in operators.split()
}


def _dims(value: ir.Value | None) -> _Dims | None:
    if value is None or value.shape is None:
        return None
    return [dim if isinstance(dim, int) else None for dim in value.shape]


def _rank(value: ir.Value | None) -> int | None:
    dims = _dims(value)
    return None if dims is None else len(dims)


def _size(dims: _Dims) -> int | None:
    known = [dim for dim in dims if dim is not None]
    return math.prod(known) if len(known) == len(dims) else None
