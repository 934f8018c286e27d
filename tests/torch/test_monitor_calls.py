"""The monitor and the training that it looks at: neither disturbs the other, and nothing is left behind."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as calls
from torch.utils.checkpoint import checkpoint

from leaky.torch import Monitor


class Trained(nn.Module):
    """Some of all that draws random numbers, keeps statistics, recomputes and works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.3))
        self.again = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 8))
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.random = nn.RReLU()  # whose gradient under checkpointing is any
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x).flatten(2).mT
        x = checkpoint(self.again, x, use_reentrant=False)
        return self.head(self.random(F.relu(self.attention(x))).mean(1))


def trained(watching: Callable[[nn.Module], AbstractContextManager[object]], amp: bool = False) -> list[Tensor]:
    """Return the weights, buffers and random state after some steps of training."""
    torch.manual_seed(0)
    model, x, y = Trained(), torch.randn(24, 1, 5, 5), torch.arange(24) % 3
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    with watching(model) as monitor:
        for _ in range(2):
            for number, batch in enumerate(torch.arange(24).split(8)):
                with torch.autocast("cpu", torch.bfloat16, enabled=amp):
                    loss = F.cross_entropy(model(x[batch]).float(), y[batch])
                loss.backward()
                if number != 1:  # which adds up two batches
                    optimizer.step()
                    optimizer.zero_grad()
            if isinstance(monitor, Monitor):
                monitor.end_window()
    return [*(value.clone() for value in model.state_dict().values()), torch.get_rng_state()]


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("every", [1, 2])
def test_training_is_the_same_bit_for_bit(every: int, amp: bool) -> None:
    without, again = trained(nullcontext, amp), trained(nullcontext, amp)
    watched = trained(lambda model: Monitor(model, every=every), amp)
    assert all(torch.equal(a, b) for a, b in zip(without, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(without, watched, strict=True))


def test_what_is_recomputed_for_the_backward_pass_is_one_site() -> None:
    monitors: list[Monitor] = []

    def watching(model: nn.Module) -> Monitor:
        monitors.append(Monitor(model))
        return monitors[0]

    trained(watching)
    names = ["body.2", "again.1", "attention.relu()", "relu()", "random"]
    assert list(monitors[0].sites) == names
    assert monitors[0].history[0].seen == dict.fromkeys(names, 24)


def traces(model: nn.Module) -> list[object]:
    """Return whatever watching might leave behind."""
    return [
        [(name, list(m._forward_hooks), list(m._forward_pre_hooks)) for name, m in model.named_modules()],
        list(calls._global_forward_hooks),
        list(calls._global_forward_pre_hooks),
        torch._C._len_torch_dispatch_stack(),
        torch.backends.mha.get_fastpath_enabled(),
    ]


def test_nothing_watches_but_in_the_forward_passes_looked_at() -> None:
    class Asking(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            stacks.append(torch._C._len_torch_dispatch_stack())
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:
            stacks.append(torch._C._len_torch_dispatch_stack())
            return grad

    class Model(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return Asking.apply(super().forward(x).relu())

    stacks: list[int] = []
    model = Model(2, 2)
    with Monitor(model, every=2):
        within = traces(model)
        for _ in range(3):
            model(torch.ones(1, 2)).sum().backward()
            assert traces(model) == within
    assert stacks == [1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_errors_leave_nothing_behind(error: type[BaseException]) -> None:
    class Failing(nn.Module):
        fails = False

        def forward(self, x: Tensor) -> Tensor:
            if self.fails:
                raise error
            return x.relu()

    model = nn.Sequential(nn.Linear(1, 1), Failing(), nn.Linear(1, 1), nn.ReLU())
    before = traces(model)
    monitor = Monitor(model)

    def train() -> None:
        with monitor:
            model(torch.ones(1, 1))
            monitor.end_window()
            model[1].fails = True
            model(torch.ones(1, 1))

    with pytest.raises(error):
        train()
    assert traces(model) == before
    assert len(monitor.history) == 1
    # What was caught within the context is over by the end of the window.
    with monitor:
        with pytest.raises(error):
            model(torch.ones(1, 1))
        with pytest.raises(error):
            model(torch.ones(1, 1))
        model[1].fails = False
        monitor.end_window()
        model(torch.ones(5, 1))
        assert monitor.end_window().samples == 5
    assert traces(model) == before


def test_copies_of_the_model_are_not_watched_and_hold_no_monitor() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    with Monitor(model) as monitor:
        model(torch.ones(1, 1))
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            other(torch.ones(1, 1))
            assert all(
                hook._call is None for hook in [*other._forward_hooks.values(), *other._forward_pre_hooks.values()]
            )
        assert monitor.end_window().batches == 1


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("fresh_compiler")
def test_a_compiled_model_is_looked_at_uncompiled_and_else_left_compiled() -> None:
    compiled: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        def run(*args: object) -> object:
            compiled.append(1)
            return graph(*args)

        return run

    model = torch.compile(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), backend=backend, fullgraph=True)
    with Monitor(model, every=2) as monitor:
        for number in range(4):
            compiled.clear()
            model(torch.ones(2, 2)).sum().backward()
            assert bool(compiled) == (number % 2 == 1)
        window = monitor.end_window()
    assert (window.batches, window.seen) == (2, {"1": 4})


@pytest.mark.usefixtures("fresh_compiler")
def test_a_model_compiled_in_place_needs_to_be_told_its_batches() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    model.compile(backend="eager", fullgraph=True)
    with Monitor(model) as monitor:
        model(torch.ones(2, 2))
        with pytest.raises(RuntimeError, match=r"^model: it was not called in training mode in this window; expected"):
            monitor.end_window()
        with monitor.batch():
            model(torch.ones(2, 2)).sum().backward()
        assert monitor.end_window().seen == {"1": 2}


def test_a_model_whose_parts_are_called() -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
            self.decoder = nn.Linear(2, 3)

    model, x = Parts(), torch.randn(4, 3)
    monitor = Monitor(model, every=2)
    before = traces(model)
    for _ in range(3):
        with monitor.batch(x):
            model.decoder(model.encoder(x))
        assert traces(model) == before
    window = monitor.end_window()
    assert (window.batches, window.seen) == (2, {"encoder.1": 8})
    assert monitor.sites["encoder.1"].fed_by == "encoder.0"
