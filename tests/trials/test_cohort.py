from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leaky import Activation, Task
from leaky.trials import BUILTIN, Trial, initialise, run_cohort, run_trial, tracing
from leaky.trials.cohort import Member
from leaky.trials.parts import Unsuited

ARMS = [Activation.parse(text) for text in ("relu", "leaky_relu(0.3)", "prelu", "leaky_relu(-0.5)", "leaky_relu(2)")]
MEMBERS = [(arm, seed) for seed, arm in enumerate(ARMS)]


def numbers(trials: Iterable[Trial]) -> list[Trial]:
    """All of some trials but their timing, which cannot repeat."""
    return [replace(trial, seconds_per_step=0.0) for trial in trials]


def assert_same(task: Task, members: Sequence[Member] = MEMBERS, floor: Sequence[float] = ()) -> None:
    alone = numbers(run_trial(task, *member, floor) for member in members)
    assert numbers(run_cohort(task, members, floor)) == alone


def assert_same_but_for_rounding(task: Task) -> None:
    for one, other in zip(run_cohort(task, MEMBERS), (run_trial(task, *member) for member in MEMBERS), strict=True):
        bare = [replace(trial, epochs=(), seconds_per_step=0.0, slopes=()) for trial in (one, other)]
        assert bare[0] == bare[1]
        np.testing.assert_allclose(one.slopes, other.slopes, rtol=1e-4)
        for a, b in zip(one.epochs, other.epochs, strict=True):
            flat = [np.hstack([np.array(v, float) for v in astuple(epoch)]) for epoch in (a, b)]
            np.testing.assert_allclose(*flat, rtol=1e-4, atol=1e-6)


