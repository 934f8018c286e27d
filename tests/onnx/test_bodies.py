from collections.abc import Callable

import numpy as np
import onnx
import pytest

from leaky.onnx import Watched, watch

Model = Callable[..., onnx.ModelProto]

# Four units, active on none of the samples, on one in a thousand, on about half, and on all
X = np.random.default_rng(0).standard_normal((2000, 4)).astype("f")
X[:, 1] = -1
X[::1000, 1] = 1
W, B = np.eye(4, dtype="f"), np.array([-100, 0, 0, 100], "f")
WEIGHTS = {"W": W, "B": B}
LAYER = "h = MatMul(x, W) p = Add(h, B)"


def counts(watched: Watched, name: str) -> list[int]:
    return watched.sites[name][1].active_samples.tolist()


BRANCHES = f"""{LAYER} c = Greater(k, zero) y = If(c) <
    then_branch = t () => (float[N,4] a) {{ a = Relu(p) }},
    else_branch = e () => (float[N,4] b) {{ q = Neg(p) b = LeakyRelu<alpha = 0.25>(q) }}
>"""


def test_branches(model: Model) -> None:
    proto = model(BRANCHES, "float[N,4] x, float k", {**WEIGHTS, "zero": np.float32(0)[None]})
    x = X.reshape(4, 500, 4)
    watched = watch(proto, [{"x": each, "k": np.float32(k)} for each, k in zip(x, (1, -1, 1, 1), strict=True)])
    (relu, seen), (leaky, opposite) = watched.sites.values()
    assert (relu.name, relu.module) == ("If_y/then_branch/Relu_a", "If_y/then_branch")
    assert (leaky.name, leaky.slope, leaky.fed_by) == ("If_y/else_branch/LeakyRelu_b", 0.25, "MatMul_h")
    p = (X @ W + B).reshape(x.shape)
    assert (seen.samples, opposite.samples) == (1500, 500)
    assert seen.active_samples.tolist() == (p[[0, 2, 3]] > 0).sum(axis=(0, 1)).tolist()
    assert opposite.active_samples.tolist() == (p[1] < 0).sum(axis=0).tolist()


def test_a_branch_never_taken_is_told(model: Model) -> None:
    proto = model(BRANCHES, "float[N,4] x, float k", {**WEIGHTS, "zero": np.float32(0)[None]})
    watched = watch(proto, [{"x": X, "k": np.float32(1)}])
    assert list(watched.sites) == ["If_y/then_branch/Relu_a"]
    assert watched.notes == ["Never reached, being in bodies that no sample led into: If_y/else_branch/LeakyRelu_b."]


def loop(model: Model, inner: str, opset: int = 17) -> onnx.ModelProto:
    """Return a model that takes three steps, with values and scan outputs of its own, and a site after the loop."""
    return model(
        f"""{LAYER} n = Constant<value = int64 {{3}}>() yes = Constant<value = bool {{1}}>()
        z, all = Loop(n, yes, p) <body = b (int64 i, bool go, float[N,4] s) => (bool on, float[N,4] out, float[N,4] each) {{
            on = Identity(go)  minus = Neg(s)  {inner}  each = Identity(minus)
        }}>
        y = Relu(z) w = Relu(all)""",
        weights=WEIGHTS,
        outputs="float[N,4] y, float[T,N,4] w",
        opset=opset,
    )


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_loops_count_each_time_as_positions(model: Model, opset: int) -> None:
    watched = watch(loop(model, "r = Relu(minus) out = Identity(minus)", opset), np.split(X, 4))
    site, evidence = watched.sites["Loop_z/body/Relu_r"]
    p = X @ W + B
    assert (site.axis, site.shape, site.fed_by) == (2, (3, 4), "MatMul_h")
    assert (evidence.samples, evidence.positions) == (2000, 6000)
    assert evidence.active_positions.tolist() == (2 * (p < 0) + (p > 0)).sum(axis=0).tolist()
    assert evidence.active_samples.tolist() == (p != 0).sum(axis=0).tolist()
    after = watched.sites["Relu_y"][1]
    assert after.active_samples.tolist() == (p < 0).sum(axis=0).tolist()
    stacked, same = watched.sites["Relu_w"]
    assert (stacked.axis, stacked.shape) == (2, (3, 4))
    assert same.active_positions.tolist() == evidence.active_positions.tolist()


