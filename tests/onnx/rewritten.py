"""Rewritten models, read again from the raw protobuf and run: nothing here asks the code under test what it did."""

from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from leaky.onnx.reading import checked
from leaky.onnx.rewriting import Outcome, rewrite

Model = Callable[..., onnx.ModelProto]

X = np.random.default_rng(0).standard_normal((50, 4)).astype("f")
X[0] = [-0.0, 0.0, -np.inf, np.inf]
W = np.eye(4, dtype="f")
DENSE = "h = MatMul(x, W)"


def rewritten(
    proto: onnx.ModelProto,
    slope: float | None = 0.1,
    kinds: Collection[str] = ("relu", "leaky_relu"),
    stays: str = "",
) -> tuple[onnx.ModelProto, list[Outcome], list[str]]:
    """Return a rewritten copy of a model, sound, and what became of its sites; the names are those that a check gives."""
    copy = onnx.ModelProto.FromString(proto.SerializeToString())

    def refusal(kind: str, names: list[str]) -> str | None:
        if kind not in kinds:
            return "of another kind"
        return "named" if any(fnmatchcase(name, stays) for name in names) else None

    outcomes, notes = rewrite(copy, checked(proto, None, None), slope, refusal)
    onnx.checker.check_model(copy)
    onnx.shape_inference.infer_shapes(copy, check_type=True, strict_mode=True)
    return copy, outcomes, notes


def nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield all nodes of a model, those in bodies and functions too."""
    stack: list[onnx.NodeProto] = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    for node in stack:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                stack += body.node


def slopes(proto: onnx.ModelProto) -> list[float]:
    """Return the alpha of each LeakyRelu, which has to be there, and 0 for each Relu."""
    found = []
    for node in nodes(proto):
        if node.op_type in ("Relu", "LeakyRelu"):
            alpha = [attribute.f for attribute in node.attribute if attribute.name == "alpha"]
            found += alpha if node.op_type == "LeakyRelu" else [0.0]
    return [round(each, 6) for each in found]


def run(proto: onnx.ModelProto, *inputs: object) -> list[NDArray]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def leaky(x: NDArray, slope: float) -> NDArray:
    return np.where(x > 0, x, np.float32(slope) * x)
