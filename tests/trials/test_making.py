"""Networks whose factory takes no activation: each arm is converted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import leaky
from leaky import Activation, Task
from leaky.trials import TaskError, rehearse, run_trial, suits
from leaky.trials.making import make, places


class Plain(nn.Module):
    """A network with a ReLU in a module and one in a call, where a unit is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 8)
        self.act = nn.ReLU()
        self.outer = nn.Linear(8, 8)
        self.gate = nn.LeakyReLU(0.2)
        self.last = nn.Linear(8, 3)
        with torch.no_grad():
            self.outer.bias[3] = -100

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.gate(nn.functional.relu(self.outer(self.act(self.inner(x))))))


def modules() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def taking(activation: Activation) -> nn.Module:
    """The same as ``modules``, with the activation handed over, and initial weights for its gain."""
    network = nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 8), activation.module(), nn.Linear(8, 3))
    with torch.no_grad():
        for layer in (network[0], network[2]):
            for parameter in layer.parameters():
                parameter.mul_(activation.gain / Activation("relu").gain)
    return network


@pytest.mark.parametrize("arm", ["relu", "leaky_relu(0.1)", "prelu(0.25)"])
def test_an_arm_is_what_it_is_where_the_activation_is_handed_over(arm: str, make_task: Callable[..., Task]) -> None:
    activation = Activation.parse(arm)
    converted, handed = (run_trial(make_task(model=model), activation, 3) for model in (modules, taking))
    assert converted.sites == handed.sites == ("1", "3")
    assert [epoch.dead for epoch in converted.epochs] == [epoch.dead for epoch in handed.epochs]
    for one, other in zip(converted.epochs, handed.epochs, strict=True):
        assert one.test_loss == pytest.approx(other.test_loss, rel=1e-4)
        assert one.gradient == pytest.approx(other.gradient, rel=1e-3)
    assert converted.slopes == pytest.approx(handed.slopes, rel=1e-4)
    assert len(converted.slopes) == (2 if activation.name == "prelu" else 0)


def test_calls_are_sites_too_and_other_activations_none(make_task: Callable[..., Task]) -> None:
    task = make_task(model=Plain)
    relu, arm = (run_trial(task, Activation.parse(text), 0) for text in ("relu", "leaky_relu(0.1)"))
    assert relu.sites == ("act", "relu()")
    assert len(arm.sites) == 2
    assert relu.units == arm.units == (8, 8)
    for trial in (relu, arm):
        assert trial.epochs[-1].dead[1] >= 1
        assert all(0 <= dead < 8 for epoch in trial.epochs for dead in epoch.dead)
    assert relu.epochs[0].zeros[1] > 0.1
    assert arm.epochs[0].zeros == (0.0, 0.0)
    assert relu.epochs[-1].test_score != arm.epochs[-1].test_score


def test_with_relu_the_network_is_as_it_is(make_task: Callable[..., Task]) -> None:
    made = make(make_task(model=Plain), Activation("relu"))
    assert type(made.model) is Plain
    assert type(made.model.act) is nn.ReLU


def test_seeds_are_the_same_numbers_again(make_task: Callable[..., Task]) -> None:
    task, arm = make_task(model=Plain), Activation.parse("leaky_relu(0.1)")
    assert rehearse(task, arm) == rehearse(task, arm)
    assert rehearse(task, arm) != rehearse(task, Activation("relu"))
    first, again = (run_trial(task, arm, 1).epochs for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("model", "arm", "message"),
    [
        (
            Plain,
            "sigmoid",
            "task: the model factory takes no activation, so its ReLUs are converted; sigmoid: expected",
        ),
        (Plain, "prelu(0.25)", "task: prelu(0.25) cannot stand at relu(): a call has no place for a slope"),
        (
            lambda: nn.Sequential(nn.Linear(4, 3)),
            "relu",
            "task: the network has no ReLU that can be converted; expected",
        ),
        (lambda: 3, "relu", "task: the model factory returned int; expected a torch.nn.Module"),
    ],
)
def test_arms_that_cannot_be_had(model: Any, arm: str, message: str, make_task: Callable[..., Task]) -> None:
    with pytest.raises(TaskError) as error:
        rehearse(make_task(model=model), Activation.parse(arm))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_comparison_without_the_arms_that_cannot_be_had(make_task: Callable[..., Task]) -> None:
    task = make_task(model=Plain, epochs=1)
    comparison = leaky.compare(task, seeds=2, jobs=2)
    assert comparison.activations == ("relu", "leaky_relu(0.01)", "leaky_relu(0.1)", "leaky_relu(0.2)")
    assert comparison.recipe["activations converted"] == "2, wherever the network says ReLU"
    assert all(np.isfinite(trial.epochs[-1].test_loss or np.nan) for trial in comparison.trials)
    assert [suits(task, Activation(name)) for name in ("relu", "prelu", "tanh")] == [True, False, False]


class Twice(nn.Module):
    """Two calls in one forward, and a Leaky ReLU of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.own, self.last = Calls(), nn.LeakyReLU(0.2), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.own(self.block(x)))


class Calls(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(4, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.outer(nn.functional.relu(self.inner(x))))


@pytest.mark.parametrize(
    ("model", "names", "expected"),
    [
        (taking, ["1", "3"], {"1": 0.1, "3": 0.7}),
        (modules, ["1", "3"], {"1": 0.1, "3": 0.7}),
        (Twice, ["block, call 1", "block, call 2"], {"block": [0.1, 0.7], "own": 0.2}),
    ],
)
def test_a_slope_for_each_site(
    model: Any, names: list[str], expected: dict[str, Any], make_task: Callable[..., Task]
) -> None:
    task, arm = make_task(model=model), Activation.parse("leaky_relu(0.1, 0.7)")
    assert places(task) == names
    torch.manual_seed(0)
    first = make(task, arm).model
    assert leaky.torch.slopes(first) == expected
    torch.manual_seed(0)
    typical = make(task, arm.typical).model  # whose slopes are not touched by the other's
    assert set(leaky.torch.slopes(typical)) == set(expected)
    assert leaky.torch.slopes(typical) != expected
    for one, other in zip(first.parameters(), typical.parameters(), strict=True):
        assert torch.equal(one, other)
    assert run_trial(task, arm, 0).score is not None
    assert (
        len({rehearse(task, Activation.parse(text)) for text in ("leaky_relu(0.1, 0.7)", "leaky_relu(0.7, 0.1)")}) == 2
    )


def test_as_many_slopes_as_sites(make_task: Callable[..., Task]) -> None:
    message = r"task: leaky_relu\(0.1, 0.2, 0.3\); the network has 2 sites, expected a slope for each"
    with pytest.raises(TaskError, match=message):
        make(make_task(model=taking), Activation.parse("leaky_relu(0.1, 0.2, 0.3)"))
