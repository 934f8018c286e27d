"""Conversions of ONNX models, those that others have trained among them."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import leaky
from leaky.conversion import Conversion
from leaky.conversion.errors import ConversionError
from leaky.conversion.graphs import convert_graph
from leaky.conversion.selection import Selection

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
from onnx import parser

X = np.random.default_rng(0).standard_normal((100, 4)).astype("f")
AUDIO = {
    "audio": np.random.default_rng(0).standard_normal((3, 8000)).astype("f"),
    "fmin": np.float32(50),
    "fmax": np.float32(2000),
}


def convert(
    model: Any,
    slope: float | None = 0.01,
    *,
    kinds: Any = ("relu", "leaky_relu"),
    only: Any = None,
    skip: Any = None,
    **arguments: Any,
) -> Conversion:
    return convert_graph(model, slope, Selection(only, skip, kinds), **arguments)


def small(body: str = "h = MatMul(x, W) a = Relu(h) g = MatMul(a, W) y = Relu(g)", n: str = "N") -> onnx.ModelProto:
    proto = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[{n},4] x) => (float[{n},4] y) <float[4,4] W = {{
        1, -1, 2, 0, 0.5, 1, -1, 1, -2, 1, 1, 0, 0.25, 0, 1, -1}}> {{ {body} }}"""
    )
    onnx.checker.check_model(proto)
    return proto


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(small(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def installed(package: str) -> Path:
    """Return the path of the model in a package, which is not imported."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    (path,) = Path(spec.origin).parent.rglob("*.onnx")
    return path


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from nodes(attribute.g)


def run(model: bytes, arrays: dict[str, Any]) -> list[np.ndarray]:
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, arrays)


def test_swift_f0(tmp_path: Path) -> None:
    source, out = installed("swift_f0"), tmp_path / "out.onnx"
    conversion = convert(source, 0.1, data=[AUDIO])
    conversion.model.save(out)
    onnx.checker.check_model(out, full_check=True)
    before, after = (list(nodes(onnx.load(each).graph)) for each in (source, out))
    assert len(conversion.changes) == sum(node.op_type == "Relu" for node in before) == 15
    assert [node.name for node in after] == [node.name for node in before]
    leaks = [node for node in after if node.op_type == "LeakyRelu"]
    assert [[(each.name, each.f) for each in node.attribute] for node in leaks] == [[("alpha", np.float32(0.1))]] * 15
    assert not any(node.op_type == "Relu" for node in after)
    seen = leaky.check(source, [AUDIO]).sites
    assert list(seen) == [each.site for each in (*conversion.changes, *conversion.left) if each.site in seen]
    one = {"audio": AUDIO["audio"][:1], "fmin": np.array(50, "f"), "fmax": np.array(2000, "f")}
    for kept, moved in zip(run(source.read_bytes(), one), run(out.read_bytes(), one), strict=True):
        assert kept.shape == moved.shape
        assert not np.array_equal(kept, moved)
    drift = conversion.drift
    assert drift is not None
    assert drift.samples == 3
    assert 0 < drift.mean < drift.largest


def test_swift_f0_at_slope_0_is_the_same_to_the_bit() -> None:
    source = installed("swift_f0")
    conversion = convert(source, 0.0, data=[AUDIO])
    assert conversion.changes == ()
    assert conversion.model.proto == onnx.load(source)
    assert (conversion.drift.largest, conversion.drift.mean, conversion.drift.agreement) == (0, 0, 1)
    there = convert(source, 0.1)
    back = convert(there.model.proto, to="relu")
    assert len(back.changes) == 15
    assert back.model == onnx.load(source)


def test_magika_stays() -> None:
    """Its maxima with 0 hold variances; its activations are GELUs written out."""
    source = installed("magika")
    conversion = convert(source, 0.1)
    assert conversion.changes == ()
    assert conversion.model.proto.SerializeToString() == onnx.load(source).SerializeToString()
    variance = "a maximum with 0 of a sum or mean, not of a layer's units"
    assert sorted(each.reason for each in conversion.left) == [variance, variance, "no rectifier", "no rectifier"]


def test_what_it_says(path: Path) -> None:
    conversion = convert(path, 0.5, only="Relu_a", data=(X, np.zeros(100)), batch_size=30)
    (change,), (kept,) = conversion.changes, conversion.left
    assert (change.site, change.module, change.form) == ("Relu_a", "Relu_a", "Relu")
    assert (change.before, change.after, change.how) == ("relu", "leaky_relu(0.5)", "node")
    assert (kept.site, kept.form, kept.reason) == ("Relu_y", "Relu", "not named by only")
    assert conversion.headline == "1 site converted, 1 left."
    assert "Relu_a Relu             relu → leaky_relu(0.5)" in repr(conversion)
    old, new = (
        run(model.SerializeToString(), {"x": X})[0].astype("d") for model in (onnx.load(path), conversion.model.proto)
    )
    drift = conversion.drift
    assert drift is not None
    assert drift.samples == 100
    assert drift.largest == np.abs(old - new).max() > 0
    assert drift.mean == pytest.approx(np.abs(old - new).mean())
    assert drift.scale == pytest.approx(np.abs(old).mean())
    assert drift.agreement == (old.argmax(axis=1) == new.argmax(axis=1)).mean() < 1
    assert conversion.to_dict()["changes"][0]["after"] == "leaky_relu(0.5)"


def test_a_model_in_memory_is_left_as_it_is() -> None:
    proto = small("z = Constant<value = float {0.0}>() h = MatMul(x, W) y = Max(h, z)")
    before = proto.SerializeToString()
    conversion = convert(proto, 0.1, data=X)
    assert proto.SerializeToString() == before
    assert [node.op_type for node in conversion.model.graph.node] == ["MatMul", "LeakyRelu"]


def test_prelu_is_frozen_when_asked() -> None:
    proto = small("h = MatMul(x, W) s = Constant<value = float {0.3}>() a = PRelu(h, s) y = PRelu(a, W)")
    assert convert(proto, 0.1).changes == ()
    conversion = convert(proto, None, kinds=["prelu"], data=X)
    (change,) = conversion.changes
    assert (change.before, change.after) == ("prelu(0.3)", "leaky_relu(0.3)")
    assert conversion.drift.largest == 0
    assert conversion.left[0].reason == "it has 7 slopes, and LeakyRelu takes one"


def test_slopes_that_are_odd() -> None:
    proto = small("h = MatMul(x, W) a = LeakyRelu<alpha = 0.5>(h) y = LeakyRelu<alpha = 1.0>(a)")
    proto.graph.node[1].attribute[0].f, proto.graph.node[2].attribute[0].f = float("nan"), float("inf")
    changes = convert(proto, 0.1).changes
    assert [each.before for each in changes] == ["leaky_relu", "leaky_relu(inf)"]
    assert [each.reason for each in convert(proto, None).left] == [
        "its slope is nan, which LeakyRelu does not hold",
        "its slope is inf already",
    ]


def test_sites_by_check_and_finding() -> None:
    proto = small("z = Constant<value = float {100.0}>() h = MatMul(x, W) d = Sub(h, z) a = Relu(d) y = Relu(h)")
    check = leaky.check(proto, X)
    dead = next(finding for finding in check.findings if finding.site == "Relu_a")
    for chosen in (check, dead, ["Relu_a"], "*_a", ["nothing", dead]):
        conversion = convert(proto, 0.1, only=chosen)
        assert [each.site for each in conversion.changes] == ["Relu_a"]
        conversion = convert(proto, 0.1, skip=chosen)
        assert [each.site for each in conversion.changes] == ["Relu_y"]


@pytest.mark.parametrize("n", ["N", "7", "1"])
def test_drift_is_the_same_however_it_is_fed(n: str) -> None:
    """A model for a fixed number of samples is fed so many; of the last run only those count that are there."""
    drift = convert(small(n=n), 0.2, data=X, batch_size=25).drift
    whole = convert(small(), 0.2, data=X, batch_size=100).drift
    assert drift is not None
    assert whole is not None
    assert (drift.samples, drift.largest, drift.agreement) == (100, whole.largest, whole.agreement)
    assert (drift.mean, drift.scale) == pytest.approx((whole.mean, whole.scale))


def test_drift_of_a_model_that_runs_on_one_sample_only() -> None:
    body = "h = MatMul(x, W) a = Relu(h) k = Constant<value = int64[2] {1, 4}>() y = Reshape(a, k)"
    drift = convert(small(body), 0.1, data=X, batch_size=25).drift
    assert drift is not None
    assert drift.samples == 100


def test_drift_is_of_the_output_that_tells_the_samples_apart() -> None:
    proto = small("h = MatMul(x, W) a = Relu(h) y = Neg(a) m = ReduceMean<keepdims = 0>(a)")
    proto.graph.output.insert(0, onnx.helper.make_tensor_value_info("m", 1, []))
    drift, alone = (
        convert(each, 0.1, data=X).drift for each in (proto, small("h = MatMul(x, W) a = Relu(h) y = Neg(a)"))
    )
    assert drift is not None
    assert alone is not None
    assert (drift.output, alone.output) == ("y", "")
    assert (drift.largest, drift.mean, drift.agreement) == (alone.largest, alone.mean, alone.agreement)


def test_drift_with_infinities_and_without_floats() -> None:
    x = X.copy()
    x[0], x[1] = np.inf, np.nan
    drift = convert(small("h = MatMul(x, W) y = Relu(h)"), 0.0, data=x).drift
    assert drift is not None
    assert (drift.largest, drift.mean) == (0, 0)
    proto = small("h = MatMul(x, W) a = Relu(h) y = ArgMax(a)")
    proto.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    conversion = convert(proto, 0.1, data=X)
    assert conversion.drift is None
    assert conversion.notes == ("No drift: the model has no outputs of floats.",)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"to": "prelu"}, "to: 'prelu'; expected 'leaky_relu' or 'relu'"),
        ({"slope": 1e39}, "negative_slope: 1e\\+39; expected what float32 holds"),
        ({"slope": 1e-50}, "negative_slope: 1e-50; expected what float32 holds"),
        ({"data": np.zeros((3, 5), "f")}, r"data: input 'x' has the shape \(3, 5\)"),
        ({"data": []}, "data: no samples; expected at least one"),
        ({"data": X, "batch_size": 0}, "batch_size: 0; expected a whole number of at least 1"),
    ],
)
def test_bad_arguments(path: Path, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConversionError, match=f"^{text}") as caught:
        convert(path, **arguments)
    assert str(caught.value).isprintable()


def test_slopes_beyond_the_usual_are_told() -> None:
    assert convert(small(), 2.0).notes == (
        "leaky_relu(2): a negative slope outside 0 … 1 is unusual, and training with it may diverge",
    )


def test_bad_models(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"import os")
    with pytest.raises(ConversionError, match=r"m\.onnx: not an ONNX model"):
        convert(tmp_path / "m.onnx")
    proto = small()
    proto.graph.initializer[0].dims[0] = 5
    with pytest.raises(ConversionError, match=r"^tensor 'W': its shape"):
        convert(proto)


def test_external_data(tmp_path: Path, path: Path) -> None:
    source = tmp_path / "folder" / "m.onnx"
    source.parent.mkdir()
    onnx.save_model(small(), source, save_as_external_data=True, location="w.bin", size_threshold=0)
    conversion = convert(str(source), 0.1, data=X)
    assert conversion.drift == convert(path, 0.1, data=X).drift
    out = tmp_path / "out.onnx"
    conversion.model.save(out)
    onnx.checker.check_model(out)
    assert not out.with_name("w.bin").exists()
    expected = run(convert(path, 0.1).model.proto.SerializeToString(), {"x": X})[0]
    np.testing.assert_array_equal(run(str(out), {"x": X})[0], expected)