def test_a_branch_in_a_loop(model: Model) -> None:
    """Runs on some of the times only: what comes out is of varying length."""
    inner = """one = Constant<value = int64 {1}>() first = Equal(i, one) out = If(first) <
        then_branch = t () => (float[N,4] a) { a = Relu(minus) }, else_branch = e () => (float[N,4] b) { b = Tanh(minus) }
    >"""
    watched = watch(loop(model, inner), [X[:100]])
    taken = watched.sites["Loop_z/body/If_out/then_branch/Relu_a"][1]
    others = watched.sites["Loop_z/body/If_out/else_branch/Tanh_b"][1]
    assert (taken.positions, others.positions) == (100, 200)
    first = -(X @ W + B)[:100]
    second = -np.tanh(first)
    assert taken.active_samples.tolist() == (second > 0).sum(axis=0).tolist()
    assert others.largest[2] == pytest.approx(np.maximum(first, -np.maximum(second, 0))[:, 2].max(), abs=1e-6)


def test_a_loop_in_a_loop_and_a_value_that_does_not_leave_it(model: Model) -> None:
    inner = """two = Constant<value = int64 {2}>() out = Loop(two, go, minus) <
        body = deep (int64 j, bool g, float[N,4] d) => (bool on2, float[N,4] f) { on2 = Identity(g) f = Neg(d) u = Relu(f) }
    >"""
    watched = watch(loop(model, inner), np.split(X, 4))
    site, evidence = watched.sites["Loop_z/body/Loop_out/body/Relu_u"]
    assert (site.module, site.shape) == ("Loop_z/body/Loop_out/body", (6, 4))
    assert evidence.positions == 12000


def test_scan(model: Model) -> None:
    proto = model(
        """y, each = Scan<num_scan_inputs = 1, body = b (float[4] s, float[4] t) => (float[4] o, float[4] e) {
            o = Add(s, t)  e = Relu(o) }>(start, x)""",
        "float[T,4] x",
        {"start": np.zeros(4, "f")},
    )
    _, evidence = watch(proto, [X[:50]]).sites["Scan_y/body/Relu_e"]
    assert (evidence.samples, evidence.positions) == (50, 200)
    assert evidence.active_positions.sum() == (np.cumsum(X[:50], axis=0) > 0).sum()


def test_functions_are_sites_at_each_call(model: Model) -> None:
    functions = '<domain: "my", opset_import: ["" : 17]> act (i) => (o) { n = Neg(i) o = Relu(n) }'
    proto = model("h = MatMul(x, W) a = my.act(h) y = my.act(a)", weights={"W": W}, functions=functions)
    watched = watch(proto, [X])
    assert list(watched.sites) == ["act_a/Relu_o", "act_y/Relu_o"]
    assert counts(watched, "act_a/Relu_o") == (X < 0).sum(axis=0).tolist()
    assert counts(watched, "act_y/Relu_o") == [0, 0, 0, 0]


def test_names_of_bodies_in_functions(model: Model) -> None:
    functions = """<domain: "my", opset_import: ["" : 17, "my" : 1]> act (i) => (o) {
        z = Constant<value = float {-100.0}>() m = ReduceMax<keepdims = 0>(i) c = Greater(m, z) o = If(c) <
            then_branch = t () => (float[N,4] a) { a = my.deep(i) }, else_branch = e () => (float[N,4] b) { b = Tanh(i) }
        > }
        <domain: "my", opset_import: ["" : 17]> deep (j) => (d) { d = Relu(j) }"""
    proto = model("h = MatMul(x, W) y = my.act(h)", functions=functions, weights={"W": W}, outputs="float[N,4] y")
    watched = watch(proto, [X])
    ((name, (site, _)),) = watched.sites.items()
    assert (name, site.module) == ("act_y/If_o/then_branch/deep_a/Relu_d", "act_y/If_o/then_branch/deep_a")
