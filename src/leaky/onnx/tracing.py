"""Where a value's units are, and which layer with weights they come from, followed through a graph from its inputs on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import onnx_ir as ir

from leaky.onnx.catalogue import Activation, recognise
from leaky.onnx.naming import Names, Place

# A dimension as it is known: a number, or something that says nothing
_Dims = Sequence[int | None]


class Flow(NamedTuple):
    """What is known of a value by the way it is computed."""

    #: of the units, counted from the end where the rank is unknown
    axis: int | None = None
    #: the nearest layer with weights that feeds it
    layer: str | None = None
    #: it depends on no input
    constant: bool = False
    #: it went through a sum, mean or extreme over positions, and no layer since
    reduced: bool = False


@dataclass(frozen=True)
class Found:
    """An activation in a model, before its numbers have been seen."""

    name: str
    #: the names of the If, Loop or function calls that it is in
    module: str
    activation: Activation
    flow: Flow
    graph: ir.Graph


def find(model: ir.Model) -> list[Found]:
    """Return a model's activations in the order of computation, bodies in the place of their If or Loop.

    Args:
        model: with its functions written out where they are called, and shapes inferred as far as can be.
    """
    return list(_Tracer().graph(model.graph, Place()))


class _Tracer:
    def __init__(self) -> None:
        self.names = Names()
        self.flows: dict[ir.Value, Flow] = {}

    def of(self, value: ir.Value | None) -> Flow:
        if value is None:
            return Flow(constant=True)
        return self.flows.get(value, Flow(constant=value.is_initializer()))

    def graph(self, graph: ir.Graph, place: Place) -> Iterator[Found]:
        for node in graph:
            name, within = self.names.of(node, place), self.names.within(node, place)
            activation = recognise(node)
            if activation is not None and self._is_site(activation):
                yield Found(name, within.name, activation, self.of(activation.value), graph)
            bodies = [(key, body) for key, each in node.attributes.items() for body in _bodies(each)]
            for key, body in bodies:
                self._enter(node, body)
                yield from self.graph(body, Place((name, key), within.calls))
            flows = self._leave(node, bodies[0][1]) if bodies else [self._flow(node, name)]
            for index, output in enumerate(node.outputs):
                self.flows[output] = flows[min(index, len(flows) - 1)] if flows else Flow()

    def _is_site(self, activation: Activation) -> bool:
        counts = activation.general and activation.value.dtype is not None and activation.value.dtype.is_integer()
        return not counts and not self.of(activation.value).constant

    def _enter(self, node: ir.Node, body: ir.Graph) -> None:
        """Hand the flows of a node's inputs to those of its body."""
        given = {"Loop": node.inputs[2:], "Scan": node.inputs}.get(node.op_type, ())
        first = 2 if node.op_type == "Loop" else 0
        states = len(given) if node.op_type == "Loop" else len(given) - _integer(node, "num_scan_inputs", 0)
        for index, (inner, outer) in enumerate(zip(body.inputs[first:], given, strict=False)):
            flow = self.of(outer)
            self.flows[inner] = flow if index < states else flow._replace(axis=None)

    def _leave(self, node: ir.Node, body: ir.Graph) -> list[Flow]:
        """Return the flows of the outputs of a node with a body."""
        flows = [self.of(output) for output in body.outputs]
        if node.op_type == "If":
            return flows
        if node.op_type == "Loop":
            flows, states = flows[1:], len(node.inputs) - 2
        elif node.op_type == "Scan":
            states = len(node.inputs) - _integer(node, "num_scan_inputs", 0)
        else:
            states = 0
        stacked = [flow._replace(axis=_shifted(flow.axis, 1)) for flow in flows[states:]]
        return flows[:states] + stacked

    def _flow(self, node: ir.Node, name: str) -> Flow:
        flows = [self.of(value) for value in node.inputs]
        if node.op_type == "Constant" or (flows and all(flow.constant for flow in flows)):
            return Flow(constant=True)
        if node.op_type in _LAYERS:
            return Flow(_LAYERS[node.op_type], name)
        if node.op_type in ("MatMul", "MatMulInteger", "QLinearMatMul", "Einsum", "Gather", "MatMulNBits"):
            return _product(node, flows, name)
        if node.op_type in ("Shape", "Size"):
            return Flow()
        # of the operators that take shapes and the like, only the first input counts
        count = len(flows) if node.op_type in (*_ELEMENTWISE, "Concat", "QLinearConcat") else 1
        varying = [(value, flow) for value, flow in zip(node.inputs[:count], flows, strict=False) if not flow.constant]
        layer = next((flow.layer for _, flow in varying if flow.layer is not None), None)
        reduced = node.op_type.startswith(("Reduce", "CumSum")) or (
            bool(varying) and all(each.reduced for _, each in varying)
        )
        axis = _AXES[node.op_type](node, varying) if varying and node.op_type in _AXES else None
        return Flow(axis, layer, reduced=reduced)


