from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leaky import Task
from leaky.trials import TaskError

X, Y = np.ones((8, 2)), np.arange(8) % 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.empty((0, 2)), "y": []}, "x: no data (shape (0, 2)); expected at least one sample"),
        ({"y": Y[:7]}, "y: 7 targets for the 8 samples of x; expected one for each"),
        (
            {"x": np.where(np.eye(8, 2) == 1, np.nan, 1)},
            "x: nan at index (0, 0); expected finite numbers within float32's range",
        ),
        (
            {"x": np.where(np.eye(8, 2) == 1, -np.inf, 1)},
            "x: -inf at index (0, 0); expected finite numbers within float32's range",
        ),
        ({"x": [["a"]] * 8}, "x: an array of <U1; expected numbers"),
        ({"x": np.array([None] * 8)}, "x: an array of object; expected numbers"),
        ({"y": Y - 1}, "y: a class of -1; expected class numbers from 0 to 1,000,000"),
        ({"y": np.zeros((8, 2), int)}, "y: shape (8, 2); expected one class number per sample"),
        ({"x_test": X}, "y_test: None while its partner is given; expected both or neither"),
        (
            {"x_test": np.ones((8, 3)), "y_test": Y},
            "x_test: samples of shape (3,), float32; expected (2,), float32 as in training",
        ),
        ({"x_test": X, "y_test": Y[:1]}, "y_test: 1 targets for the 8 samples of x_test; expected one for each"),
        ({"x": X[:3], "y": Y[:3]}, "x: 3 samples; expected at least 4 to set a quarter aside, or x_test and y_test"),
        ({"x": X * 1e60}, "x: 1e+60 at index (0, 0); expected finite numbers within float32's range"),
        (
            {"y": np.full(8, 2**64 - 1, np.uint64)},
            "y: a class of 18446744073709551615; expected class numbers from 0 to 1,000,000",
        ),
        ({"y": np.ones(8)}, "y: all targets are equal; expected measurements that differ, or R² has no meaning"),
        (
            {"y": np.arange(8.0), "x_test": X[:1], "y_test": np.ones(1)},
            "y_test: all targets are equal; expected measurements that differ, or R² has no meaning",
        ),
        ({"x": X[:1], "y": Y[:1], "x_test": X, "y_test": Y}, "x: 1 sample to train on; expected at least 2"),
        ({"name": None}, "name: None; expected a text of at most 100 characters"),
        ({"epochs": 0}, "epochs: 0; expected a whole number of at least 1"),
        ({"batch_size": 2.5}, "batch_size: 2.5; expected a whole number of at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate: nan; expected a positive number"),
        ({"optimizer": "adma"}, "optimizer: 'adma' is unknown; expected one of adam, adamw, sgd or a function"),
        ({"model": nn.Linear(4, 2)}, "model: a Linear; expected a function from an activation to a network"),
        ({"model": 3}, "model: 3 cannot be called; expected a function from an activation to a network"),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError) as error:
        Task(**{"model": lambda activation: None, "x": X, "y": Y, **changes})
    assert str(error.value) == message


def test_types() -> None:
    task = Task(lambda a: None, np.ones((8, 2), np.uint8), Y)
    assert np.asarray(task.x).dtype == np.float32
    assert np.asarray(task.y).dtype == np.int64
    assert np.asarray(Task(lambda a: None, np.ones((8, 2), np.int32), Y).x).dtype == np.int64


def test_a_quarter_is_set_aside_stratified_and_always_the_same() -> None:
    y = np.repeat([0, 1, 2, 3], 20)
    x = np.arange(80.0)[:, None]
    first, second = (Task(lambda a: None, x, y) for _ in range(2))
    assert np.array_equal(np.asarray(first.x_test), np.asarray(second.x_test))
    assert np.bincount(np.asarray(first.y_test)).tolist() == [5, 5, 5, 5]
    both = np.concatenate([np.asarray(first.x), np.asarray(first.x_test)]).ravel()
    assert sorted(both) == sorted(x.ravel())


def test_the_callers_arrays_are_not_changed_with() -> None:
    x, y = X.copy(), Y.copy()
    task = Task(lambda a: None, x, y, x, y)
    x[:] = 7
    assert np.asarray(task.x).max() == 1


def test_accuracy_and_r2_against_scikit_learn(make_task: Callable[..., Task]) -> None:
    from sklearn.metrics import accuracy_score, r2_score

    torch.manual_seed(0)
    output = torch.randn(50, 3)
    y = torch.randint(3, (50,))
    assert make_task().score(output, y) == pytest.approx(accuracy_score(y, output.argmax(1)))

    regression = make_task(x=np.ones((50, 1)), y=np.linspace(0, 1, 50))
    assert regression.metric == "r2"
    target, guess = torch.randn(50), torch.randn(50, 1)
    assert regression.score(guess, target) == pytest.approx(r2_score(target, guess[:, 0]))
    # (50, 1) against (50,) must not broadcast to (50, 50).
    assert regression.loss(guess, target).item() == pytest.approx(((guess[:, 0] - target) ** 2).mean().item())


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", x=X, y=Y)
    task = Task.from_npz(lambda a: None, tmp_path / "points.npz", epochs=7)
    assert (task.name, task.epochs) == ("points", 7)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "has no array 'y'; expected x, y and perhaps x_test, y_test"),
        ({"x": np.array([{}]), "y": Y}, "is not an .npz file of plain arrays"),
    ],
)
def test_npz_errors(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "points.npz", **arrays)
    with pytest.raises(TaskError, match=r"points\.npz") as error:
        Task.from_npz(lambda a: None, tmp_path / "points.npz")
    assert message in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"no archive", b"\x93NUMPY\x01\x00"])
def test_files_that_are_no_npz(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "points.npz"
    path.write_bytes(content)
    with pytest.raises(TaskError, match=r"is not an \.npz file"):
        Task.from_npz(lambda a: None, path)


def test_an_npy_file_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", X)
    with pytest.raises(TaskError, match=r"is not an \.npz file"):
        Task.from_npz(lambda a: None, tmp_path / "points.npy")


def test_a_missing_npz() -> None:
    with pytest.raises(TaskError, match=r"path: 'nowhere.npz' is not there; expected an .npz file"):
        Task.from_npz(lambda a: None, "nowhere.npz")
