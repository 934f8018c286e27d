from __future__ import annotations

import sys
from pathlib import Path

import cloudpickle
import pytest

from leaky.trials import TaskError, load_task

MINE = """
import numpy as np
from torch import nn

import leaky


def model(activation):
    return nn.Sequential(nn.Linear(2, 8), activation.module(), nn.Linear(8, 2))


x = np.random.default_rng(0).normal(size=(40, 2))
task = leaky.Task(model, x, (x[:, 0] > 0).astype(int), name="mine")
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_a_file_of_ones_own(mine: Path) -> None:
    assert load_task(f"{mine}:task").name == load_task(str(mine)).name == "mine"


def test_an_edited_file_is_read_anew(mine: Path) -> None:
    load_task(f"{mine}:task")
    mine.write_text(MINE.replace('"mine"', '"edited"'))
    assert load_task(f"{mine}:task").name == "edited"


def test_a_function_that_makes_the_task(mine: Path) -> None:
    mine.write_text(MINE + "\ndef make():\n    return task\n")
    assert load_task(f"{mine}:make").name == "mine"


def test_epochs_can_be_changed() -> None:
    assert load_task("digits", 3).epochs == 3
    with pytest.raises(TaskError, match="epochs: 0; expected"):
        load_task("digits", 0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "digit",
            "task: 'digit' is unknown; expected digits, digits-shallow, mnist1d, mnist, deep, or a file of yours as mine.py:task",
        ),
        ("none.py:task", "task: 'none.py' is not there; expected a Python file"),
        ("none.py", "task: 'none.py' is not there; expected a Python file"),
        ("none.such:x", "task: the module 'none.such' cannot be imported: ModuleNotFoundError: No module named 'none'"),
    ],
)
def test_names_that_stand_for_nothing(source: str, message: str) -> None:
    with pytest.raises(TaskError) as error:
        load_task(source)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task = 3", "mine.py' is 3; expected a leaky.Task or a function that makes one"),
        ("", "defines no 'task'; expected one of its names"),
        ("import math\ndef other(): pass\n_own = 1\nlast = 2", "expected one of its names, such as other and last"),
        ("x = 1\nnot a python", "failed: SyntaxError: invalid syntax"),
        ("x = 1\nprint(undefined)", "failed: NameError: name 'undefined' is not defined (mine.py, line 2)"),
        ("def task():\n    return [][1]", "failed: IndexError: list index out of range (mine.py, line 2)"),
        (
            MINE.replace("(x[:, 0] > 0).astype(int)", "[1, 2]"),
            "y: 2 targets for the 40 samples of x; expected one for each",
        ),
    ],
)
def test_files_that_fail_say_where_in_one_line(mine: Path, text: str, message: str) -> None:
    mine.write_text(text)
    with pytest.raises(TaskError) as error:
        load_task(f"{mine}:task")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_without_a_name_has_that_of_its_file(mine: Path) -> None:
    mine.write_text(MINE.replace(', name="mine"', ""))
    renamed = mine.rename(mine.with_name("other.py"))
    assert load_task(str(renamed)).name == "other"


def test_a_module_on_the_path(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.write_text(MINE.replace(', name="mine"', ""))
    (mine.parent / "tasks_of_mine").mkdir()
    mine.rename(mine.parent / "tasks_of_mine" / "own.py")
    monkeypatch.syspath_prepend(mine.parent)
    task = load_task("tasks_of_mine.own:task")
    assert task.name == "own"
    pickled = cloudpickle.dumps(task)
    del sys.modules["tasks_of_mine.own"], sys.modules["tasks_of_mine"]
    (mine.parent / "tasks_of_mine" / "own.py").unlink()
    assert cloudpickle.loads(pickled).name == "own"


def test_what_the_task_itself_says_is_said_as_it_is(mine: Path) -> None:
    mine.write_text(MINE.replace("(x[:, 0] > 0).astype(int)", "[1, 2]"))
    with pytest.raises(TaskError, match=r"^y: 2 targets for the 40 samples of x; expected one for each"):
        load_task(str(mine))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "d.py").mkdir()
    with pytest.raises(TaskError, match=r"d\.py' is no file; expected a Python file"):
        load_task(str(tmp_path / "d.py"))
