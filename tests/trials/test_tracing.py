from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from leaky.trials import tracing
from leaky.trials.tracing import Traced


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "AFTER", 2)


class Counting:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.calls, self._function = 0, function

    def __call__(self, *arguments: object) -> object:
        self.calls += 1
        return self._function(*arguments)


def test_what_has_been_traced_is_not_called_again() -> None:
    function = Counting(lambda x, others: (x.view(2, 3).expand(2, 3) * 1 * others["y"][0]).sum(1))
    traced = Traced(function, lambda: 0)
    for run in range(5):
        x, y = torch.randn(2, 3), torch.randn(3)
        assert torch.equal(traced(x, {"y": [y]}), (x * y).sum(1))
        assert function.calls == (1, 3, 3, 3, 3)[run]  # the third to write it down


def test_changes_in_place_happen_once_in_each_run() -> None:
    total = torch.zeros(3)
    traced = Traced(lambda x, total: total.add_(x) * 1, lambda: 0)
    for run in range(1, 6):
        assert torch.equal(traced(torch.ones(3), total), torch.full((3,), float(run)))


def test_each_shape_has_its_own_program() -> None:
    traced = Traced(lambda x: x * len(x), lambda: 0)
    for _ in range(4):
        for n in (1, 2, 3):
            assert torch.equal(traced(torch.ones(n)), torch.full((n,), float(n)))


def test_a_function_that_remembers_runs_is_left_as_it_is() -> None:
    runs = [0]

    def function(x: torch.Tensor) -> torch.Tensor:
        runs[0] += 1
        return x * runs[0]

    traced = Traced(function, lambda: runs[0])
    results = [traced(torch.ones(())).item() for _ in range(5)]
    assert results == [1, 2, 3, 4, 5]


def test_what_cannot_be_traced_is_left_as_it_is() -> None:
    traced = Traced(lambda x: x * x.sum().item(), lambda: 0)
    for run in range(5):
        assert traced(torch.tensor([run + 1.0])).item() == (run + 1) ** 2


def test_gradients_are_part_of_the_program() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad((x**3).sum(), x)[0]

    traced = Traced(function, lambda: 0)
    for _ in range(4):
        x = torch.randn(3, requires_grad=True)
        assert torch.equal(traced(x), function(x))
