"""What is no activation, is fused or broadcasts is left, and what is quantised told."""

import numpy as np
import onnx
import pytest

from leaky_tests.onnx.rewritten import DENSE, Model, W, rewritten, slopes


def test_what_is_no_activation_stays(model: Model) -> None:
    """A variance clamp, a count, a constant, and a maximum that broadcasts."""
    body = f"""{DENSE} m = ReduceMean<axes = [1]>(h) v = Max(m, zero) k = Relu(W) s = Shape(x) t = Max(s, none)
        r = Max(h, zeros) e = Max(x, zero)"""
    weights = {"W": W, "zero": np.zeros((), "f"), "none": np.zeros((), np.int64), "zeros": np.zeros((2, 1, 4), "f")}
    outputs = "float v, float k, int64 t, float r, float e"
    proto = model(body, weights=weights, outputs=outputs)
    after, outcomes, _ = rewritten(proto)
    assert after == proto
    assert {each.node: each.reason for each in outcomes} == {
        "Max_v": "a maximum with 0 of a sum or mean, not of a layer's units",
        "Relu_k": "of constants alone, not of data",
        "Max_t": "of integers",
        "Max_r": "its output may be of another shape than its input",
        "Max_e": "fed from no weights",
    }


def test_the_axis_of_a_broadcast_is_no_matter_where_the_shape_is_the_same(model: Model) -> None:
    proto = model(f"{DENSE} y = Max(h, zeros)", "float[5,4] x", {"W": W, "zeros": np.zeros((1, 4), "f")})
    assert rewritten(proto)[1][0].reason == ""
    free = model(f"{DENSE} y = Max(h, zeros)", "float[N,4] x", {"W": W, "zeros": np.zeros((2, 4), "f")})
    assert rewritten(free)[1][0].reason == "its output may be of another shape than its input"


@pytest.mark.parametrize(("rank", "stays"), [(0, False), (1, False), (2, True)])
def test_a_broadcast_where_no_shape_is_known(model: Model, rank: int, stays: bool) -> None:
    weights = {"W": W, "zero": np.zeros((1,) * rank, "f")}
    proto = model(
        f"{DENSE} k = Reshape(h, s) y = Max(k, zero)", "float[N,4] x, int64[R] s", weights, outputs="float[A,B] y"
    )
    (outcome,) = rewritten(proto)[1]
    assert (outcome.reason == "its output may be of another shape than its input") == stays
    assert stays or outcome.reason == ""


def test_fused_operations_stay_and_are_told(model: Model) -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> g (float[N,3,8,8] x) => (float[N,4,8,8] y) {
        c = com.microsoft.FusedConv<activation = "Relu">(x, V) s = Sigmoid(c) y = Relu(s) }"""
    )
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((4, 3, 1, 1), "f"), "V"))
    after, outcomes, _ = rewritten(proto)
    assert slopes(after) == [0.1]
    assert [(each.site, each.form, each.reason) for each in outcomes if each.reason] == [
        ("Sigmoid_s", "Sigmoid", "no rectifier"),
        ("FusedConv_c", "Relu inside FusedConv", "part of a larger operation"),
    ]


def test_quantised_models_are_told(model: Model) -> None:
    scale = {"W": W, "s": np.asarray(np.float32(0.1)), "z": np.asarray(np.uint8(0))}
    proto = model(f"{DENSE} r = Relu(h) q = QuantizeLinear(r, s, z) y = DequantizeLinear(q, s, z)", weights=scale)
    assert rewritten(proto)[2] == [
        "The model is quantised: where the range of the rounding ends at 0, it cuts a leak off."
    ]
    assert rewritten(proto, 0.0)[2] == []
