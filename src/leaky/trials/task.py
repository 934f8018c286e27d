"""A task: a network, its data, and its training recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from leaky.activation import Activation

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}

#: the name of a task that was given none
DEFAULT_NAME = "task"

# Beyond this a class number is a mistake, such as an identifier.
_MOST_CLASSES = 1_000_000

#: makes an optimiser from a network's parameters
OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class TaskError(ValueError):
    """A task that cannot be trained as it stands; the text says in one line what is wrong with it."""


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """What is trained: a network for a given activation, its data, and its recipe.

    Args:
        model: takes an :class:`leaky.Activation` and returns a fresh ``torch.nn.Module`` whose activations are made by
            ``activation.module()``; or takes nothing, and returns one that says ReLU in its own way, which is converted
            (:func:`leaky.convert`) for the arms ``relu``, ``leaky_relu`` and, where it has modules for it, ``prelu``. Random numbers of PyTorch, NumPy or Python are seeded when it is called.
        x: training inputs, shape ``(n, …)``. Floats, booleans and bytes become float32; other integers stay integers
            (token ids).
        y: training targets, shape ``(n,)`` of integers 0 … classes − 1 (cross-entropy, accuracy), or floats of shape
            ``(n,)`` or ``(n, k)`` (mean squared error, R²).
        x_test, y_test: test data of the same form. Without them a quarter of the data is set aside, stratified by
            class, always the same quarter.
        name: what reports call the task; by default that of the file it stands in.
        optimizer: ``"adam"``, ``"adamw"``, ``"sgd"`` (plain), or a function from the parameters to an optimiser.
        learning_rate: for an optimiser given by name.
        epochs: passes over the training data.
        batch_size: samples in a step. A remainder of one sample is left out, since BatchNorm cannot train on it.

    Raises:
        TaskError: the data are empty, not finite, of unequal length, or a number of the recipe is out of range.
    """

    model: Callable[[Activation], nn.Module] | Callable[[], nn.Module]
    x: ArrayLike
    y: ArrayLike
    x_test: ArrayLike | None = None
    y_test: ArrayLike | None = None
    name: str = DEFAULT_NAME
    optimizer: str | OptimizerFactory = "adam"
    learning_rate: float = 1e-3
    epochs: int = 30
    batch_size: int = 32

    def __post_init__(self) -> None:
        _check_recipe(self)
        x, y = _inputs("x", self.x), _targets("y", self.y)
        _check_pair("x", x, "y", y)
        if (self.x_test is None) != (self.y_test is None):
            missing = "x_test" if self.x_test is None else "y_test"
            raise TaskError(f"{missing}: None while its partner is given; expected both or neither")
        if self.x_test is None or self.y_test is None:
            x, x_test, y, y_test = _split(x, y)
        else:
            x_test, y_test = _inputs("x_test", self.x_test), _targets("y_test", self.y_test)
            _check_pair("x_test", x_test, "y_test", y_test)
            for name, train, test in (("x_test", x, x_test), ("y_test", y, y_test)):
                if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
                    raise TaskError(
                        f"{name}: samples of shape {test.shape[1:]}, {test.dtype}; "
                        f"expected {train.shape[1:]}, {train.dtype} as in training"
                    )
        if len(x) < 2:
            raise TaskError(f"x: {len(x)} sample to train on; expected at least 2")
        for name, targets in (("y", y), ("y_test", y_test)):
            if targets.dtype.kind == "f" and not np.ptp(targets, axis=0).any():
                raise TaskError(
                    f"{name}: all targets are equal; expected measurements that differ, or R² has no meaning"
                )
        for name, value in (("x", x), ("y", y), ("x_test", x_test), ("y_test", y_test)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_npz(
        cls, model: Callable[[Activation], nn.Module] | Callable[[], nn.Module], path: str | Path, **recipe: Any
    ) -> Task:
        """Return a task on the arrays ``x``, ``y`` and, if there, ``x_test``, ``y_test`` of an ``.npz`` file.

        Raises:
            TaskError: the file is not there, is no ``.npz`` of plain arrays, or lacks ``x`` or ``y``.
        """
        try:
            # Opened here, since np.load leaves a file that is no archive open.
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                data = {name: arrays[name] for name in ("x", "y", "x_test", "y_test") if name in arrays}
        except FileNotFoundError:
            raise TaskError(f"path: {str(path)!r} is not there; expected an .npz file") from None
        except (ValueError, OSError, EOFError, AttributeError, TypeError, BadZipFile):
            raise TaskError(f"path: {str(path)!r} is not an .npz file of plain arrays") from None
        missing = [name for name in ("x", "y") if name not in data]
        if missing:
            raise TaskError(
                f"path: {str(path)!r} has no array {missing[0]!r}; expected x, y and perhaps x_test, y_test"
            )
        return cls(model, **data, **{"name": Path(path).stem, **recipe})

    def for_choosing(self) -> Task:
        """Return the task with a quarter of its training data in place of the test data, which no choice may look at.

        Raises:
            TaskError: there are too few samples for that.
        """
        x, x_test, y, y_test = _split(np.asarray(self.x), np.asarray(self.y))
        return replace(self, x=x, y=y, x_test=x_test, y_test=y_test)

    def __repr__(self) -> str:
        train, test = (len(np.asarray(x)) for x in (self.x, self.x_test))
        return f"<leaky.Task {self.name!r}: {train:,} samples to train on, {test:,} to test, {self.epochs} epochs>"

    @property
    def classifies(self) -> bool:
        """Whether the targets are classes rather than measurements."""
        return bool(np.issubdtype(np.asarray(self.y).dtype, np.integer))

    @property
    def metric(self) -> str:
        """``"accuracy"`` for classes, ``"r2"`` for measurements; more is better in both."""
        return "accuracy" if self.classifies else "r2"

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return the recipe's optimiser for the network's parameters."""
        if isinstance(self.optimizer, str):
            return _OPTIMIZERS[self.optimizer](model.parameters(), lr=self.learning_rate)
        return self.optimizer(model.parameters())

    def loss(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a batch: cross-entropy, or the mean squared error."""
        if self.classifies:
            return nn.functional.cross_entropy(output, y)
        return nn.functional.mse_loss(_match(output, y), y)

    def tensors(self, part: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a copy of the inputs and targets of ``"train"`` or ``"test"``.

        The copies lie where PyTorch aligns its memory. On NumPy's, which start anywhere, matrix products round differently from run to run.
        """
        x, y = (self.x, self.y) if part == "train" else (self.x_test, self.y_test)
        return torch.from_numpy(np.asarray(x)).clone(), torch.from_numpy(np.asarray(y)).clone()

    def score(self, output: torch.Tensor, y: torch.Tensor) -> float:
        """Return the metric of the outputs for a whole data set."""
        if self.classifies:
            return (output.argmax(1) == y).double().mean().item()
        error = (_match(output, y).double() - y).square().sum()
        return (1 - error / (y.double() - y.double().mean(0)).square().sum()).item()

    def recipe(self, model: nn.Module) -> dict[str, str]:
        """Return the recipe in words, for a network as ``model`` made it."""
        optimizer = self.make_optimizer(model)
        settings = {
            k: v for k, v in optimizer.defaults.items() if k in ("lr", "momentum", "weight_decay", "betas") and v
        }
        described = ", ".join(f"{k}={v}" for k, v in settings.items())
        return {
            "network": f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters",
            "training samples": f"{len(np.asarray(self.x)):,}",
            "test samples": f"{len(np.asarray(self.x_test)):,}",
            "loss": "cross-entropy" if self.classifies else "mean squared error",
            "metric": "accuracy" if self.classifies else "R²",
            "optimiser": f"{type(optimizer).__name__}({described})",
            "batch size": str(self.batch_size),
            "epochs": str(self.epochs),
        }

    def digest(self) -> bytes:
        """Return a digest of the data and of the recipe's numbers (the network is not in it)."""
        parts = hashlib.sha256()
        for array in (self.x, self.y, self.x_test, self.y_test):
            a = np.ascontiguousarray(np.asarray(array))
            parts.update(f"{a.dtype.str}{a.shape}".encode() + a.tobytes())
        parts.update(f"{self.epochs},{self.batch_size}".encode())
        return parts.digest()


def _match(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Drop a last axis of length 1 that the targets do not have, which broadcasting would turn into a wrong answer."""
    return output.squeeze(-1) if output.ndim == y.ndim + 1 and output.shape[-1] == 1 else output


def _check_recipe(task: Task) -> None:
    if not callable(task.model) or (hasattr(task.model, "state_dict") and not isinstance(task.model, type)):
        what = f"{task.model!r} cannot be called" if not callable(task.model) else f"a {type(task.model).__name__}"
        raise TaskError(f"model: {what}; expected a function from an activation to a network")
    if not isinstance(task.name, str) or not 0 < len(task.name) <= 100:
        raise TaskError(f"name: {task.name!r}; expected a text of at most 100 characters")
    if isinstance(task.optimizer, str) and task.optimizer not in _OPTIMIZERS:
        raise TaskError(
            f"optimizer: {task.optimizer!r} is unknown; expected one of {', '.join(_OPTIMIZERS)} or a function"
        )
    if not (isinstance(task.learning_rate, (int, float)) and 0 < task.learning_rate < float("inf")):
        raise TaskError(f"learning_rate: {task.learning_rate!r}; expected a positive number")
    for name in ("epochs", "batch_size"):
        value = getattr(task, name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise TaskError(f"{name}: {value!r}; expected a whole number of at least 1")


def _array(name: str, data: ArrayLike) -> NDArray[Any]:
    array = np.asarray(data)
    if array.dtype.kind not in "buif":
        raise TaskError(f"{name}: an array of {array.dtype}; expected numbers")
    if array.ndim == 0 or array.size == 0:
        raise TaskError(f"{name}: no data (shape {array.shape}); expected at least one sample")
    return array


def _floats(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(floats).all():
        bad = tuple(int(i[0]) for i in np.nonzero(~np.isfinite(floats)))
        raise TaskError(f"{name}: {array[bad]} at index {bad}; expected finite numbers within float32's range")
    return floats


def _inputs(name: str, data: ArrayLike) -> NDArray[Any]:
    array = _array(name, data)
    ids = array.dtype.kind in "ui" and array.dtype.itemsize > 1
    return np.ascontiguousarray(array, dtype=np.int64) if ids else _floats(name, array)


def _targets(name: str, data: ArrayLike) -> NDArray[Any]:
    array = _array(name, data)
    if array.dtype.kind == "f":
        return _floats(name, array)
    if array.ndim != 1:
        raise TaskError(f"{name}: shape {array.shape}; expected one class number per sample")
    if array.min() < 0 or array.max() > _MOST_CLASSES:
        bad = array.min() if array.min() < 0 else array.max()
        raise TaskError(f"{name}: a class of {bad}; expected class numbers from 0 to {_MOST_CLASSES:,}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _check_pair(x_name: str, x: NDArray[Any], y_name: str, y: NDArray[Any]) -> None:
    if len(x) != len(y):
        raise TaskError(f"{y_name}: {len(y)} targets for the {len(x)} samples of {x_name}; expected one for each")


def _split(x: NDArray[Any], y: NDArray[Any]) -> list[NDArray[Any]]:
    """Set a quarter aside for testing: stratified where every class has at least two samples, always the same one."""
    from sklearn.model_selection import train_test_split

    if len(x) < 4:
        raise TaskError(f"x: {len(x)} samples; expected at least 4 to set a quarter aside, or x_test and y_test")
    counts = np.unique(y, return_counts=True)[1] if y.dtype.kind == "i" else np.zeros(1)
    stratify = y if counts.min() >= 2 and len(counts) <= len(x) // 4 else None
    return list(train_test_split(x, y, test_size=0.25, random_state=0, stratify=stratify))
