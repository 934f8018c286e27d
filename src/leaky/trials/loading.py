"""From what a user names, a built-in task or code of theirs, to the task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cloudpickle

from leaky.inputs.loading import LoadingError
from leaky.inputs.loading.code import is_code, named
from leaky.trials.builtin import BUILTIN
from leaky.trials.task import DEFAULT_NAME, Task, TaskError
from leaky.user_code import in_one_line
from leaky.wording import shown

#: a task, or its name: a built-in one, or ``file.py:name`` or ``package.module:name``
TaskSource = Task | str


def load_task(source: TaskSource, epochs: int | None = None) -> Task:
    """Return the task that a name stands for: built in, or ``mine.py:task``, which runs that file.

    It needs no trust, unlike what a check is given: the name of a task can mean nothing but code to be run.

    Args:
        source: the name, or a task, which is returned as it is.
        epochs: instead of the task's own number.

    Raises:
        TaskError: there is no such task, or the code fails.
        TypeError: it is neither a task nor a name.
    """
    if not isinstance(source, Task | str):
        raise TypeError(f"task: {shown(source)}; expected a leaky.Task, or a name such as digits or mine.py:task")
    task = source if isinstance(source, Task) else BUILTIN[source]() if source in BUILTIN else _from_code(source)
    return task if epochs is None else replace(task, epochs=epochs)


def _from_code(source: str) -> Task:
    spec = f"{source}:task" if source.endswith(".py") else source
    if not is_code(spec):
        raise TaskError(
            f"task: {source!r} is unknown; expected {', '.join(BUILTIN)}, or a file of yours as mine.py:task"
        )
    try:
        what, thing, module = named("task", spec, trust=True)
    except LoadingError as error:
        if isinstance(error.__cause__, TaskError):  # what a task itself complains of is clearest as it is
            raise error.__cause__ from None
        raise TaskError(str(error)) from error
    # Other processes get what it defines by value: run there, it might differ.
    cloudpickle.register_pickle_by_value(module)
    task = thing
    if callable(task) and not isinstance(task, Task):
        task = in_one_line(f"{what} failed", task, TaskError)
    if not isinstance(task, Task):
        raise TaskError(f"{what} is {thing!r}; expected a leaky.Task or a function that makes one")
    return task if task.name != DEFAULT_NAME else replace(task, name=_stem(spec)[:100])


def _stem(spec: str) -> str:
    where = spec.rpartition(":")[0]
    return Path(where).stem if where.endswith(".py") else where.rpartition(".")[2]
