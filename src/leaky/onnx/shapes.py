"""Shapes of a model's values for given inputs, as far as they can be told without running it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from leaky.onnx.errors import quiet
from leaky.onnx.feeding import Arrays


@contextmanager
def inferred(model: ir.Model, arrays: Arrays) -> Iterator[None]:
    """Give a model's values, for the time being, the shapes that they have for these inputs."""
    before = {value: value.shape for graph in model.graphs() for value in values(graph)}
    for value in model.graph.inputs:
        if value.name in arrays:
            value.shape = ir.Shape(arrays[value.name].shape)
    try:
        with quiet():
            ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
        yield
    finally:
        for value, shape in before.items():
            value.shape = shape


def values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield the values that are made in a graph, bodies aside."""
    yield from graph.inputs
    yield from (value for value in graph.initializers.values() if not value.is_graph_input())
    for node in graph:
        yield from node.outputs


def size(value: ir.Value) -> int:
    """Return the bytes that a value takes, as far as its shape is known; 0 if it is not."""
    if value.shape is None or value.dtype is None:
        return 0
    elements = 1
    for dim in value.shape:
        elements *= dim if isinstance(dim, int) else 1
    return int(elements * value.dtype.itemsize)
