"""The monitor and the training that it looks at: neither disturbs the other, and nothing is left behind."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
import torch._dynamo
import torch.nn.functional as F
from torch import Tensor, nn
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


Switched = Callable[[], dict[str, Any]]


def traces(model: nn.Module) -> list[object]:
    """Return whatever watching might leave on a model."""
    return [
        (name, sorted(vars(module)), [list(value) for key, value in vars(module).items() if key.endswith("_hooks")])
        for name, module in model.named_modules()
    ]


class OneLayer(nn.Linear):
    """A network of the user's own, not PyTorch's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


def test_nothing_watches_but_in_the_forward_passes_looked_at(switched: Switched) -> None:
    class Asking(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            stacks.append(torch._C._len_torch_dispatch_stack())
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:
            stacks.append(torch._C._len_torch_dispatch_stack())
            return grad

    class Model(OneLayer):
        def forward(self, x: Tensor) -> Tensor:
            return Asking.apply(super().forward(x))

    stacks: list[int] = []
    model = Model(2, 2)
    with Monitor(model, every=2):
        within = traces(model)
        for _ in range(3):
            model(torch.ones(1, 2)).sum().backward()
            assert traces(model) == within
            assert not switched()
    assert stacks == [1, 0, 0, 0, 1, 0]


class Failing(nn.Module):
    """Fails where it is told to: in a module's forward, behind the first of two sites."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.error = nn.Linear(1, 1), None

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.layer(x))
        if self.error is not None:
            raise self.error
        return F.leaky_relu(self.layer(x))


ERRORS = pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])


@ERRORS
def test_errors_leave_nothing_behind(error: type[BaseException], switched: Switched) -> None:
    model = nn.Sequential(nn.Linear(1, 1), Failing())
    before = traces(model)
    model[1].error = error
    with pytest.raises(error), Monitor(model):
        model(torch.ones(1, 1))
    assert not switched()
    assert traces(model) == before


@ERRORS
def test_a_pass_that_fails_is_over_for_who_catches_the_error(error: type[BaseException], switched: Switched) -> None:
    model = nn.Sequential(Failing())
    with Monitor(model) as monitor:
        model(torch.ones(5, 1))
        first = monitor.end_window()
        model[0].error = error
        for _ in range(2):
            with pytest.raises(error):
                model(torch.ones(5, 1))
            assert not switched()
        model[0].error = None
        model.eval()
        model(torch.ones(1000, 1))
        model.train()
        model(torch.ones(5, 1))
        second = monitor.end_window()
    assert first.seen == {"0.relu()": 5, "0.leaky_relu()": 5}
    assert second.seen == {"0.relu()": 15, "0.leaky_relu()": 5}
    assert second.batches == 3


class Greedy(nn.Sequential):
    """Gives all its attributes away, which ``nn.Module`` does not."""

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self))


def reread(model: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize(
    ("kind", "copied"),
    [
        *((nn.Sequential, copied) for copied in (copy.copy, copy.deepcopy, reread)),
        *((Greedy, copied) for copied in (copy.deepcopy, reread)),
    ],
)
def test_copies_of_the_model_are_not_watched_and_hold_no_monitor(
    kind: type[nn.Sequential], copied: Callable[[nn.Module], nn.Module]
) -> None:
    model = kind(nn.Linear(1, 1), nn.ReLU())
    with Monitor(model) as monitor:
        model(torch.ones(1, 1))
        other = copied(model)
        other(torch.ones(1, 1))
        assert other._compiled_call_impl is None
        assert monitor.end_window().batches == 1


def test_replicas_that_share_the_models_attributes_run_for_themselves() -> None:
    """As DataParallel makes them, one for each device."""
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    with Monitor(model) as monitor:
        replica = model._replicate_for_data_parallel()
        replica._modules = {"0": nn.ReLU()}
        assert torch.equal(replica(torch.ones(3, 1)), torch.ones(3, 1))
        with pytest.raises(RuntimeError, match=r"^model: it was not called in training mode"):
            monitor.end_window()


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def compiled() -> list[int]:
    """Return a list with an item for each compiled run."""
    return []


@pytest.fixture
def backend(compiled: list[int]) -> Callable[..., Any]:
    """Return one for ``torch.compile`` that notes when it runs."""

    def noting(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        def run(*args: object) -> object:
            compiled.append(1)
            return graph(*args)

        return run

    return noting


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("in_place", [False, True])
def test_a_compiled_model_is_looked_at_uncompiled_and_else_left_compiled(
    in_place: bool, backend: Callable[..., Any], compiled: list[int]
) -> None:
    model = OneLayer(2, 3)
    if in_place:
        model.compile(backend=backend, fullgraph=True)
    else:
        model = torch.compile(model, backend=backend, fullgraph=True)
    before = vars(model).get("_compiled_call_impl")
    with Monitor(model, every=2) as monitor:
        for number in range(4):
            compiled.clear()
            model(torch.ones(2, 2)).sum().backward()
            assert bool(compiled) == (number % 2 == 1)
        window = monitor.end_window()
    assert (window.batches, window.seen) == (2, {"relu()": 4})
    assert vars(model).get("_compiled_call_impl") is before


@pytest.mark.usefixtures("fresh_compiler")
def test_a_model_compiled_in_place_while_it_is_monitored_needs_to_be_told_its_batches() -> None:
    model = OneLayer(2, 3)
    with Monitor(model) as monitor:
        model.compile(backend="eager", fullgraph=True)
        model(torch.ones(2, 2))
        with pytest.raises(RuntimeError, match=r"^model: it was not called in training mode in this window; expected"):
            monitor.end_window()
        with monitor.batch():
            model(torch.ones(2, 2)).sum().backward()
        assert monitor.end_window().seen == {"relu()": 2}
    model(torch.ones(2, 2))


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("limit", [1, 8])
def test_what_is_compiled_around_the_model_is_left_compiled(
    limit: int, backend: Callable[..., Any], compiled: list[int]
) -> None:
    """Though nothing is seen then. Beyond the limit functions run as they are written, between what is compiled."""
    model = OneLayer(2, 2)
    step = torch.compile(lambda x: model(x).sum(), backend=backend, fullgraph=True)
    whole = torch.compile(model, backend=backend, dynamic=False)
    with Monitor(model) as monitor, torch._dynamo.config.patch(recompile_limit=limit):
        step(torch.ones(2, 2)).backward()
        assert compiled
        for count in range(1, 4):
            whole(torch.ones(count, 2)).sum().backward()
        with pytest.raises(RuntimeError, match=r"^model: it was not called in training mode"):
            monitor.end_window()


def test_a_model_that_calls_itself() -> None:
    class Twice(OneLayer):
        def forward(self, x: Tensor, again: bool = True) -> Tensor:
            return self(super().forward(x), again=False) if again else super().forward(x)

    model = Twice(2, 2)
    with Monitor(model, every=2) as monitor:
        for _ in range(4):
            model(torch.ones(3, 2))
        window = monitor.end_window()
    assert (window.batches, window.seen) == (2, {"relu()": 6, "relu()[1]": 6})


def test_a_model_whose_parts_are_called(switched: Switched) -> None:
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
        assert not switched()
    window = monitor.end_window()
    assert (window.batches, window.seen) == (2, {"encoder.1": 8})
    assert monitor.sites["encoder.1"].fed_by == "encoder.0"