def _bodies(attribute: ir.Attr) -> list[ir.Graph]:
    if attribute.is_ref():
        return []
    if attribute.type == ir.AttributeType.GRAPH:
        return [attribute.as_graph()]
    return list(attribute.as_graphs()) if attribute.type == ir.AttributeType.GRAPHS else []


# Operators with weights that are layers whatever their inputs, each with the axis of its units
_LAYERS = {
    **dict.fromkeys(
        ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "FusedConv", "BatchNormalization"), 1
    ),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization"), 1),
    **dict.fromkeys(("Gemm", "FusedGemm", "QGemm", "LSTM", "GRU", "RNN"), -1),
    **dict.fromkeys(
        ("LayerNormalization", "RMSNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization"), -1
    ),
}


def _product(node: ir.Node, flows: list[Flow], name: str) -> Flow:
    """Return the flow of a product with weights, or of two values."""
    first, second = {"QLinearMatMul": (0, 3)}.get(node.op_type, (0, 1))
    if len(flows) <= second:
        return Flow(None, flows[0].layer if flows else None)
    left, right = flows[first], flows[second]
    if not left.constant and not right.constant:
        return Flow(None, left.layer or right.layer)
    if node.op_type == "Gather":
        return Flow(-1, name) if left.constant else Flow(_gathered(node, left), left.layer, reduced=left.reduced)
    if node.op_type == "Einsum":
        return Flow(_einsum(node, 0 if left.constant else 1), name)
    return Flow(-2 if left.constant else -1, name)


def _einsum(node: ir.Node, weights: int) -> int | None:
    """Return the axis that an Einsum's weights alone bring to its output."""
    equation = node.attributes["equation"].as_string().replace(" ", "") if "equation" in node.attributes else ""
    sides = equation.split("->")
    terms = sides[0].split(",")
    if len(sides) != 2 or len(terms) != 2 or "." in equation:
        return None
    new = [
        index for index, letter in enumerate(sides[1]) if letter in terms[weights] and letter not in terms[1 - weights]
    ]
    return new[-1] if new else None


def _gathered(node: ir.Node, flow: Flow) -> int | None:
    """Return where the axis of the units is after a Gather of single places along another."""
    shape, indices = _dims(node.inputs[0]), _dims(node.inputs[1])
    if flow.axis is None or shape is None or indices is None:
        return None
    along, axis = _integer(node, "axis", 0) % len(shape), flow.axis % len(shape)
    if along == axis:
        return axis if len(indices) == 1 else None
    return axis if axis < along else axis + len(indices) - 1


# ---- how operators without weights move the axis of the units: from the inputs that vary, to the output

_Varying = list[tuple["ir.Value | None", Flow]]


def _stays(node: ir.Node, varying: _Varying) -> int | None:
    return varying[0][1].axis


def _broadcast(node: ir.Node, varying: _Varying) -> int | None:
    """Align the axes of all inputs with the output's last; they have to agree."""
    rank = _rank(node.outputs[0])
    if rank is None:
        return varying[0][1].axis if len(varying) == 1 else None
    axes = set()
    for value, flow in varying:
        own, dims = _rank(value), _dims(value)
        if flow.axis is not None and own:
            axis = flow.axis % own
            if len(varying) == 1 or dims is None or dims[axis] != 1:  # a single unit is broadcast over others'
                axes.add(axis - own + rank)
    return axes.pop() if len(axes) == 1 else None


