import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

RNG = np.random.default_rng(0)

BRANCHES = """h = Conv<pads = [1, 1, 1, 1]>(x, W, B) r = Relu(h) p = GlobalAveragePool(r) f = Flatten(p) y = If(c) <
    then_branch = t () => (float[N,4] a) { m = MatMul(f, M) a = Relu(m) }, else_branch = e () => (float[N,4] b) { b = Sigmoid(f) }
>"""
LOOP = """t = Transpose<perm = [0, 2, 3, 1]>(x) h = MatMul(t, W) u = Transpose<perm = [0, 3, 1, 2]>(h) k = Constant<value = int64 {3}>()
    q = MaxPool<kernel_shape = [2, 2], strides = [2, 2], pads = [0, 0, 1, 1]>(u) v = ConvTranspose<strides = [2, 2]>(q, V)
    z = Constant<value = float {0.0}>() six = Constant<value = float {6.0}>() a = Clip(v, z, six) b = Max(a, z) f = my.act(b)
    w = Loop(k, c, f) <body = l (int64 i, bool go, float[N,C,H,L] d) => (bool on, float[N,C,H,L] o) {
        on = Identity(go) e = Mul(d, six) o = LeakyRelu<alpha = 0.1>(e)
    }>
    s = Constant<value = int64[2] {0, -1}>() y = Reshape(w, s)"""
FUNCTION = '<domain: "my", opset_import: ["" : 17]> act (i) => (o) { j = Neg(i) o = Sigmoid(j) }'


@pytest.fixture
def folder(model: Callable[..., onnx.ModelProto], tmp_path: Path) -> Path:
    """Return a folder with models to mutate: with branches, a loop and a function, and external data."""

    def weights(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
        return {name: RNG.standard_normal(shape).astype("f") for name, shape in shapes.items()}

    inputs = "float[N,3,8,8] x, bool c"
    branches = model(BRANCHES, inputs, weights(W=(4, 3, 3, 3), B=(4,), M=(4, 4)))
    loop = model(LOOP, inputs, weights(W=(3, 4), V=(4, 2, 2, 2)), outputs="float[N,K] y", functions=FUNCTION)
    onnx.save_model(branches, tmp_path / "base1.onnx")
    onnx.save_model(loop, tmp_path / "base2.onnx")
    where = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save_model(branches, tmp_path / "base3.onnx", **where)
    return tmp_path


def came_of(folder: Path, *arguments: object) -> dict[str, float]:
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("mutants.py")), str(folder)]
    done = subprocess.run([*command, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=300)
    last = done.stdout.splitlines()[-1]
    assert done.returncode == 0, f"seed {last}, code {done.returncode}: {done.stderr[-2000:]}"
    assert done.stderr == ""
    return json.loads(last)


def test_mutated_models_are_read_or_refused_in_one_line(folder: Path) -> None:
    came = came_of(folder, 0, 10_000)
    assert came["read"] + came["refused"] == 10_000
    assert min(came["read"], came["refused"]) > 1000  # both are tried
    assert came["slowest"] < 5


def test_mutated_models_that_are_read_run_or_are_refused(folder: Path) -> None:
    came = came_of(folder, 10_000, 11_500, "run")
    assert came["run"] > 200
    assert came["slowest"] < 10


def test_mutated_models_that_are_read_are_converted_to_sound_ones_or_refused(folder: Path) -> None:
    came = came_of(folder, 20_000, 21_500, "convert")
    assert came["converted"] > 100
    assert came["slowest"] < 10
