"""From what a user names, a built-in task or a file of theirs, to the task."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import cloudpickle

from leaky.trials.builtin import BUILTIN
from leaky.trials.task import DEFAULT_NAME, Task, TaskError, one_line

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
        raise TaskError(
            f"task: {path!r} is {'no file' if Path(path).exists() else 'not there'}; expected a Python file"
        )
    module = _run_file(Path(path))
    if not hasattr(module, attribute):
        raise TaskError(f"task: {path!r} defines no {attribute!r}; expected a leaky.Task or a function that makes one")
    task = getattr(module, attribute)
    if callable(task) and not isinstance(task, Task):
        task = in_one_line(f"task: {attribute}() of {path!r} failed", task)
    if not isinstance(task, Task):
        raise TaskError(
            f"task: {path!r} has {task!r} as {attribute!r}; expected a leaky.Task or a function that makes one"
        )
    return task if task.name != DEFAULT_NAME else replace(task, name=Path(path).stem[:100])


def _run_file(path: Path) -> object:
    """Run a user's file as a module, with its folder importable as it is for a script."""
    spec = importlib.util.spec_from_file_location(f"leaky_task_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    # Other processes get what the file defines by value: run there again, it might give other data.
    cloudpickle.register_pickle_by_value(module)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    in_one_line(f"task: {str(path)!r} failed", partial(spec.loader.exec_module, module))
    return module


def in_one_line(what: str, call: Callable[[], _T]) -> _T:
    """Call a user's code; an exception in it becomes a TaskError that says in one line what and where."""
    try:
        return call()
    except TaskError:
        raise
    except (Exception, SystemExit) as error:
        raise TaskError(f"{what}: {one_line(error)}{_where(error)}") from error


def _where(error: BaseException) -> str:
    """Return the line of the user's own code, not of a library that it called, at which an exception was raised."""
    libraries = (str(Path(__file__).parents[1]), "site-packages", "<frozen")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(part in f.filename for part in libraries)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
