"""From what a user names, a task or a file of theirs, to a task that is known to train."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from leaky.activation import Activation
from leaky.trials.builtin import BUILTIN
from leaky.trials.environment import environment
from leaky.trials.measure import Probe
from leaky.trials.task import Task, TaskError, one_line
from leaky.trials.training import one_thread

_T = TypeVar("_T")

#: a task, or its name: a built-in one, or ``file.py:attribute``
TaskSource = Task | str


def load_task(source: TaskSource, epochs: int | None = None) -> Task:
    """Return the task that a name stands for: built in, or ``mine.py:task``, which runs that file.

    Args:
        source: the name, or a task, which is returned as it is.
        epochs: instead of the task's own number.

    Raises:
        TaskError: there is no such task, or the file fails.
    """
    task = source if isinstance(source, Task) else BUILTIN[source]() if source in BUILTIN else _from_file(source)
    return task if epochs is None else replace(task, epochs=epochs)


def _from_file(source: str) -> Task:
    path, _, attribute = source.rpartition(":") if ".py:" in source else (source, "", "task")
    if not path.endswith(".py"):
        raise TaskError(
            f"task: {source!r} is unknown; expected {', '.join(BUILTIN)}, or a file of yours as mine.py:task"
        )
    if not Path(path).is_file():
        raise TaskError(f"task: the file {path!r} is not there")
    task = getattr(_run_file(Path(path)), attribute, None)
    if callable(task) and not isinstance(task, Task):
        task = _in_one_line(f"task: {attribute}() of {path!r} failed", task)
    if not isinstance(task, Task):
        raise TaskError(
            f"task: {path!r} has {task!r} as {attribute!r}; expected a leaky.Task or a function that makes one"
        )
    return task


def _run_file(path: Path) -> object:
    """Run a user's file as a module, with its folder importable as it is for a script."""
    spec = importlib.util.spec_from_file_location(f"leaky_task_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    _in_one_line(f"task: {str(path)!r} failed", partial(spec.loader.exec_module, module))
    return module


def _in_one_line(what: str, call: Callable[[], _T]) -> _T:
    """Call a user's code; an exception in it becomes a TaskError that says in one line what and where."""
    try:
        return call()
    except TaskError:
        raise
    except Exception as error:
        raise TaskError(f"{what}: {one_line(error)}{_where(error)}") from error


def _where(error: Exception) -> str:
    """Return the line of the user's own code, not of a library that it called, at which an exception was raised."""
    libraries = (str(Path(__file__).parents[1]), "site-packages", "<frozen")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(part in f.filename for part in libraries)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def fingerprint(task: Task, activations: list[Activation]) -> str:
    """Try every arm once, and return a text that is equal only where the same seeds give the same numbers.

    It covers the data, the recipe, the network and its initial draw, and the environment;
    it does not cover which arms were asked for.

    Raises:
        TaskError: the network cannot be built, run or trained for one of the activations, or it ignores them.
    """
    parts = hashlib.sha256(task.digest())
    parts.update(repr(environment()).encode())
    with one_thread(), torch.random.fork_rng(devices=[]):
        for activation in activations:
            _in_one_line(f"task: the network with {activation} failed", partial(_try, task, activation))
        torch.manual_seed(0)
        model = task.model(Activation("relu"))
        parts.update(f"{model}{task.make_optimizer(model)}".encode())
        for name, value in model.state_dict().items():
            parts.update(name.encode() + value.numpy(force=True).tobytes())
        x, _ = task.tensors("train")
        with torch.no_grad():
            parts.update(model.eval()(x[:8]).numpy(force=True).tobytes())
    return parts.hexdigest()[:16]


def _try(task: Task, activation: Activation) -> None:
    """Run one batch through the network as training will, so that mistakes show before the first trial."""
    model = task.model(activation)
    if not isinstance(model, torch.nn.Module):
        raise TaskError(f"task: the model factory returned {type(model).__name__}; expected a torch.nn.Module")
    task.make_optimizer(model)
    x, y = (part[: max(2, min(task.batch_size, 32))] for part in task.tensors("train"))
    output = model(x)
    if task.classifies:
        classes = 1 + max(int(task.tensors(part)[1].max()) for part in ("train", "test"))
        if output.ndim != 2 or output.shape[1] < classes:
            raise TaskError(
                f"task: the network's output has shape {tuple(output.shape)} for {len(x)} samples; "
                f"expected ({len(x)}, {classes}) or wider, as the targets have classes 0 … {classes - 1}"
            )
    elif output.shape != y.shape and output.shape != (*y.shape, 1):
        raise TaskError(
            f"task: the network's output has shape {tuple(output.shape)}; expected {tuple(y.shape)} as the targets"
        )
    torch.autograd.backward(task.loss(output, y))
    probe = Probe(model)
    with probe.watching():
        model(x)
    if not probe.sites:
        raise TaskError("task: the network uses no activation.module(), so every arm would be the same network")
