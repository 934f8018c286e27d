from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

import leaky.torch
from leaky.torch import LeakyReLU, SlopeSchedule, slopes
from leaky.torch.slopes import KeepsSlopes, warmed

# Their own, where TorchDynamo is imported.
deprecated = pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")


class Calls(KeepsSlopes):
    """A module with calls that were converted, as the code made for them looks."""

    def __init__(self, *own: float) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.leaky_slopes = list(own)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        for slope in self.leaky_slopes:
            result = warmed(x, slope, inplace=False) if self.leaky_warming else None
            if result is None:
                result = F.relu(x) if slope == 0 else leaky.torch.leaky_relu(x, slope)
            x = result
        return x


def net(*own: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(module for each in own for module in (nn.Linear(4, 4), each)))


def run(schedule: SlopeSchedule, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(schedule.slope)
        schedule.step()
    return found


def test_the_slopes_on_the_way() -> None:
    model = net(LeakyReLU(0.3), nn.LeakyReLU(0.2), Calls(0.1, 0.0), nn.PReLU(init=0.7), nn.ReLU())
    schedule = SlopeSchedule(model, to=0.4, steps=4, warmup=2)
    learned = model[7].weight.clone()
    for expected in (0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.4):
        assert schedule.slope == pytest.approx(expected)
        assert slopes(model) == {"1": schedule.slope, "3": schedule.slope, "5": [schedule.slope] * 2}
        schedule.step()
    assert schedule.slope == 0.4
    assert schedule.finished
    assert torch.equal(model[7].weight, learned)


def test_cosine_begins_and_ends_gently() -> None:
    found = run(SlopeSchedule(net(LeakyReLU()), 0.2, steps=8, start=0.1, shape="cosine"), 9)
    assert found == pytest.approx([0.1 + 0.1 * (1 - math.cos(math.pi * t / 8)) / 2 for t in range(9)])
    assert found[0] == 0.1
    assert found[-1] == 0.2


def test_slopes_can_be_lowered_too() -> None:
    assert run(SlopeSchedule(net(LeakyReLU()), to=0, steps=2, start=0.2), 4) == [0.2, 0.1, 0, 0]


def test_at_first_it_is_the_old_network_bit_for_bit() -> None:
    model, old = net(LeakyReLU(0.3), Calls(0.3)), net(nn.ReLU(), Calls(0.0))
    old.load_state_dict(dict(model.state_dict()))
    x = torch.randn(50, 4)
    assert not torch.equal(model(x), old(x))
    SlopeSchedule(model, steps=3, warmup=5)
    assert torch.equal(model(x), old(x))


def test_after_the_end_slopes_are_left_alone() -> None:
    model = net(LeakyReLU())
    schedule = SlopeSchedule(model, to=0.1, steps=1)
    run(schedule, 1)
    model[1].negative_slope = 0.7
    run(schedule, 3)
    assert slopes(model) == {"1": 0.7}
    schedule.step(0)
    assert slopes(model) == {"1": 0.0}


def test_a_training_that_is_resumed() -> None:
    first, second = net(LeakyReLU()), net(LeakyReLU())
    one = SlopeSchedule(first, to=0.3, steps=5, warmup=1, shape="cosine")
    run(one, 3)
    state = copy.deepcopy(one.state_dict())
    assert state == {"to": 0.3, "start": 0.0, "steps": 5, "warmup": 1, "shape": "cosine", "done": 3}
    other = SlopeSchedule(second, to=0.9, steps=2)
    other.load_state_dict({**state, "unknown": 3})
    assert slopes(second) == slopes(first)
    assert run(other, 5) == run(one, 5)
    assert not hasattr(other, "unknown")


def test_steps_are_counted_by_others_too() -> None:
    schedule = SlopeSchedule(net(LeakyReLU()), to=1, steps=10)
    schedule.step(7)
    assert schedule.slope == pytest.approx(0.7)
    with pytest.raises(ValueError, match=r"^done: -1; expected a whole number of at least 0"):
        schedule.step(-1)


def test_it_prints() -> None:
    schedule = SlopeSchedule(net(LeakyReLU()), steps=10, warmup=2)
    run(schedule, 7)
    assert (
        repr(schedule) == "<leaky.torch.SlopeSchedule: slope 0.05 after 7 steps; from 0 to 0.1 in 10 after 2, linear>"
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "model: int; expected a torch.nn.Module"),
        ({"model": nn.ReLU()}, ValueError, "model: has no Leaky ReLU; expected a network that leaky.convert has made"),
        ({"steps": 0}, ValueError, "steps: 0; expected a whole number of at least 1"),
        ({"steps": 2.5}, ValueError, "steps: 2.5; expected a whole number of at least 1"),
        ({"warmup": -1}, ValueError, "warmup: -1; expected a whole number of at least 0"),
        ({"warmup": True}, ValueError, "warmup: True; expected a whole number of at least 0"),
        ({"to": math.nan}, ValueError, "negative_slope must be a real number, got NaN"),
        ({"start": "0"}, TypeError, "negative_slope must be a real number, got"),
        ({"shape": "square"}, ValueError, "shape: 'square'; expected linear or cosine"),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        SlopeSchedule(**{"model": LeakyReLU(), "steps": 3, **change})
    with pytest.raises(TypeError, match="steps"):
        SlopeSchedule(LeakyReLU())  # type: ignore[call-arg]


def compilations(model: nn.Module, backend: str, steps: int, call: Callable[[nn.Module], None]) -> int:
    """Return how often a model is compiled while a schedule runs from before its beginning to beyond its end."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    compiled: Any = torch.compile(model, backend=backend, fullgraph=True)
    schedule = SlopeSchedule(compiled, to=0.4, steps=steps, warmup=3)
    for _ in range(steps + 6):
        call(compiled)
        schedule.step()
    return int(counters["stats"]["unique_graphs"])


@deprecated
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_model_is_compiled_three_times(backend: str) -> None:
    """For the first slope, for those on the way, and for the last."""
    model = net(LeakyReLU(), nn.LeakyReLU(), LeakyReLU(inplace=True), Calls(0.0, 0.0), Calls(0.0))
    x = torch.randn(16, 4)

    def call(compiled: nn.Module) -> None:
        gradients = []
        outputs = []
        for each in (compiled, model):
            model.zero_grad()
            outputs.append(each(x))
            outputs[-1].square().sum().backward()
            gradients.append([p.grad for p in model.parameters()])
        torch.testing.assert_close(*outputs)
        torch.testing.assert_close(*gradients)

    assert compilations(model, backend, 12, call) == 3


@deprecated
def test_without_it_a_model_is_compiled_for_each_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaky.torch.warmed", lambda *_: None)
    with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
        compilations(net(LeakyReLU()), "aot_eager", 12, lambda compiled: compiled(torch.randn(2, 4)))


@deprecated
def test_what_is_compiled_at_slope_0_is_relu() -> None:
    model = LeakyReLU()
    SlopeSchedule(model, steps=3)
    x = torch.tensor([-math.inf, -1.0, -0.0, 0.0, math.nan, 2.0])
    y = torch.compile(model, backend="aot_eager")(x)
    assert torch.equal(y.view(torch.int32), torch.relu(x).view(torch.int32))


def test_a_plain_module_computes_the_same_and_ones_own_stays() -> None:
    class Own(nn.LeakyReLU):
        pass

    model = net(nn.LeakyReLU(0.3, inplace=True), Own(0.3))
    SlopeSchedule(model, steps=2, start=0.2)
    assert [type(module) for module in model[1::2]] == [LeakyReLU, Own]
    assert model[1].inplace
    x = torch.randn(5, 4)
    assert torch.equal(model[1](x.clone()), F.leaky_relu(x, 0.2))


def test_in_distributed_data_parallel() -> None:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(net(LeakyReLU(), Calls(0.0)))
        schedule = SlopeSchedule(model, to=0.2, steps=2)
        for expected in (0.0, 0.1, 0.2):
            assert slopes(model) == {"1": expected, "3": [expected]}
            model(torch.randn(3, 4)).sum().backward()
            schedule.step()
    finally:
        distributed.destroy_process_group()


def test_it_is_gentler_on_a_trained_network() -> None:
    """The slope's first steps move the outputs less than the whole of it would."""
    model, old = net(LeakyReLU(), LeakyReLU()), net(nn.ReLU(), nn.ReLU())
    schedule = SlopeSchedule(model, to=0.3, steps=10)
    x = torch.randn(50, 4)
    moved = []
    for _ in range(11):
        moved.append((model(x) - old(x)).abs().mean().item())
        schedule.step()
    assert moved == sorted(moved)
    assert moved[0] == 0 < moved[1] < moved[-1] / 5