class Twice(nn.Module):
    """Calls its activation twice, shares a weight, has a unit that is dead, and one weight that is frozen."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 16), nn.Linear(16, 16), nn.Linear(16, 3, bias=False)
        self.again = nn.Linear(16, 16)
        self.again.weight = self.second.weight
        self.act = activation.module()
        self.again.bias.requires_grad_(False)
        with torch.no_grad():
            self.first.bias[2] = -100.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.again(self.act(self.second(self.act(self.first(x))))))


def in_its_own_way() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Tanh(), nn.Linear(16, 3))


def of_sequences(activation: Activation) -> nn.Module:
    sites = [nn.Linear(1, 16), activation.module(), nn.Linear(16, 16), activation.module()]
    return nn.Sequential(nn.Unflatten(1, (4, 1)), *sites, nn.Flatten(), nn.Linear(64, 3))


@pytest.mark.parametrize("network", [None, Twice, in_its_own_way, of_sequences])
def test_a_cohorts_numbers_are_those_of_single_trials(network: Any, make_task: Callable[..., Task]) -> None:
    task = make_task(model=network) if network else make_task()
    assert_same(task, MEMBERS if network is not in_its_own_way else [m for m in MEMBERS if m[0].name != "prelu"])


def test_so_are_those_of_batches_of_a_few_samples(make_task: Callable[..., Task]) -> None:
    x = np.random.default_rng(0).normal(size=(90, 4))
    net = lambda activation: nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))
    assert_same(make_task(model=net, x=x[:67], y=np.arange(67) % 3, x_test=x[67:], y_test=np.arange(23) % 3))


def test_so_are_those_of_the_default_task() -> None:
    assert_same(replace(BUILTIN["digits"](), epochs=1), MEMBERS[:3])


def normalised(activation: Activation) -> nn.Module:
    # No biases before the normalisation: it takes them out, and Adam trains them on what rounding leaves of their gradients.
    first, second = nn.Linear(4, 8, bias=False), nn.Linear(8, 8, bias=False)
    hidden = [first, nn.BatchNorm1d(8), activation.module(), second, nn.BatchNorm1d(8, affine=False)]
    return nn.Sequential(*hidden, activation.module(), nn.Linear(8, 3))


def convolutional(activation: Activation) -> nn.Module:
    net = nn.Sequential(
        nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 6, 3), activation.module(), nn.Flatten(), nn.Linear(12, 3)
    )
    initialise(net, activation.gain)
    return net


@pytest.mark.parametrize("network", [normalised, convolutional])
def test_where_sums_are_taken_in_another_order_they_differ_by_rounding(
    network: Any, make_task: Callable[..., Task]
) -> None:
    assert_same_but_for_rounding(make_task(model=network))


def test_dead_units_are_counted(make_task: Callable[..., Task]) -> None:
    trials = run_cohort(make_task(model=Twice), MEMBERS)
    assert all(trial.epochs[-1].dead[0] >= 1 for trial in trials)
    assert trials[0].sites == ("act", "act[1]")


def grouped(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    every = list(parameters)
    groups = [[p for p in every if p.ndim > 1], [p for p in every if p.ndim <= 1]]
    settings = [{"params": group, "weight_decay": decay} for group, decay in zip(groups, (0.5, 0.2), strict=True)]
    return torch.optim.AdamW(settings, lr=0.01)


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd",
        grouped,
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    ],
)
def test_optimisers_do_to_each_member_what_they_do_to_it_alone(optimizer: Any, make_task: Callable[..., Task]) -> None:
    assert_same(make_task(optimizer=optimizer))


def test_measurements_are_learnt_too(make_task: Callable[..., Task]) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4))
    net = lambda activation: nn.Sequential(nn.Linear(4, 16), activation.module(), nn.Linear(16, 1))
    assert_same(make_task(model=net, x=x, y=x.sum(1)))


def test_one_that_diverges_is_as_it_is_alone_and_does_not_touch_the_others(make_task: Callable[..., Task]) -> None:
    wild = Activation("leaky_relu", (-1e15,))
    task = make_task(optimizer="sgd", learning_rate=0.1)
    assert_same(task, [*MEMBERS[:2], (wild, 0)])
    assert all(trial.diverged == 1 for trial in run_cohort(task, [(wild, 0), (wild, 1)]))


def test_hopeless_ones_stop_by_themselves(make_task: Callable[..., Task]) -> None:
    task = make_task(epochs=4)
    scores = sorted(run_trial(task, *member).epochs[2].test_score or 0 for member in MEMBERS)
    floor = (0.0, 0.0, scores[2])
    assert_same(task, floor=floor)
    assert {trial.stopped for trial in run_cohort(task, MEMBERS, floor)} == {None, 2}
    assert {trial.stopped for trial in run_cohort(task, MEMBERS, (0.0, 2.0))} == {1}


def test_a_cohorts_numbers_do_not_depend_on_its_members_nor_on_tracing(
    make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(model=Twice, batch_size=16)
    every = numbers(run_cohort(task, MEMBERS))
    assert numbers(run_cohort(task, MEMBERS[3:0:-1])) == every[3:0:-1]
    programs: list[object] = []
    monkeypatch.setattr(tracing, "AFTER", 2)
    monkeypatch.setattr(tracing, "_shorten", programs.append)
    assert numbers(run_cohort(task, MEMBERS)) == every
    assert programs


class Cooling(nn.Module):
    """Divides its outputs by what grows from step to step, and keeps count in an object of its own."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.first, self.act, self.last = nn.Linear(4, 16), activation.module(), nn.Linear(16, 3)
        self.memory = {"steps": 0}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.memory["steps"] += self.training
        return self.last(self.act(self.first(x))) / (1 + 0.1 * self.memory["steps"])


def test_a_network_that_counts_its_steps_goes_on_counting(
    make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "AFTER", 2)
    assert_same(make_task(model=Cooling, batch_size=16))


def test_what_cannot_be_stacked_says_why(make_task: Callable[..., Task]) -> None:
    with pytest.raises(Unsuited, match="GELU is neither ReLU, Leaky ReLU nor PReLU"):
        run_cohort(make_task(), [(Activation("gelu"), 0), (Activation("relu"), 0)])


def test_the_callers_state_is_left(make_task: Callable[..., Task]) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    torch.set_num_threads(2)
    run_cohort(make_task(), MEMBERS[:2])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == 2
    assert torch.backends.mha.get_fastpath_enabled()
    torch.set_num_threads(1)


def test_a_step_is_shared_by_all_members(make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10_000))
    monkeypatch.setattr("leaky.trials.cohort.time.perf_counter", lambda: next(ticks))
    assert {trial.seconds_per_step for trial in run_cohort(make_task(), MEMBERS)} == {1 / len(MEMBERS)}
