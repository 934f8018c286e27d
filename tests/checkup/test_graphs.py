"""Checks of ONNX models, against those of the same network in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import leaky
from leaky.inputs import InputError
from leaky.inputs.loading import load_data

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture
def weights() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    bias = rng.normal(size=8).astype(np.float32)
    bias[3] = -100
    return rng.normal(size=(8, 4)).astype(np.float32), bias


@pytest.fixture
def model(weights: tuple[np.ndarray, np.ndarray]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1, name="dense"),
        helper.make_node("Relu", ["h"], ["y"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(array, name) for array, name in zip(weights, "wb", strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_numbers_that_are_none_are_found_in_the_data(model: onnx.ModelProto) -> None:
    x = np.random.default_rng(1).normal(size=(300, 4)).astype(np.float32)
    x[203, 2] = np.nan
    (finding,) = (f for f in leaky.check(model, (x, np.zeros(300)), batch_size=64).findings if f.code == "L012")
    assert finding.text.startswith("In the data: NaN in sample 203, column 2 (counted from 0). What the network")
    assert not [f for f in leaky.check(model, np.delete(x, 203, 0)).findings if f.code == "L012"]


@pytest.mark.parametrize("form", ["proto", "path", "text"])
def test_it_finds_what_is_found_in_pytorch(
    form: str, model: onnx.ModelProto, weights: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    x = np.random.default_rng(1).normal(size=(300, 4)).astype(np.float32)
    steps: list[tuple[int, int | None]] = []
    check = leaky.check(
        {"proto": model, "path": path, "text": str(path)}[form],
        (x, np.zeros(300)),
        batch_size=64,
        progress=lambda done, total: steps.append((done, total)),
    )
    twin = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    twin.load_state_dict({"0.weight": torch.tensor(weights[0]), "0.bias": torch.tensor(weights[1])})
    other = leaky.check(twin, x)
    assert steps[-1] == (5, 5)
    assert check.samples == 300
    (seen,), (expected,) = check.sites.values(), other.sites.values()
    assert seen.evidence.active_samples.tolist() == expected.evidence.active_samples.tolist()
    assert [f.units for f in check.problems] == [(3,)]
    assert check.model == ("net" if form == "proto" else "net.onnx")


@pytest.mark.parametrize(
    ("declared", "stored"),
    [
        ("uint8", "u1"),
        ("int8", "i1"),
        ("bool", "?"),
        ("float16", "f2"),
        ("double", "f8"),
        ("uint16", "u2"),
        ("int32", "u2"),
    ],
)
def test_a_file_of_the_type_that_the_model_takes(
    declared: str, stored: str, tmp_path: Path, weights: tuple[np.ndarray, np.ndarray]
) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g ({declared}[n, 4] x) => (float[n, 8] y)
        {{ f = Cast <to = 1> (x) h = Gemm <transB = 1> (f, w, b) y = Relu(h) }}"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(a, name) for a, name in zip(weights, "wb", strict=True))
    onnx.save(model, tmp_path / "net.onnx")
    x = np.random.default_rng(1).integers(2, size=(300, 4)).astype(stored)
    np.save(tmp_path / "x.npy", x)
    (seen,) = leaky.check(tmp_path / "net.onnx", load_data(str(tmp_path / "x.npy"))).sites.values()
    expected = x.astype(np.float32) @ weights[0].T + weights[1]
    assert seen.evidence.active_samples.tolist() == (expected > 0).sum(axis=0).tolist()


def test_numbers_beyond_what_the_model_takes_are_infinite(model: onnx.ModelProto) -> None:
    x = np.array([[1e300, 0, 0, 0], [0.5, -0.5, 1, 2]])
    (seen,) = leaky.check(model, x).sites.values()
    assert seen.evidence.nonfinite.all()


def test_tensors_of_any_kind(model: onnx.ModelProto) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    tensor = torch.tensor(x).bfloat16().requires_grad_()
    counts = []
    for data in (
        tensor,
        {"x": tensor},
        (tensor, tensor),
        torch.utils.data.TensorDataset(tensor),
        tensor.float(),
        tensor.double(),
    ):
        (seen,) = leaky.check(model, data).sites.values()
        counts.append(seen.evidence.active_samples.tolist())
    assert counts == counts[:1] * 6
    assert any(counts[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "data: no samples; expected at least one"),
        (np.zeros((0, 4), np.float32), "data: no samples; expected at least one"),
        ("fails", "data: batch 1 cannot be had: ZeroDivisionError: division by zero"),
        ([np.zeros((2, 4)), "x"], "data: batch 1: str; expected an array"),
        (np.array([["a"] * 4]), "data: input 'x' has elements of <U1; the model takes float32"),
    ],
)
def test_what_is_wrong_with_data_is_told_in_a_line(data: Any, message: str, model: onnx.ModelProto) -> None:
    def failing() -> Iterator[np.ndarray]:
        yield np.zeros((2, 4), np.float32)
        yield 1 / 0

    with pytest.raises(InputError) as caught:
        leaky.check(model, failing() if isinstance(data, str) else data)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_bad_input(model: onnx.ModelProto, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="loss: an ONNX model has no gradients; expected none"):
        leaky.check(model, np.zeros((4, 4)), loss="mse")
    for given in ("data", (0, 1)):
        with pytest.raises(InputError, match="input_range: units are not proved dead in an ONNX model; expected none"):
            leaky.check(model, np.zeros((4, 4)), input_range=given)
    with pytest.raises(InputError, match="shape"):
        leaky.check(model, np.zeros((4, 5), np.float32))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(InputError):
        leaky.check(tmp_path / "bad.onnx", np.zeros((4, 4), np.float32))
