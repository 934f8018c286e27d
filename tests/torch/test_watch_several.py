"""Several watchers at a time: each sees what it is to see, and the last leaves the process as the first has found it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import nn
from torch.nn.modules import module as calls
from torch.utils import _python_dispatch as dispatch

from leaky.torch import Monitor
from leaky.torch.watch import Watch, watch


def switches() -> dict[str, Any]:
    """Return what watching switches in the whole process."""
    return {
        "stance": torch._dynamo.eval_frame._stance.stance,
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "modes": torch._C._len_torch_dispatch_stack(),
        "in a mode": dispatch.is_in_torch_dispatch_mode(),
        "hooks": [*calls._global_forward_hooks, *calls._global_forward_pre_hooks],
    }


AT_REST = {"stance": "default", "fast path": True, "modes": 0, "in a mode": False, "hooks": []}


@pytest.fixture(autouse=True)
def _at_rest() -> Iterator[None]:
    """Have each test begin with nothing switched, even after one that has left something behind."""
    assert switches() == AT_REST
    yield
    torch.compiler.set_stance("default")
    torch.backends.mha.set_fastpath_enabled(True)
    dispatch._is_in_torch_dispatch_mode = dispatch._is_in_non_infra_torch_dispatch_mode = False


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU())


def test_two_monitors_of_one_model() -> None:
    model = network()
    with Monitor(model) as every, Monitor(model, every=2) as second:
        for _ in range(3):
            model(torch.randn(5, 3)).sum().backward()
            assert switches() == AT_REST
        windows = [monitor.end_window() for monitor in (every, second)]
    assert [(window.batches, window.seen) for window in windows] == [(3, {"1": 15}), (2, {"1": 10})]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_they_may_end_in_any_order(order: tuple[int, ...]) -> None:
    model = network()
    watchers = [Watch(model) for _ in range(3)]
    contexts = [each.watching() for each in watchers]
    for context in contexts:
        context.__enter__()
    assert switches() | {"hooks": ...} == {
        "stance": "force_eager",
        "fast path": False,
        "modes": 3,
        "in a mode": True,
        "hooks": ...,
    }
    model(torch.randn(5, 3))
    for number in order:
        contexts[number].__exit__(None, None, None)
    assert switches() == AT_REST
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


def test_threads_that_end_in_the_order_in_which_they_began() -> None:
    began, goes = threading.Event(), threading.Event()

    def other() -> None:
        with watch(network()):
            began.set()
            goes.wait(60)

    thread = threading.Thread(target=other)
    with watch(network()):
        thread.start()
        assert began.wait(60)
    seen = switches()
    goes.set()
    thread.join()
    assert (seen["stance"], seen["fast path"]) == ("force_eager", False)  # for the other still watches
    after = switches()
    assert (after["stance"], after["fast path"]) == ("default", True)
