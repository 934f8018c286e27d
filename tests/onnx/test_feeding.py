from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch

from leaky.onnx import watch

X = np.random.default_rng(0).standard_normal((10, 4)).astype("f")
W = {"W": np.eye(4, dtype="f")}
TWO = "h = MatMul(x, W) s = Add(h, b) y = Relu(s)"


def active(proto: onnx.ModelProto, batch: object) -> list[int]:
    ((_, evidence),) = watch(proto, [batch]).sites.values()
    assert evidence.samples == 10
    return evidence.active_samples.tolist()


@pytest.mark.parametrize(
    "batch",
    [
        X,
        X.astype(np.float64),
        np.asfortranarray(X),
        X.tolist(),
        [X],
        (X, np.arange(10)),
        {"x": X, "labels": np.arange(10)},
        torch.from_numpy(X),
        (torch.from_numpy(X), torch.arange(10)),
    ],
    ids=["array", "double", "order", "list", "of one", "with labels", "by name", "tensor", "tensors"],
)
def test_batches_in_all_forms(model: Callable[..., onnx.ModelProto], batch: object) -> None:
    proto = model("h = MatMul(x, W) y = Relu(h)", weights=W)
    if isinstance(batch, list) and len(batch) == 10:
        batch = np.array(batch)
    assert active(proto, batch) == (X > 0).sum(axis=0).tolist()


@pytest.mark.parametrize("inputs", ["float[N,4] x, float[N,1] b", "float[1,4] x, float[1,1] b"])
def test_several_inputs_by_name_and_in_order(model: Callable[..., onnx.ModelProto], inputs: str) -> None:
    proto, b = model(TWO, inputs, W), np.arange(10, dtype="f")[:, None] - 5
    expected = (X + b > 0).sum(axis=0).tolist()
    assert active(proto, (X, b)) == active(proto, {"b": b, "x": X}) == expected


def test_inputs_that_are_not_by_sample(model: Callable[..., onnx.ModelProto]) -> None:
    """A scalar; and a row whose length happens to be the number of samples."""
    assert active(model(TWO, "float b, float[N,4] x", W), (np.float32(0.5), X)) == (X > -0.5).sum(axis=0).tolist()
    row = np.zeros(10, "f")
    proto = model("r = ReduceSum(b) h = MatMul(x, W) s = Add(h, r) y = Relu(s)", "float[10] b, float[N,4] x", W)
    assert active(proto, (row, X)) == (X > 0).sum(axis=0).tolist()


def test_weights_that_are_inputs_too_need_not_be_given(model: Callable[..., onnx.ModelProto]) -> None:
    proto = model("h = MatMul(x, W) y = Relu(h)", "float[N,4] x, float[4,4] W", W, ir=3)
    assert active(proto, X) == (X > 0).sum(axis=0).tolist()


@pytest.mark.parametrize(
    ("inputs", "batch", "message"),
    [
        ("float[N,4] x", np.zeros((10, 5)), "input 'x' has the shape (10, 5); the model takes (N, 4)"),
        ("float[N,4] x", np.zeros(4), "input 'x' has the shape (4,); the model takes (N, 4)"),
        ("float[N,4] x", np.zeros((0, 4)), "a batch of no samples"),
        ("float[N,4] x", np.zeros((1, 4), complex), "input 'x' has elements of complex128; the model takes float32"),
        ("float[N,4] x", [[[1], [1, 2]]], "input 'x' is no array: "),
        ("float[N,4] x", {"z\n": X}, "no input 'x'; there is 'z'"),
        ("float[N,4] x, float[N,1] b", X, "1 array; the model takes 2: 'x' and 'b'"),
        ("int32[N,4] x", X, "input 'x' has elements of float32; the model takes int32"),
    ],
)
def test_batches_that_do_not_fit(
    model: Callable[..., onnx.ModelProto], inputs: str, batch: object, message: str
) -> None:
    proto = model("h = Cast<to = 1>(x) y = Relu(h)", inputs)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        watch(proto, [batch])
    assert str(caught.value).startswith(f"batches: {message}")
    assert "\n" not in str(caught.value)


def test_a_later_batch_that_does_not_fit(model: Callable[..., onnx.ModelProto]) -> None:
    with pytest.raises(ValueError, match=r"^batches: input 'x' has the shape"):
        watch(model("y = Relu(x)"), [X, X[:, :2]])
