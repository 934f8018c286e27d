"""From what a user names, a built-in task or a file of theirs, to the task."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import cloudpickle

from leaky.trials.builtin import BUILTIN
from leaky.trials.task import DEFAULT_NAME, Task, TaskError
from leaky.user_code import in_one_line, run_file

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
        task = in_one_line(f"task: {attribute}() of {path!r} failed", task, TaskError)
    if not isinstance(task, Task):
        raise TaskError(
            f"task: {path!r} has {task!r} as {attribute!r}; expected a leaky.Task or a function that makes one"
        )
    return task if task.name != DEFAULT_NAME else replace(task, name=Path(path).stem[:100])


def _run_file(path: Path) -> object:
    """Run a user's file as a module; other processes get what it defines by value: run there, it might differ."""
    module = in_one_line(f"task: {str(path)!r} failed", partial(run_file, path), TaskError)
    cloudpickle.register_pickle_by_value(module)
    return module
