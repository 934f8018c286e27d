"""Rectifiers in bodies and functions are rewritten, where they are the same at all calls."""

import numpy as np
import pytest

from leaky.onnx import watch
from leaky_tests.onnx.rewritten import DENSE, Model, W, X, leaky, nodes, rewritten, run, slopes

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
