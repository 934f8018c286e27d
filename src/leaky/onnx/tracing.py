"""Where a value's units are, and which layer with weights they come from, followed through a graph from its inputs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import onnx_ir as ir

from leaky.onnx.axes import contracted, gathered, moved, operands
from leaky.onnx.catalogue import Activation, recognise
from leaky.onnx.naming import Names, Place


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
    #: that it is, or the heart of it
    node: ir.Node

    @property
    def no_site(self) -> str:
        """Why it is no site at all, in a few words; nothing if it is one."""
        dtype = self.activation.value.dtype
        if self.activation.general and dtype is not None and dtype.is_integer():
            return "of integers"
        return "of constants alone, not of data" if self.flow.constant else ""

    @property
    def unjudged(self) -> str:
        """Why it is a site that is no activation, in a few words; nothing if it is one."""
        notes = {
            "fed from no weights": self.flow.layer is None,
            "a maximum with 0 of a sum or mean, not of a layer's units": self.activation.general and self.flow.reduced,
        }
        return "; ".join(note for note, holds in notes.items() if holds)


def recognised(model: ir.Model) -> list[Found]:
    """Return what looks like activations in a model, in the order of computation, bodies in the place of their If or Loop.

    Args:
        model: with its functions written out where they are called, and shapes inferred as far as can be.
    """
    return list(_Tracer().graph(model.graph, Place()))


def find(model: ir.Model) -> list[Found]:
    """Return those of :func:`recognised` that are sites."""
    return [found for found in recognised(model) if not found.no_site]


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
            if activation is not None:
                yield Found(name, within.name, activation, self.of(activation.value), graph, node)
            bodies = [(key, body) for key, each in node.attributes.items() for body in bodies_of(each)]
            for key, body in bodies:
                self._enter(node, body)
                yield from self.graph(body, Place((name, key), within.calls))
            flows = self._leave(node, [body for _, body in bodies]) if bodies else [self._flow(node, name)]
            for index, output in enumerate(node.outputs):
                self.flows[output] = flows[min(index, len(flows) - 1)] if flows else Flow()

    def _enter(self, node: ir.Node, body: ir.Graph) -> None:
        """Hand the flows of a node's inputs to those of its body."""
        given = {"Loop": node.inputs[2:], "Scan": node.inputs}.get(node.op_type, ())
        first = 2 if node.op_type == "Loop" else 0
        states = len(given) if node.op_type == "Loop" else len(given) - _integer(node, "num_scan_inputs", 0)
        for index, (inner, outer) in enumerate(zip(body.inputs[first:], given, strict=False)):
            flow = self.of(outer)
            self.flows[inner] = flow if index < states else flow._replace(axis=None)

    def _leave(self, node: ir.Node, bodies: list[ir.Graph]) -> list[Flow]:
        """Return the flows of the outputs of a node with bodies."""
        flows = [self.of(output) for output in bodies[0].outputs]
        if node.op_type == "If":
            others = [self.of(output) for output in bodies[-1].outputs]
            return [_either(one, other) for one, other in zip(flows, others, strict=False)]
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
        if node.op_type in (
            "MatMul",
            "MatMulInteger",
            "QLinearMatMul",
            "Einsum",
            "Gather",
            "MatMulNBits",
            "FusedMatMul",
        ):
            return _product(node, flows, name)
        if node.op_type in ("Shape", "Size"):
            return Flow()
        varying = [(value, flow) for value in operands(node) if not (flow := self.of(value)).constant]
        layer = next((flow.layer for _, flow in varying if flow.layer is not None), None)
        axis = moved(node, [(value, flow.axis) for value, flow in varying])
        # what is not reduced but lies between, such as the mean taken off each, is no longer only a mean
        reduced = bool(varying) and all(flow.reduced for _, flow in varying)
        return Flow(axis, layer, reduced=reduced or node.op_type.startswith(("Reduce", "CumSum")))


def _either(one: Flow, other: Flow) -> Flow:
    """Return what holds of a value that comes from either of two branches."""
    if one.constant or other.constant:
        return other if one.constant else one
    axis = one.axis if one.axis == other.axis else None
    return Flow(axis, one.layer or other.layer, reduced=one.reduced and other.reduced)


def bodies_of(attribute: ir.Attr) -> list[ir.Graph]:
    """Return the graphs that an attribute holds, such as the body of a Loop."""
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
    if node.op_type == "Gather":  # from a table of embeddings, or of places by numbers that are constant
        return Flow(-1, name) if left.constant else left._replace(axis=gathered(node, left.axis))
    if node.op_type == "Einsum":
        return Flow(contracted(node, 0 if left.constant else 1), name)
    return Flow(-2 if left.constant else -1, name)


def _shifted(axis: int | None, by: int) -> int | None:
    return axis if axis is None or axis < 0 else axis + by


def _integer(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else attribute.as_int()
