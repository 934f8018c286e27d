"""Several watchers at a time: each sees what it is to see, and the last leaves the process as the first has found it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leaky.torch import Monitor
from leaky.torch.watch import Watch, watch

Switched = Callable[[], dict[str, Any]]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU())


def test_two_monitors_of_one_model(switched: Switched) -> None:
    model = network()
    with Monitor(model) as every, Monitor(model, every=2) as second:
        for _ in range(3):
            model(torch.randn(5, 3)).sum().backward()
            assert not switched()
        windows = [monitor.end_window() for monitor in (every, second)]
    assert [(window.batches, window.seen) for window in windows] == [(3, {"1": 15}), (2, {"1": 10})]


def test_monitors_of_one_model_may_end_in_the_order_in_which_they_began() -> None:
    model = network()
    first, second = Monitor(model), Monitor(model)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    model(torch.randn(5, 3))
    second.__exit__(None, None, None)
    model(torch.randn(5, 3))
    assert second.end_window().seen == {"1": 5}
    with pytest.raises(RuntimeError):
        first.end_window()
    assert "_compiled_call_impl" not in vars(model)


def test_a_pass_that_runs_within_another_threads_is_not_looked_at_but_those_after_it_are() -> None:
    class Waiting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) == 1:
                began.set()
                assert goes.wait(60)
            return super().forward(x).relu()

    began, goes, model = threading.Event(), threading.Event(), Waiting(3, 4)
    with Monitor(model) as monitor:
        thread = threading.Thread(target=model, args=(torch.randn(1, 3),))
        thread.start()
        assert began.wait(60)
        model(torch.randn(5, 3))
        goes.set()
        thread.join()
        monitor.end_window()
        for _ in range(2):
            model(torch.randn(5, 3))
        window = monitor.end_window()
    assert (window.batches, window.seen) == (2, {"relu()": 10})


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_they_may_end_in_any_order(order: tuple[int, ...], switched: Switched) -> None:
    model = network()
    watchers = [Watch(model) for _ in range(3)]
    contexts = [each.watching() for each in watchers]
    for context in contexts:
        context.__enter__()
    within = switched()
    assert len(within.pop("hooks")) == 6
    assert within == {"stance": "force_eager", "fast path": False, "modes": 3, "in a mode": True}
    model(torch.randn(5, 3))
    for number in order:
        contexts[number].__exit__(None, None, None)
    assert not switched()
    assert [each.sites["1"][1].samples for each in watchers] == [5, 5, 5]


def test_what_began_later_ends_with_what_began_before() -> None:
    """For a mode that ends takes the latest off the stack, whichever that is."""
    model = network()
    first, second = Watch(model), Watch(model)
    contexts = first.watching(), second.watching()
    for context in contexts:
        context.__enter__()
    contexts[0].__exit__(None, None, None)
    model(torch.randn(5, 3))
    contexts[1].__exit__(None, None, None)
    assert not first.sites
    assert not second.sites


def test_threads_that_end_in_the_order_in_which_they_began(switched: Switched) -> None:
    began, goes = threading.Event(), threading.Event()

    def other() -> None:
        with watch(network()):
            began.set()
            goes.wait(60)

    thread = threading.Thread(target=other)
    with watch(network()):
        thread.start()
        assert began.wait(60)
    while_the_other_watches = switched()
    goes.set()
    thread.join()
    assert (while_the_other_watches["stance"], while_the_other_watches["fast path"]) == ("force_eager", False)
    # PyTorch's own word for the mode is not each thread's, and a mode that ends puts back what it has found.
    assert switched().keys() <= {"in a mode"}
