from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn

import leaky
from leaky.onnx import Watched, read, watch

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


def half() -> int:
    return int((X[:, 2] > 0).sum())


def test_planted_units_are_counted(model: Model) -> None:
    proto = model(f"{LAYER} y = Relu(p)", weights=WEIGHTS)
    watched = watch(proto, np.split(X, 8))
    (site, evidence) = watched.sites["Relu_y"]
    assert evidence.active_samples.tolist() == [0, 2, half(), 2000]
    assert (watched.samples, evidence.samples, evidence.positions) == (2000, 2000, 2000)
    assert (site.kind, site.form, site.units, site.axis, site.shape) == ("relu", "Relu", 4, 1, (4,))
    assert (site.limits, site.fed_by, site.judged, site.note) == ((0, np.inf), "MatMul_h", True, "")
    assert np.array_equal(evidence.largest, (X @ W + B).max(axis=0))
    assert watched.notes == []


@pytest.mark.parametrize("sizes", [[2000], [1] * 20 + [1980], [3, 1997]])
def test_batches_of_any_size_give_the_same_counts(model: Model, sizes: list[int]) -> None:
    proto = model(f"{LAYER} y = Relu(p)", weights=WEIGHTS)
    watched = watch(proto, np.split(X, np.cumsum(sizes)[:-1]))
    assert counts(watched, "Relu_y") == [0, 2, half(), 2000]


def test_positions_of_a_convolution_behind_batch_normalisation_and_transpose(model: Model) -> None:
    x = np.broadcast_to(X[:, :, None, None], (2000, 4, 3, 2)).copy()
    proto = model(
        """c = Conv(x, K) n = BatchNormalization(c, s, B, m, v) t = Transpose<perm = [0, 2, 3, 1]>(n) r = Relu(t)
        y = Identity(r)""",
        "float[N,4,H,W] x",
        {"K": W[:, :, None, None], "B": B, "s": np.ones(4, "f"), "m": np.zeros(4, "f"), "v": np.ones(4, "f")},
    )
    watched = watch(proto, np.split(x, 4))
    site, evidence = watched.sites["Relu_r"]
    assert (site.axis, site.shape, site.fed_by) == (3, (3, 2, 4), "BatchNormalization_n")
    assert evidence.active_samples.tolist() == [0, 2, half(), 2000]
    assert evidence.active_positions.tolist() == [0, 12, 6 * half(), 12000]


def test_slopes_of_each_position_are_told_by_the_unit(model: Model) -> None:
    """As Keras has it by default: one slope for each element of a convolution's output."""
    slopes = np.full((4, 3, 2), 0.25, "f")
    slopes[1, 2, 0], slopes[2] = 0, 0
    x = np.broadcast_to(X[:, :, None, None], (2000, 4, 3, 2)).copy()
    weights = {"K": W[:, :, None, None], "B": B, "slopes": slopes}
    check = leaky.check(model("c = Conv(x, K, B) y = PRelu(c, slopes)", "float[N,4,H,W] x", weights), x)
    (seen,) = check.sites.values()
    assert seen.site.slope == pytest.approx((0.25, np.nan, 0, 0.25), nan_ok=True)
    assert seen.learns.tolist() == [True, True, False, True]
    assert np.isnan(seen.dormancy).tolist() == [False, True, False, False]
    assert "4 units at 1 site" in repr(check)
    assert [(f.code, f.units) for f in check.findings if f.code == "L013"] == [("L013", (0,))]


def test_other_sessions_are_not_bounded_afterwards(model: Model) -> None:
    proto = model("h = MatMul(x, W) y = Relu(h)", weights={"W": W})
    options = ort.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    before = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    watch(proto, [X], max_memory=1 << 20)
    after = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.ones((1 << 18, 4), "f")  # twice 4 MiB
    for session in (before, after):
        assert session.run(None, {"x": x})[0].shape == x.shape


def test_samples_on_another_axis(model: Model) -> None:
    """A recurrent layout: (time, samples, features)."""
    x = np.stack([X, -X], axis=1)
    proto = model("t = Transpose<perm = [1, 0, 2]>(x) h = MatMul(t, W) y = Relu(h)", "float[N,T,4] x", WEIGHTS)
    site, evidence = watch(proto, np.split(x, 4)).sites["Relu_y"]
    assert (site.axis, site.shape) == (2, (2, 4))
    assert (evidence.samples, evidence.positions) == (2000, 4000)
    assert evidence.active_samples.tolist() == ((X > 0) | (X < 0)).sum(axis=0).tolist()


