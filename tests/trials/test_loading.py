from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leaky import Activation, Task
from leaky.trials import TaskError, fingerprint, load_task

MINE = """
import numpy as np
from torch import nn

import leaky


def model(activation):
    return nn.Sequential(nn.Linear(2, 8), activation.module(), nn.Linear(8, 2))


x = np.random.default_rng(0).normal(size=(40, 2))
task = leaky.Task(model, x, (x[:, 0] > 0).astype(int), name="mine")
"""
ARMS = [Activation("relu"), Activation("tanh")]


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
            "task: 'digit' is unknown; expected digits, digits-shallow, mnist1d, or a file of yours as mine.py:task",
        ),
        ("none.py:task", "task: the file 'none.py' is not there"),
        ("none.py", "task: the file 'none.py' is not there"),
    ],
)
def test_names_that_stand_for_nothing(source: str, message: str) -> None:
    with pytest.raises(TaskError) as error:
        load_task(source)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task = 3", "has 3 as 'task'; expected a leaky.Task or a function that makes one"),
        ("", "has None as 'task'; expected a leaky.Task or a function that makes one"),
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


def test_the_fingerprint_is_the_same_for_the_same_task(make_task: Callable[..., Task]) -> None:
    torch.manual_seed(1)
    first = fingerprint(make_task(), ARMS)
    torch.manual_seed(2)
    assert fingerprint(make_task(), ARMS[:1]) == first


@pytest.mark.parametrize(
    "changes",
    [
        {"x": np.random.default_rng(1).normal(size=(120, 4))},
        {"epochs": 4},
        {"batch_size": 16},
        {"learning_rate": 0.01},
        {"optimizer": "sgd"},
        {"model": lambda a: nn.Sequential(nn.Linear(4, 9), a.module(), nn.Linear(9, 3))},
        {
            "model": lambda a: nn.Sequential(
                nn.Linear(4, 8), a.module(), nn.Linear(8, 8), a.module(), nn.Linear(8, 3), nn.Identity()
            )
        },
    ],
)
def test_whatever_changes_the_numbers_changes_the_fingerprint(
    changes: dict[str, Any], make_task: Callable[..., Task]
) -> None:
    assert fingerprint(make_task(**changes), ARMS) != fingerprint(make_task(), ARMS)


class Doubled(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def test_the_same_layers_used_otherwise_change_the_fingerprint(make_task: Callable[..., Task]) -> None:
    def network(kind: type[nn.Sequential]) -> Callable[[Activation], nn.Module]:
        return lambda a: kind(nn.Linear(4, 8), a.module(), nn.Linear(8, 3))

    Doubled.__name__ = "Sequential"
    assert fingerprint(make_task(model=network(Doubled)), ARMS) != fingerprint(
        make_task(model=network(nn.Sequential)), ARMS
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda a: 3, "task: the model factory returned int; expected a torch.nn.Module"),
        (
            lambda a: nn.Linear(4, 3),
            "task: the network uses no activation.module(), so every arm would be the same network",
        ),
        (
            lambda a: nn.Sequential(nn.Linear(4, 2), a.module()),
            "task: the network's output has shape (32, 2) for 32 samples; expected (32, 3)",
        ),
        (
            lambda a: nn.Sequential(nn.Linear(5, 3), a.module()),
            "task: the network with relu failed: RuntimeError: mat1 and mat2 shapes",
        ),
    ],
)
def test_networks_that_cannot_be_compared(model: Any, message: str, make_task: Callable[..., Task]) -> None:
    with pytest.raises(TaskError) as error:
        fingerprint(make_task(model=model), ARMS)
    assert str(error.value).startswith(message)


def test_trying_the_network_leaves_random_state_and_threads(make_task: Callable[..., Task]) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    fingerprint(replace(make_task()), ARMS)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