def _transpose(node: ir.Node, varying: _Varying) -> int | None:
    axis, rank = varying[0][1].axis, _rank(varying[0][0])
    attribute = node.attributes.get("perm")
    order = list(attribute.as_ints()) if attribute is not None else list(range(rank or 0))[::-1]
    return order.index(axis % len(order)) if axis is not None and axis % max(len(order), 1) in order else None


def _reshape(node: ir.Node, varying: _Varying) -> int | None:
    """Find the dimension that holds the same units: as many, with as many places before it, or after it."""
    value, flow = varying[0]
    old, new = _dims(value), _dims(node.outputs[0])
    if flow.axis is None or old is None or new is None or not old:
        return None
    axis = flow.axis % len(old)
    if old[axis] is None:
        return None
    before, after = _size(old[:axis]), _size(old[axis + 1 :])
    for index, dim in enumerate(new):
        known = (before, _size(new[:index])) if before is not None else (after, _size(new[index + 1 :]))
        if dim == old[axis] and known[0] is not None and known[0] == known[1]:
            return index
    return None


def _concat(node: ir.Node, varying: _Varying) -> int | None:
    axes = {flow.axis % rank if flow.axis is not None and (rank := _rank(value)) else None for value, flow in varying}
    return axes.pop() if len(axes) == 1 else None


def _reduce(node: ir.Node, varying: _Varying) -> int | None:
    value, flow = varying[0]
    rank, after = _rank(value), _rank(node.outputs[0])
    if flow.axis is None or rank is None or after is None:
        return None
    attribute = node.attributes.get("axes")
    if attribute is not None:
        over = {axis % rank for axis in attribute.as_ints()}
    else:
        tensor = ir.convenience.get_const_tensor(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
        over = {int(axis) % rank for axis in tensor.numpy().ravel()} if tensor is not None else set(range(rank))
    axis = flow.axis % rank
    if axis in over:
        return None
    return axis if after == rank else axis - sum(each < axis for each in over)


_ELEMENTWISE = {
    "Abs",
    "Add",
    "And",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pow",
    "QuantizeLinear",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Where",
    "Xor",
    "FastGelu",
    "QuickGelu",
    "BiasGelu",
    "QLinearAdd",
    "QLinearMul",
    "QLinearLeakyRelu",
    "QLinearSigmoid",
}
_KEEPING = {
    "AveragePool",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "Hardmax",
    "LRN",
    "LogSoftmax",
    "LpNormalization",
    "LpPool",
    "MaxPool",
    "MeanVarianceNormalization",
    "Pad",
    "QLinearAveragePool",
    "QLinearGlobalAveragePool",
    "Resize",
    "Slice",
    "Softmax",
    "Split",
    "Upsample",
    "Tile",
    "CumSum",
}
_RESHAPING = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}
_REDUCING = {"L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"}

_AXES: dict[str, Callable[[ir.Node, _Varying], int | None]] = {
    **dict.fromkeys(_ELEMENTWISE, _broadcast),
    **dict.fromkeys(_KEEPING, _stays),
    **dict.fromkeys(_RESHAPING, _reshape),
    **{f"Reduce{name}": _reduce for name in _REDUCING},
    "Expand": _broadcast,
    "Transpose": _transpose,
    "Concat": _concat,
    "QLinearConcat": _concat,
}


def _dims(value: ir.Value | None) -> _Dims | None:
    if value is None or value.shape is None:
        return None
    return [dim if isinstance(dim, int) else None for dim in value.shape]


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else len(value.shape)


def _size(dims: _Dims) -> int | None:
    known = [dim for dim in dims if dim is not None]
    return math.prod(known) if len(known) == len(dims) else None


def _shifted(axis: int | None, by: int) -> int | None:
    return axis if axis is None or axis < 0 else axis + by


def _integer(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else attribute.as_int()