def test_samples_and_positions_on_one_axis(model: Model) -> None:
    x = np.stack([X, -X], axis=1)
    proto = model(
        "s = Constant<value = int64[2] {-1, 4}>() r = Reshape(x, s) h = MatMul(r, W) y = Relu(h)",
        "float[N,T,4] x",
        WEIGHTS,
    )
    site, evidence = watch(proto, np.split(x, 4)).sites["Relu_y"]
    assert (site.axis, site.shape) == (2, (2, 4))
    assert (evidence.samples, evidence.positions) == (2000, 4000)


def test_samples_that_cannot_be_told_apart_are_fed_one_by_one(model: Model) -> None:
    """One more row comes out than there are samples."""
    proto = model(
        "h = MatMul(x, W) z = Concat<axis = 0>(h, e) y = Relu(z)", weights={"W": W, "e": np.ones((1, 4), "f")}
    )
    watched = watch(proto, [X[:9]])
    (note,) = watched.notes
    assert (
        note == "The model was fed one sample at a time, as what comes out for more does not tell them apart at Relu_y."
    )
    assert (watched.sites["Relu_y"][1].samples, watched.sites["Relu_y"][1].positions) == (9, 18)


def test_names_are_unique_and_as_they_are(model: Model) -> None:
    proto = model("a = Relu(x) b = Relu(a) y = Relu(b)")
    for node, name in zip(proto.graph.node, ("\x1b[31m<b>", "Relu_y", ""), strict=True):
        node.name = name
    assert list(watch(proto, [X]).sites) == ["\x1b[31m<b>", "Relu_y", "Relu_y[1]"]


def test_a_model_for_one_sample_is_fed_one_by_one(model: Model) -> None:
    proto = model(f"{LAYER} y = Relu(p)", "float[1,4] x", WEIGHTS)
    site, evidence = watch(proto, np.split(X, 4)).sites["Relu_y"]
    assert (site.axis, site.shape) == (1, (4,))
    assert evidence.active_samples.tolist() == [0, 2, half(), 2000]


def test_a_model_for_seven_samples_is_fed_seven_and_the_rest(model: Model) -> None:
    proto = model(f"{LAYER} y = Relu(p)", "float[7,4] x", WEIGHTS)
    _, evidence = watch(proto, [X]).sites["Relu_y"]
    assert evidence.samples == 2000
    assert evidence.active_samples.tolist() == [0, 2, half(), 2000]


def test_a_model_that_reshapes_to_one_sample_is_fed_one_by_one(model: Model) -> None:
    proto = model(
        "s = Constant<value = int64[2] {1, 4}>() r = Reshape(x, s) h = MatMul(r, W) y = Relu(h)", weights=WEIGHTS
    )
    watched = watch(proto, [X[:30]])
    assert watched.notes == ["The model was fed one sample at a time, as it runs on no more."]
    assert watched.sites["Relu_y"][1].samples == 30


@pytest.mark.parametrize("max_memory", [1 << 20, 200_000])
def test_memory_is_kept_by_running_parts_and_groups(model: Model, max_memory: int) -> None:
    wide = (
        "h = MatMul(x, W) " + " ".join(f"r{i} = Relu(h) s{i} = Softplus(r{i})" for i in range(5)) + " y = Identity(s4)"
    )
    proto = model(wide, "float[N,4] x", {"W": np.random.default_rng(0).standard_normal((4, 4000)).astype("f")})
    free, bound = watch(proto, [X[:40]]), watch(proto, [X[:40]], max_memory=max_memory)
    assert len(bound.sites) == 10
    for name, (site, evidence) in free.sites.items():
        assert bound.sites[name][0] == site
        assert np.array_equal(bound.sites[name][1].active_samples, evidence.active_samples)
        assert bound.sites[name][1].total.value() == pytest.approx(evidence.total.value())


def test_more_memory_than_allowed_is_one_clear_line(model: Model) -> None:
    proto = model("e = ConstantOfShape(s) z = Relu(e) y = Add(z, x)", "float[N,4] x, int64[2] s")
    with pytest.raises(
        ValueError, match=r"^ONNX Runtime cannot run the model: it takes more than the 10,000,000 bytes"
    ):
        watch(proto, [{"x": X[:1], "s": np.array([10**7, 4])}], max_memory=10**7)


