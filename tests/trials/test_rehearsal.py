from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leaky import Activation, Task
from leaky.trials import TaskError, rehearse, run_trial

RELU = Activation("relu")


def test_the_fingerprint_is_the_same_for_the_same_task(make_task: Callable[..., Task]) -> None:
    torch.manual_seed(1)
    first = rehearse(make_task(), RELU)
    torch.manual_seed(2)
    assert rehearse(make_task(), RELU) == first


def test_addresses_in_memory_are_not_in_the_fingerprint(make_task: Callable[..., Task]) -> None:
    class Calling(nn.Module):
        def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
            super().__init__()
            self.function = function

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.function(x)

        def extra_repr(self) -> str:
            return repr(self.function)

    def task() -> Task:
        def double(x: torch.Tensor) -> torch.Tensor:
            return 2 * x

        kept.append(double)
        return make_task(model=lambda a: nn.Sequential(nn.Linear(4, 8), a.module(), nn.Linear(8, 3), Calling(double)))

    kept: list[object] = []
    assert rehearse(task(), RELU) == rehearse(task(), RELU)


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
def test_whatever_changes_the_numbers_changes_the_rehearse(
    changes: dict[str, Any], make_task: Callable[..., Task]
) -> None:
    assert rehearse(make_task(**changes), RELU) != rehearse(make_task(), RELU)


class Doubled(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def test_the_same_layers_used_otherwise_change_the_fingerprint(make_task: Callable[..., Task]) -> None:
    def network(kind: type[nn.Sequential]) -> Callable[[Activation], nn.Module]:
        return lambda a: kind(nn.Linear(4, 8), a.module(), nn.Linear(8, 3))

    Doubled.__name__ = "Sequential"
    assert rehearse(make_task(model=network(Doubled)), RELU) != rehearse(make_task(model=network(nn.Sequential)), RELU)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda a: 3, "task: the model factory returned int; expected a torch.nn.Module"),
        (
            lambda a: nn.Linear(4, 3),
            "task: the network ignores the activation; expected activation.module() where nn.ReLU() would stand",
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
        rehearse(make_task(model=model), RELU)
    assert str(error.value).startswith(message)


def test_rehearsing_leaves_random_state_and_threads(make_task: Callable[..., Task]) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    rehearse(make_task(), RELU)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def dropping(share: float) -> Callable[[Activation], nn.Module]:
    class Dropping(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(super().forward(x), share, self.training)

    return lambda a: Dropping(nn.Linear(4, 8), a.module(), nn.Linear(8, 3))


def test_what_happens_in_training_alone_is_in_the_fingerprint(make_task: Callable[..., Task]) -> None:
    marks = {rehearse(make_task(model=dropping(share)), RELU) for share in (0.1, 0.9)}
    assert len(marks) == 2


def test_a_loss_of_ones_own_is_in_the_fingerprint(make_task: Callable[..., Task]) -> None:
    class Weighted(Task):
        def loss(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return 3 * super().loss(output, y)

    task = make_task()
    weighted = Weighted(task.model, task.x, task.y, task.x_test, task.y_test, name="blobs", epochs=3)
    assert rehearse(weighted, RELU) != rehearse(task, RELU)


def test_an_initialisation_by_activation_is_in_that_arms_fingerprint(make_task: Callable[..., Task]) -> None:
    def initialised(gain: float) -> Callable[[Activation], nn.Module]:
        def model(activation: Activation) -> nn.Module:
            network = nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))
            if activation.name == "tanh":
                nn.init.xavier_normal_(network[0].weight, gain)
            return network

        return model

    first, second = (make_task(model=initialised(gain)) for gain in (1.0, 5.0))
    assert rehearse(first, RELU) == rehearse(second, RELU)
    assert rehearse(first, Activation("tanh")) != rehearse(second, Activation("tanh"))


def test_random_numbers_of_numpy_and_python_are_seeded(make_task: Callable[..., Task]) -> None:
    class Skipping(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            return y * 2 if self.training and random.random() < 0.5 else y

    def model(activation: Activation) -> nn.Module:
        network = Skipping(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))
        with torch.no_grad():
            network[0].weight.copy_(torch.from_numpy(np.random.randn(8, 4)))  # noqa: NPY002
        return network

    first, second = (run_trial(make_task(model=model), RELU, 1) for _ in range(2))
    assert first.epochs == second.epochs
    assert rehearse(make_task(model=model), RELU) == rehearse(make_task(model=model), RELU)


def test_a_network_with_random_numbers_of_its_own_is_refused(make_task: Callable[..., Task]) -> None:
    generator = torch.Generator()

    def model(activation: Activation) -> nn.Module:
        network = nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))
        nn.init.normal_(network[0].weight, generator=generator)
        return network

    with pytest.raises(TaskError, match="the model factory draws from random numbers of its own"):
        rehearse(make_task(model=model), RELU)


def test_a_factory_that_returns_the_same_network_again_is_refused(make_task: Callable[..., Task]) -> None:
    network = nn.Sequential(nn.Linear(4, 8), RELU.module(), nn.Linear(8, 3))
    with pytest.raises(TaskError, match="returned the same weights twice"):
        rehearse(make_task(model=lambda a: network), RELU)


def test_an_optimizer_that_cannot_step_is_found_before_the_first_trial(make_task: Callable[..., Task]) -> None:
    task = make_task(optimizer=lambda parameters: torch.optim.LBFGS(parameters))
    with pytest.raises(TaskError, match="the network with relu failed: TypeError"):
        rehearse(task, RELU)
