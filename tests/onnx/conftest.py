"""Small models."""

from collections.abc import Callable, Mapping

import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper, parser


@pytest.fixture
def model() -> Callable[..., onnx.ModelProto]:
    """Return what makes a model of text."""
    return _model


def _model(
    body: str,
    inputs: str = "float[N,4] x",
    weights: Mapping[str, NDArray] | None = None,
    *,
    outputs: str = "float y",
    functions: str = "",
    opset: int = 17,
    ir: int = 8,
) -> onnx.ModelProto:
    """Return a checked model with this body. Its outputs need no shapes."""
    imports = f'"" : {opset}' + (', "my" : 1' if functions else "")
    proto = parser.parse_model(
        f"<ir_version: {ir}, opset_import: [{imports}]> g ({inputs}) => ({outputs}) {{ {body} }} {functions}"
    )
    for value in proto.graph.output:  # the parser takes a type without a shape for a scalar's
        if not value.type.tensor_type.shape.dim:
            value.type.tensor_type.ClearField("shape")
    for name, array in (weights or {}).items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    proto = onnx.shape_inference.infer_shapes(proto)
    onnx.checker.check_model(proto)
    return proto
