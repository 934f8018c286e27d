"""Rewritten models, read again from the raw protobuf and run: nothing here asks the code under test what it did."""

from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from leaky.onnx import watch
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


BODIES = f"""{DENSE} n = Constant<value = int64 {{3}}>() yes = Constant<value = bool {{1}}>()
    z = Loop(n, yes, h) <body = b (int64 i, bool go, float[N,4] s) => (bool on, float[N,4] out) {{
        on = Identity(go) minus = Neg(s) one = Constant<value = int64 {{1}}>() first = Equal(i, one)
        out = If(first) < then_branch = t () => (float[N,4] a) {{ a = Relu(minus) }},
            else_branch = e () => (float[N,4] c) {{ zero = Constant<value = float {{0.0}}>() c = Max(minus, zero) }} >
    }}> k = Constant<value = float[4] {{0.0, 0.0, 0.0, 0.0}}>()
    w, y = Scan<num_scan_inputs = 1, body = b (float[4] u, float[4] v) => (float[4] o, float[4] r) {{
        o = Add(u, v)  r = Relu(o) }}>(k, z)"""


def test_bodies(model: Model) -> None:
    proto = model(BODIES, "float[N,4] x", {"W": W}, outputs="float[N,4] y")
    after, outcomes, _ = rewritten(proto)
    assert [each.site for each in outcomes if not each.reason] == [
        "Loop_z/body/If_out/then_branch/Relu_a",
        "Loop_z/body/If_out/else_branch/Max_c",
        "Scan_w/body/Relu_r",
    ]
    assert list(watch(proto, [X[1:]]).sites) == [each.site for each in outcomes]
    assert slopes(after) == [0.1, 0.1, 0.1]
    assert sum(node.op_type in ("Constant", "Max") for node in nodes(after)) == 4
    state = X[1:]
    for _ in range(3):
        state = leaky(-state, 0.1)
    np.testing.assert_allclose(run(after, X[1:])[0], leaky(np.cumsum(state, axis=0), 0.1), rtol=1e-4, atol=1e-5)


FUNCTION = '<domain: "my", opset_import: ["" : 17]> act (i) => (o) { n = Neg(i) o = Relu(n) }'


def test_a_function_is_changed_once_for_all_its_calls(model: Model) -> None:
    proto = model(f"{DENSE} a = my.act(h) y = my.act(a)", weights={"W": W}, functions=FUNCTION)
    after, outcomes, notes = rewritten(proto)
    assert [(each.site, each.reason) for each in outcomes] == [("act_a/Relu_o", ""), ("act_y/Relu_o", "")]
    assert list(watch(proto, [X]).sites) == [each.site for each in outcomes]
    assert notes == ["The function 'act' is written once and called 2 times: it changed for all."]
    assert slopes(after) == [0.1]
    assert len(after.functions) == 1
    np.testing.assert_array_equal(run(after, X[1:])[0], leaky(-leaky(-X[1:], 0.1), 0.1))
    after, outcomes, _ = rewritten(proto, stays="act_a/*")
    assert after == proto
    assert [each.reason for each in outcomes] == ["named", "named"]


@pytest.mark.parametrize("calls", ["a = my.f(h, zero) y = my.f(a, h)", "a = my.f(h, zero) y = my.f(zero, a)"])
def test_a_function_that_is_not_the_same_at_all_calls_stays(model: Model, calls: str) -> None:
    function = '<domain: "my", opset_import: ["" : 17]> f (i, j) => (o) { o = Max(i, j) }'
    proto = model(f"{DENSE} {calls}", weights={"W": W, "zero": np.zeros((), "f")}, functions=function)
    after, outcomes, _ = rewritten(proto)
    assert after == proto
    assert {each.reason for each in outcomes} == {"not the same thing at all calls of its function"}


def test_a_function_gets_its_slope_from_its_call(model: Model) -> None:
    function = (
        '<domain: "my", opset_import: ["" : 17]> f <slope> (i) => (o) { o = LeakyRelu<alpha : float = @slope>(i) }'
    )
    proto = model(f"{DENSE} a = my.f<slope = 0.2>(h) y = my.f<slope = 0.3>(a)", weights={"W": W}, functions=function)
    after, outcomes, _ = rewritten(proto)
    assert [each.before for each in outcomes] == pytest.approx([0.2, 0.3])
    np.testing.assert_array_equal(run(after, X[1:])[0], leaky(leaky(X[1:], 0.1), 0.1))
    assert slopes(after) == [0.1]


def test_functions_never_called_are_told(model: Model) -> None:
    proto = model(f"{DENSE} y = Relu(h)", weights={"W": W}, functions=FUNCTION)
    _, _, notes = rewritten(proto)
    assert notes == ["Functions that are never called are left as they are: 'act'."]


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
