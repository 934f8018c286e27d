"""Brings pre-activations out of a model as outputs, out of the bodies of If, Loop and Scan as well."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from leaky.onnx.shapes import values
from leaky.onnx.tracing import Found


@dataclass(frozen=True)
class Tap:
    """Names of the outputs in which a pre-activation comes out.

    At the top of a model that is the value itself. From a body, which may be run many times or not at all, a record comes:
    all elements in one row, and beside it, for each time in turn, the rank and the dimensions.
    """

    values: str
    shapes: str | None = None


def tap(model: ir.Model, found: Iterable[Found]) -> dict[str, Tap]:
    """Give a model, in place, outputs that hold the pre-activations.

    Returns:
        By the names of the sites. What is in bodies that nothing can be brought out of is not there.
    """
    wanted: dict[ir.Graph, list[Found]] = {}
    for each in found:
        wanted.setdefault(each.graph, []).append(each)
    return _Tapper(model, wanted).top()


@dataclass
class _Record:
    site: str
    values: ir.Value
    shapes: ir.Value
    #: whether it is as long each time
    steady: bool


class _Tapper:
    def __init__(self, model: ir.Model, wanted: dict[ir.Graph, list[Found]]) -> None:
        self.model = model
        self.wanted = wanted
        #: outputs of a Loop that another has taken the place of
        self.replaced: dict[ir.Value, ir.Value] = {}
        taken = [value.name or "" for graph in model.graphs() for value in values(graph)]
        prefix = "leaky"
        while any(name.startswith(prefix) for name in taken):
            prefix += "_"
        self.names = (f"{prefix}.{count}" for count in itertools.count())

    def top(self) -> dict[str, Tap]:
        graph, taps = self.model.graph, {}
        for record in self._lifted(graph):
            taps[record.site] = Tap(record.values.name or "", record.shapes.name)
            graph.outputs.extend([record.values, record.shapes])
        out: dict[ir.Value, ir.Value] = {}
        for each in self.wanted.get(graph, []):
            value = self._value_of(each)
            if value not in out:
                out[value] = self._output(graph, value)
            taps[each.name] = Tap(out[value].name or "")
        return taps

    def _value_of(self, found: Found) -> ir.Value:
        return self.replaced.get(found.activation.value, found.activation.value)

    def _output(self, graph: ir.Graph, value: ir.Value) -> ir.Value:
        """Return a value of the main graph as one of its outputs."""
        if value in graph.outputs:
            return value
        if value.is_graph_input():
            value = self._cast(graph, value)
        graph.outputs.append(value)
        return value

    def _lifted(self, graph: ir.Graph) -> list[_Record]:
        """Return the records of the bodies in a graph as values of that graph."""
        lift = {"If": self._out_of_if, "Loop": self._out_of_loop, "Scan": self._out_of_scan}
        nodes = [node for node in graph if node.op_type in lift and node.domain == ""]
        return [record for node in nodes for record in lift[node.op_type](graph, node)]

    def _records(self, graph: ir.Graph) -> list[_Record]:
        """Return the records of a body, and of the bodies in it, as values in that body."""
        records = self._lifted(graph)
        for each in self.wanted.get(graph, []):
            value = self._value_of(each)
            row = self._row(graph, self._cast(graph, value))
            shape = self._node(graph, "Shape", [value], ir.DataType.INT64)
            rank = self._node(graph, "Shape", [shape], ir.DataType.INT64)
            shapes = self._node(graph, "Concat", [rank, shape], ir.DataType.INT64, axis=0)
            records.append(_Record(each.name, row, shapes, steady=True))
        return records

    def _out_of_if(self, graph: ir.Graph, node: ir.Node) -> list[_Record]:
        """Give both branches the same outputs: what is not there in the other is empty."""
        branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
        records = []
        for body, other in (branches, branches[::-1]):
            for record in self._records(body):
                for value in (record.values, record.shapes):
                    body.outputs.append(value)
                    other.outputs.append(self._constant(other, [], _type(value)))
                records.append(self._appended(node, record, steady=False))
        return records

    def _out_of_scan(self, graph: ir.Graph, node: ir.Node) -> list[_Record]:
        """Let a Scan put the records one upon the other, which it does if they are as long each time."""
        body = node.attributes["body"].as_graph()
        records = [record for record in self._records(body) if record.steady]
        lifted = []
        for record in records:
            body.outputs.extend([record.values, record.shapes])
            out = self._appended(node, record, steady=False)
            lifted.append(_Record(out.site, self._row(graph, out.values), self._row(graph, out.shapes), steady=False))
        for name in ("scan_output_axes", "scan_output_directions"):
            if name in node.attributes and records:
                numbers = [*node.attributes[name].as_ints(), *[0] * 2 * len(records)]
                node.attributes[name] = ir.AttrInt64s(name, numbers)
        return lifted

    def _appended(self, node: ir.Node, record: _Record, steady: bool) -> _Record:
        """Return a body's record as two more outputs of its node, the last."""
        count = len(node.outputs)
        node.resize_outputs(count + 2)
        outputs = node.outputs[count:]
        for outer, inner in zip(outputs, (record.values, record.shapes), strict=True):
            outer.name, outer.type = next(self.names), inner.type
        return _Record(record.site, outputs[0], outputs[1], steady)

    def _out_of_loop(self, graph: ir.Graph, node: ir.Node) -> list[_Record]:
        """Carry the records round the loop, each time adding to them: unlike scan outputs, they may vary in length."""
        body = node.attributes["body"].as_graph()
        inputs = [*node.inputs, *[None] * (2 - len(node.inputs))]
        outputs = [self._value(value.type) for value in node.outputs]
        old, records = list(outputs), []
        for record in self._records(body):
            carried = []
            for value in (record.values, record.shapes):
                place, dtype = len(inputs) - 2, _type(value)
                body.inputs.append(before := self._value(value.type))
                body.outputs.insert(1 + place, self._node(body, "Concat", [before, value], dtype, axis=0))
                inputs.append(self._constant(graph, [], dtype, before=node))
                outputs.insert(place, after := self._value(value.type))
                carried.append(after)
            records.append(_Record(record.site, carried[0], carried[1], steady=False))
        if records:
            self.replaced.update(zip(node.outputs, old, strict=True))
            new = ir.Node("", "Loop", inputs, dict(node.attributes), outputs=outputs, name=node.name)
            ir.convenience.replace_nodes_and_values(graph, node, [node], [new], node.outputs, old)
        return records

    # ---- small operations

    def _row(self, graph: ir.Graph, value: ir.Value) -> ir.Value:
        everything = self._constant(graph, [-1], ir.DataType.INT64)
        return self._node(graph, "Reshape", [value, everything], _type(value))

    def _cast(self, graph: ir.Graph, value: ir.Value) -> ir.Value:
        """Return the value as float32, or as float64 if it is that: every other type of few bits fits in float32."""
        dtype = ir.DataType.DOUBLE if value.dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT
        return self._node(graph, "Cast", [value], dtype, to=int(dtype))

    def _constant(
        self, graph: ir.Graph, numbers: list[int], dtype: ir.DataType, before: ir.Node | None = None
    ) -> ir.Value:
        tensor = ir.tensor(np.array(numbers, dtype.numpy()))
        return self._node(graph, "Constant", [], dtype, before, value=tensor)

    def _node(
        self,
        graph: ir.Graph,
        operator: str,
        inputs: list[ir.Value],
        dtype: ir.DataType,
        before: ir.Node | None = None,
        **attributes: int | ir.TensorProtocol,
    ) -> ir.Value:
        value = self._value(ir.TensorType(dtype))
        node = ir.node(operator, inputs, attributes, outputs=[value])
        if before is None:
            graph.append(node)
        else:
            graph.insert_before(before, node)
        return value

    def _value(self, kind: ir.TypeProtocol | None) -> ir.Value:
        return ir.Value(name=next(self.names), type=kind)


def _type(value: ir.Value) -> ir.DataType:
    return value.dtype or ir.DataType.FLOAT