def test_external_data(model: Model, tmp_path: Path) -> None:
    proto = model(f"{LAYER} y = Relu(p)", weights=WEIGHTS)
    path = tmp_path / "model.onnx"
    onnx.save_model(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert counts(watch(path, [X]), "Relu_y") == [0, 2, half(), 2000]
    loaded = read(path)
    before = ir.to_proto(loaded).SerializeToString()
    assert counts(watch(loaded, [X]), "Relu_y") == [0, 2, half(), 2000]
    assert ir.to_proto(loaded).SerializeToString() == before


def test_types_that_cannot_be_told_are_no_concern(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    proto = model("h = MatMul(x, W) r = Relu(h) y = Cast<to = 1>(r)", weights={"W": W})
    for value in proto.graph.value_info:
        value.type.tensor_type.ClearField("elem_type")
    assert counts(watch(proto, [X]), "Relu_r") == (X > 0).sum(axis=0).tolist()
    assert caplog.records == []


def test_numbers_are_those_of_the_operations_as_written(model: Model) -> None:
    """ONNX Runtime would fold the normalisation into the convolution, and round otherwise."""
    rng = np.random.default_rng(0)
    weights = {name: rng.uniform(0.5, 2, 8).astype("f") for name in "sbmv"}
    weights["K"] = rng.standard_normal((8, 4, 3, 3)).astype("f")
    proto = model("c = Conv(x, K) n = BatchNormalization(c, s, b, m, v) y = Relu(n)", "float[N,4,6,6] x", weights)
    x = rng.standard_normal((20, 4, 6, 6)).astype("f")
    evidence = watch(proto, [x]).sites["Relu_y"][1]
    proto.graph.output[0].name = "n"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    (n,) = ort.InferenceSession(proto.SerializeToString(), options).run(None, {"x": x})
    assert np.array_equal(evidence.largest, n.max(axis=(0, 2, 3)))
    assert np.array_equal(evidence.smallest, n.min(axis=(0, 2, 3)))


def test_what_could_be_left_out_is_seen(model: Model) -> None:
    proto = model(
        "c = Conv(x, K) d = Identity(c) r = Relu(d) i = Identity(r) y = Relu(i)",
        "float[N,4,1,1] x",
        {"K": W[:, :, None, None]},
    )
    watched = watch(proto, [X[:, :, None, None]])
    assert counts(watched, "Relu_r") == (X > 0).sum(axis=0).tolist() == counts(watched, "Relu_y")
    assert watched.sites["Relu_y"][1].smallest.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", ["float16", "double"])
def test_dtypes(model: Model, dtype: str) -> None:
    number = getattr(onnx.TensorProto, {"double": "DOUBLE"}.get(dtype, dtype.upper()))
    proto = model(f"m = MatMul(x, W) h = Cast<to = {number}>(m) r = Relu(h) y = Cast<to = 1>(r)", weights={"W": W})
    assert counts(watch(proto, [X]), "Relu_r") == (X > 0).sum(axis=0).tolist()


def test_pictures_of_bytes(model: Model) -> None:
    x = np.random.default_rng(0).integers(0, 256, (20, 4), np.uint8)
    weights = {"W": W, "B": np.full(4, -100, "f")}
    proto = model("f = Cast<to = 1>(x) m = MatMul(f, W) h = Add(m, B) y = Relu(h)", "uint8[N,4] x", weights)
    assert counts(watch(proto, [x]), "Relu_y") == (x > 100).sum(axis=0).tolist()


def test_a_site_on_the_input_itself_and_on_an_output(model: Model) -> None:
    proto = model("r = Relu(x) y = Sigmoid(r)", outputs="float y, float r")
    watched = watch(proto, [X])
    site, evidence = watched.sites["Relu_r"]
    assert (site.units, site.axis, site.shape) == (1, None, (4,))
    assert (site.judged, site.note) == (False, "fed from no weights")
    assert evidence.active_positions.tolist() == [(X > 0).sum()]
    assert watched.sites["Sigmoid_y"][1].smallest.tolist() == [0]


def test_what_does_not_depend_on_the_samples_is_told(model: Model) -> None:
    proto = model(
        "z = ReduceMax<keepdims = 0>(x) o = Mul(z, zero) v = Add(o, B) r = Relu(v) y = Add(x, r)",
        weights={"B": B, "zero": np.zeros(1, "f")},
    )
    site, evidence = watch(proto, [X]).sites["Relu_r"]
    assert evidence.samples == 1
    assert "does not tell the samples of a batch apart" in site.note


def test_variance_clamps_are_not_judged(model: Model) -> None:
    """As in magika: mean(x²) − mean(x)², held at 0."""
    proto = model(
        """h = MatMul(x, W) s = Mul(h, h) a = ReduceMean<axes = [-1]>(s) m = ReduceMean<axes = [-1]>(h) b = Mul(m, m)
        d = Sub(a, b) v = Max(d, zero) e = Sub(h, m) y = Max(e, zero) n = Max(x, zero)""",
        weights={**WEIGHTS, "zero": np.zeros(1, "f")},
    )
    sites = {name: site for name, (site, _) in watch(proto, [X]).sites.items()}
    assert {name: site.judged for name, site in sites.items()} == {"Max_v": False, "Max_y": True, "Max_n": False}
    assert sites["Max_v"].note.startswith("a maximum with 0 of a sum or mean, not of")
    assert sites["Max_n"].note == "fed from no weights"


def test_what_hides_is_told(model: Model) -> None:
    rng = np.random.default_rng(0)
    proto = model(
        "o, y = LSTM<hidden_size = 3>(x, W, R)",
        "float[T,N,4] x",
        {"W": rng.standard_normal((1, 12, 4)).astype("f"), "R": rng.standard_normal((1, 12, 3)).astype("f")},
    )
    watched = watch(proto, [np.zeros((5, 2, 4), "f")])
    assert watched.sites == {}
    assert watched.notes == ["Not seen: Sigmoid, Tanh inside LSTM (LSTM)."]


def test_quantised_models_say_so(model: Model) -> None:
    proto = model(
        "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) h = MatMul(d, W) y = Relu(h)",
        weights={**WEIGHTS, "s": np.float32(0.05), "z": np.int8(0)},
    )
    watched = watch(proto, [X])
    assert watched.notes[0].startswith("The model is quantised")
    assert watched.sites["Relu_y"][0].fed_by == "MatMul_h"


def test_progress_and_no_batches(model: Model) -> None:
    proto, done = model("y = Relu(x)"), []
    watch(proto, np.split(X, 4), progress=done.append)
    assert done == [500, 1000, 1500, 2000]
    with pytest.raises(ValueError, match=r"^batches: there is none$"):
        watch(proto, [])


class Network(nn.Module):
    """Convolutions, normalisation, pooling, residuals and dense layers, with rectifiers of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.second = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 8, 3, padding=1),
        )
        self.deep, self.dense, self.prelu = nn.Linear(8, 16), nn.Linear(16, 5), nn.PReLU(16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = [self.norm(self.conv(x))]
        h = torch.relu(self.seen[0])
        self.seen.append(self.second(h) + h)
        h = nn.functional.relu6(self.seen[1]).mean(dim=(2, 3))
        self.seen.append(self.deep(h))
        self.seen.append(self.dense(self.prelu(self.seen[2])))
        return torch.nn.functional.leaky_relu(self.seen[3], 0.2)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_an_exported_network_gives_the_counts_of_pytorch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Network().eval()
    x = torch.randn(64, 3, 12, 12)
    path = tmp_path / "network.onnx"
    torch.onnx.export(network, (x,), path, dynamic_shapes=({0: "n"},), verbose=False)
    watched = watch(path, list(x.split(16)))
    with torch.no_grad():
        network(x)
    assert [site.kind for site, _ in watched.sites.values()] == ["relu", "relu6", "prelu", "leaky_relu"]
    for (site, evidence), seen in zip(watched.sites.values(), network.seen, strict=True):
        expected = seen.flatten(2) if seen.dim() > 2 else seen[..., None]
        assert site.axis == 1
        clear = (expected.abs() > 1e-5).all(dim=2).all(dim=0)  # the two round differently
        assert clear.float().mean() > 0.2
        active = (expected > 0).any(dim=2).sum(dim=0)
        assert np.array_equal(evidence.active_samples[clear], active[clear])
        assert evidence.largest == pytest.approx(seen.movedim(1, 0).flatten(1).amax(dim=1), abs=1e-4)
    slopes = [site.slope for site, _ in watched.sites.values()]
    assert slopes == [None, None, (0.25,) * 16, pytest.approx(0.2)]
