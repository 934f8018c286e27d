"""Rectifiers become Leaky ReLUs of any slope, and back, in every form, type and opset; all else stays."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from leaky_tests.onnx.rewritten import DENSE, Model, W, X, leaky, nodes, rewritten, run, slopes

FORMS = {
    "Relu": "y = Relu(h)",
    "LeakyRelu": "y = LeakyRelu(h)",
    "Clip(0)": "none = Identity(h) y = Clip(h, zero)",
    "Max(x, 0)": "y = Max(zero, h)",
    "Max(x, slope · x)": "s = Mul(h, half) y = Max(s, h)",
    "Where(x > 0, x, 0)": "c = Greater(h, zero) y = Where(c, h, zero)",
    "Where(x > 0, x, slope · x)": "c = Less(h, zero) s = Mul(half, h) y = Where(c, s, h)",
    "x · (x > 0)": "c = Greater(h, zero) f = Cast<to = 1>(c) y = Mul(f, h)",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_a_leaky_relu_of_its_input(model: Model, form: str) -> None:
    weights = {"W": W, "zero": np.float32(0)[()], "half": np.float32(0.5)[()]}
    proto = model(f"{DENSE} {FORMS[form]}", weights={k: np.asarray(v) for k, v in weights.items()})
    after, (outcome,), notes = rewritten(proto)
    assert (outcome.form, outcome.reason, notes) == (form, "", [])
    assert slopes(after) == [0.1]
    x = X[1:]
    np.testing.assert_array_equal(run(after, x)[0], leaky(x, 0.1))
    assert {each.op_type for each in nodes(after)} <= {"MatMul", "LeakyRelu", "Identity"}
    assert after.graph.node[-1].name == proto.graph.node[-1].name
    again = rewritten(after)[1]
    assert [each.reason for each in again] == ["its slope is 0.1 already"]


def test_constants_without_a_use_are_taken_out_and_others_stay(model: Model) -> None:
    body = "z = Constant<value = float {0.0}>() a = Max(h, z) b = Max(a, zero) c = Max(b, zero) y = Add(c, zero)"
    proto = model(f"{DENSE} {body}", weights={"W": W, "zero": np.zeros((), "f")})
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("z", 1, []))
    after, outcomes, _ = rewritten(proto)
    assert [each.reason for each in outcomes] == ["", "", ""]
    assert [each.op_type for each in after.graph.node] == ["MatMul", "LeakyRelu", "LeakyRelu", "LeakyRelu", "Add"]
    assert [each.name for each in after.graph.initializer] == ["W", "zero"]
    assert "z" not in {each.name for each in after.graph.value_info}
    proto.graph.output.append(onnx.helper.make_tensor_value_info("zero", 1, []))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, []))
    after = rewritten(proto)[0]
    assert len(after.graph.node) == 6
    assert len(run(after, X)) == 3


def test_slope_0_keeps_relu_and_its_bits(model: Model) -> None:
    """LeakyRelu of slope 0 would make -0.0 of negatives, and NaN of -inf."""
    proto = model("a = Relu(x) zero = Constant<value = float {0.0}>() b = Max(x, zero)", outputs="float a, float b")
    after, outcomes, _ = rewritten(proto, 0.0)
    assert after == proto
    assert [each.reason for each in outcomes] == ["its slope is 0 already", "fed from no weights"]
    for one, other in zip(run(proto, X), run(after, X), strict=True):
        assert one.tobytes() == other.tobytes()


def test_back_to_relu(model: Model) -> None:
    proto = model(f"{DENSE} a = LeakyRelu<alpha = 0.3>(h) y = Relu(a)", weights={"W": W})
    after, outcomes, _ = rewritten(proto, 0.0)
    assert [node.op_type for node in nodes(after)] == ["MatMul", "Relu", "Relu"]
    assert not after.graph.node[1].attribute
    assert [each.reason for each in outcomes] == ["", "its slope is 0 already"]
    there, _, _ = rewritten(model(f"{DENSE} y = Relu(h)", weights={"W": W}), 0.3)
    assert rewritten(there, 0.0)[0] == model(f"{DENSE} y = Relu(h)", weights={"W": W})


def test_from_slope_to_slope(model: Model) -> None:
    proto = model(f"{DENSE} a = LeakyRelu(h) y = LeakyRelu<alpha = 0.1>(a)", weights={"W": W})
    after, outcomes, _ = rewritten(proto, 0.1)
    assert slopes(after) == [0.1, 0.1]
    assert [each.reason for each in outcomes] == ["", "its slope is 0.1 already"]
    kept, outcomes, _ = rewritten(proto, None)
    assert kept == proto
    assert [each.reason for each in outcomes] == ["its slope is 0.01 already", "its slope is 0.1 already"]


def test_only_when_asked(model: Model) -> None:
    body = """six = Constant<value = float {6.0}>() zero = Constant<value = float {0.0}>() a = Clip(h, zero, six)
        b = PRelu(a, S) c = ThresholdedRelu<alpha = 0.5>(b) d = Sigmoid(c) y = Elu(d)"""
    proto = model(f"{DENSE} {body}", weights={"W": W, "S": np.full((4,), 0.25, "f")})
    after, outcomes, _ = rewritten(proto)
    assert after == proto
    assert [each.reason for each in outcomes] == [*["of another kind"] * 3, "no rectifier", "no rectifier"]
    after, outcomes, _ = rewritten(proto, kinds=["relu6", "prelu", "threshold"])
    assert slopes(after) == [0.1, 0.1, 0.1]
    assert [each.name for each in after.graph.initializer] == ["W"]
    assert [each.op_type for each in nodes(after)] == ["MatMul", *["LeakyRelu"] * 3, "Sigmoid", "Elu"]


def test_what_makes_another_value_too_stays(model: Model) -> None:
    proto = model(
        f"{DENSE} s, t = Split(S) y = PRelu(h, s)", "float[N,4] x, float[8] S", {"W": W}, outputs="float y, float[4] t"
    )
    after = rewritten(proto, kinds=["prelu"])[0]
    assert [each.op_type for each in nodes(after)] == ["MatMul", "Split", "LeakyRelu"]


def test_bounds_that_are_attributes_go(model: Model) -> None:
    proto = model(f"{DENSE} y = Clip<min = 0.0, max = 6.0>(h)", weights={"W": W}, opset=9)
    after, (outcome,), _ = rewritten(proto, kinds=["relu6"])
    assert outcome.reason == ""
    assert [each.name for each in after.graph.node[1].attribute] == ["alpha"]


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        (np.full((4, 1, 1), 0.25, "f"), ""),
        (np.array([0.25], "f"), ""),
        (np.array([np.nan], "f"), "its slope is nan, which LeakyRelu does not hold"),
        (np.array([0.25, 0.5, 0.25, 0.25], "f").reshape(4, 1, 1), "it has 2 slopes, and LeakyRelu takes one"),
        (None, "its slopes are not constant"),
    ],
)
def test_prelu_with_one_slope_can_keep_it(model: Model, numbers: NDArray | None, reason: str) -> None:
    inputs = "float[N,4,3,3] x" + ("" if numbers is not None else ", float[1] S")
    weights = {"V": np.eye(4, dtype="f").reshape(4, 4, 1, 1)} | ({} if numbers is None else {"S": numbers})
    proto = model("h = Conv(x, V) y = PRelu(h, S)", inputs, weights)
    after, (outcome,), _ = rewritten(proto, None, ["prelu"])
    assert outcome.reason == reason
    assert slopes(after) == ([] if reason else [0.25])
    if not reason:
        x = np.random.default_rng(0).standard_normal((2, 4, 3, 3)).astype("f")
        np.testing.assert_array_equal(run(proto, x)[0], run(after, x)[0])


@pytest.mark.parametrize("opset", [6, 9, 11, 13, 14, 15, 16, 22])
@pytest.mark.parametrize("dtype", ["float16", "float", "double", "bfloat16", "int32"])
def test_types_and_opsets(model: Model, opset: int, dtype: str) -> None:
    """Relu takes bfloat16 from 13 and integers from 14, LeakyRelu bfloat16 from 16 and integers never."""
    if opset < {"bfloat16": 13, "int32": 14}.get(dtype, 0):
        return
    proto = model("h = MatMul(x, W) y = Relu(h)", f"{dtype}[N,4] x, {dtype}[4,4] W", outputs=f"{dtype} y", opset=opset)
    after, (outcome,), notes = rewritten(proto)
    late = {"bfloat16": 16, "int32": 99}.get(dtype, 0) > opset
    assert outcome.reason == (f"LeakyRelu takes no {dtype} in opset {opset}" if late else "")
    assert slopes(after) == ([0.0] if late else [0.1])
    assert after.opset_import == proto.opset_import
    rounded = "float64: an alpha in ONNX is a float32, so that the slope 0.1 is 0.10000000149011612."
    alone = "float64: ONNX Runtime runs no LeakyRelu of float64 in the opset of the model, other runtimes may."
    assert notes == ([rounded, *([] if opset == 16 else [alone])] if dtype == "double" else [])
    if dtype not in ("bfloat16", "int32") and alone not in notes:
        x = X[1:].astype({"float": "f", "double": "d"}.get(dtype, dtype))
        y = run(after, x, np.eye(4, dtype=x.dtype))[0]
        np.testing.assert_allclose(y, leaky(x, 0.1), rtol=1e-3)


def test_the_oldest_opset_keeps_its_attribute(model: Model) -> None:
    body, inputs = "y = Relu<consumed_inputs = [0]>(x)", "float[N,4] x"
    proto = model(body, inputs, outputs="float[N,4] y", opset=1, ir=3)
    after, (outcome,), _ = rewritten(proto)
    assert outcome.reason == ""
    assert {each.name for each in after.graph.node[0].attribute} == {"consumed_inputs", "alpha"}


def test_all_else_stays_as_it_is(model: Model) -> None:
    proto = model(f"{DENSE} a = Relu(h) y = Relu(a)", weights={"W": W})
    proto.doc_string, proto.producer_name, proto.model_version = "of a kind", "p", 7
    proto.metadata_props.add(key="author", value="α")
    proto.graph.doc_string = "graph"
    node = proto.graph.node[1]
    node.name, node.doc_string = "act", "why"
    node.metadata_props.add(key="leaky.number", value="0")
    node.metadata_props.add(key="pkg", value="x")
    proto.graph.initializer[0].doc_string = "weights"
    proto.MergeFromString(b"\xc2\x3e\x03abc")  # a field of a version to come
    after, _, _ = rewritten(proto, stays="Relu_*")
    changed = after.graph.node[1]
    assert (changed.op_type, changed.attribute[0].f) == ("LeakyRelu", np.float32(0.1))
    changed.op_type = "Relu"
    del changed.attribute[:]
    assert after.SerializeToString() == proto.SerializeToString()


def test_a_weight_that_is_an_input_too_stays_one(model: Model) -> None:
    proto = model(f"{DENSE} y = Max(h, zero)", "float[N,4] x, float zero", {"W": W, "zero": np.zeros((), "f")}, ir=8)
    after = rewritten(proto)[0]
    assert [each.name for each in after.graph.initializer] == ["W", "zero"]
    assert slopes(after) == [0.1]
