from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from leaky import Activation, Task
from leaky.trials import BUILTIN, Epoch, Trial, initialise, run_trial
from leaky.trials.measure import Probe, measure

RELU = Activation("relu")


def numbers(trial: Trial) -> dict[str, Any]:
    """All of a trial but its timing, which cannot repeat."""
    return asdict(replace(trial, seconds_per_step=0.0))


def measured(task: Task, model: nn.Module, probe: Probe | None = None) -> Epoch:
    return measure(task, model, probe or Probe(model), task.tensors("train"), task.tensors("test"))


def test_a_trial_repeats_exactly_and_another_seed_differs(make_task: Callable[..., Task]) -> None:
    first, second, other = (run_trial(make_task(), RELU, seed) for seed in (5, 5, 6))
    assert numbers(first) == numbers(second)
    assert first.epochs != other.epochs


@pytest.mark.parametrize("offset", [1, 4, 5])
def test_a_trial_does_not_depend_on_where_the_data_lie_in_memory(offset: int, make_task: Callable[..., Task]) -> None:
    # Matrix products round differently at another alignment, and NumPy aligns to 16 bytes only.
    def at(start: int) -> np.ndarray:
        buffer = np.zeros(2 * x.size + 16, np.float32)
        start += -buffer.ctypes.data % 64 // 4
        view = buffer[start : start + x.size].reshape(x.shape)
        view[...] = x
        return view

    x = np.random.default_rng(0).normal(size=(123, 4))
    y = np.arange(123) % 3
    first, second = (run_trial(make_task(x=at(o), y=y, x_test=at(o), y_test=y), RELU, 0) for o in (0, offset))
    assert numbers(first) == numbers(second)


def test_a_trial_depends_on_no_global_state_and_leaves_it(make_task: Callable[..., Task]) -> None:
    task = make_task()
    torch.manual_seed(1)
    torch.set_num_threads(2)
    first = run_trial(task, RELU, 0)
    state = torch.get_rng_state()
    torch.rand(3)
    torch.set_num_threads(1)
    assert numbers(run_trial(task, RELU, 0)) == numbers(first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_thread_count_is_put_back_even_when_training_fails(make_task: Callable[..., Task]) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no forward")

    torch.set_num_threads(2)
    with pytest.raises(RuntimeError, match="no forward"):
        run_trial(make_task(model=lambda a: Broken()), RELU, 0)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_all_arms_of_a_seed_share_the_initial_draw_and_the_batches(make_task: Callable[..., Task]) -> None:
    seen: dict[str, list[Any]] = {}

    class Recording(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                log.append(x.clone())
            return super().forward(x)

    def model(activation: Activation) -> nn.Module:
        network = Recording(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))
        log.append(network[0].weight.detach().clone())
        return network

    for text in ("relu", "rrelu", "prelu", "tanh"):  # rrelu draws random slopes while it trains
        log: list[torch.Tensor] = []
        run_trial(make_task(model=model), Activation.parse(text), 3)
        seen[text] = log
    for log in seen.values():
        assert all(torch.equal(a, b) for a, b in zip(seen["relu"], log, strict=True))


def test_dead_units_zeros_and_largest_by_hand(make_task: Callable[..., Task]) -> None:
    linear = nn.Linear(2, 3, bias=True)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        linear.bias.copy_(torch.tensor([0.0, 0.0, -100.0]))
    model = nn.Sequential(linear, RELU.module(), nn.Linear(3, 2))
    # Unit 0 fires on one sample; unit 1 only ever reaches exactly 0; unit 2 is far below.
    x = np.array([[-1.0, -1.0], [5.0, 0.0], [-2.0, -3.0]])
    task = make_task(model=lambda a: model, x=x, y=[0, 1, 0], x_test=x, y_test=[0, 1, 0])
    probe = Probe(model)
    epoch = measured(task, model, probe)
    assert epoch.dead == (2,)
    assert epoch.zeros == (8 / 9,)
    assert epoch.largest == (5.0,)
    assert list(probe.sites) == ["1"]
    assert list(probe.layers) == ["0", "2"]


def test_a_dead_unit_is_dead_over_the_whole_set_not_a_chunk(
    monkeypatch: pytest.MonkeyPatch, make_task: Callable[..., Task]
) -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), RELU.module(), nn.Linear(1, 2))
    nn.init.ones_(model[0].weight)
    x = -np.ones((9, 1))
    x[8] = 1  # fires on the very last sample alone
    task = make_task(model=lambda a: model, x=x, y=[0, 1] * 4 + [0], x_test=x, y_test=[0, 1] * 4 + [0])
    monkeypatch.setattr("leaky.trials.measure._CHUNK", 2)
    assert measured(task, model).dead == (0,)
    x[8] = -1
    dead = make_task(model=lambda a: model, x=x, y=[0, 1] * 4 + [0], x_test=x, y_test=[0, 1] * 4 + [0])
    assert measured(dead, model).dead == (1,)


def test_measured_gradient_and_loss_are_those_of_the_whole_set(
    monkeypatch: pytest.MonkeyPatch, make_task: Callable[..., Task]
) -> None:
    task = make_task()
    torch.manual_seed(0)
    model = task.model(RELU)
    x, y = task.tensors("train")
    loss = task.loss(model(x), y)
    loss.backward()
    expected = [model[i].weight.grad.norm().item() for i in (0, 2, 4)]
    monkeypatch.setattr("leaky.trials.measure._CHUNK", 7)
    epoch = measured(task, model)
    assert epoch.train_loss == pytest.approx(loss.item(), rel=1e-5)
    assert epoch.gradient == pytest.approx(expected, rel=1e-4)
    assert epoch.gradient_ratio == pytest.approx(expected[0] / expected[2], rel=1e-4)
    assert model[0].weight.grad is None


def test_measuring_leaves_flags_hooks_and_statistics(make_task: Callable[..., Task]) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), RELU.module(), nn.Dropout(), nn.Linear(8, 3))
    model.train()
    model[1].eval()  # a frozen BatchNorm
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measured(make_task(), model)
    assert [m.training for m in model.modules()] == [True, True, False, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("layers", "shape", "units"),
    [
        (lambda act: [nn.Conv1d(1, 6, 3), act], (1, 10), 6),
        (lambda act: [nn.Conv1d(1, 6, 3), nn.BatchNorm1d(6), act], (1, 10), 6),
        (lambda act: [nn.Linear(10, 5), act], (4, 10), 5),  # (batch, time, features): units on the last axis
        (lambda act: [nn.Linear(10, 5), nn.LayerNorm(5), act], (4, 10), 5),
    ],
)
def test_the_axis_of_units(layers: Any, shape: tuple[int, ...], units: int, make_task: Callable[..., Task]) -> None:
    def model(activation: Activation) -> nn.Module:
        return nn.Sequential(*layers(activation.module()), nn.Flatten(), nn.LazyLinear(2))

    x = np.random.default_rng(0).normal(size=(12, *shape))
    trial = run_trial(make_task(model=model, x=x, y=np.arange(12) % 2, epochs=1), RELU, 0)
    assert trial.units == (units,)


class Scaled(nn.Module):
    """A block that owns a parameter besides its layers, as residual blocks with a learned scale do."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.inner = nn.Conv1d(1, 4, 3)
        self.scale = nn.Parameter(torch.ones(4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * self.scale


def test_a_block_with_a_parameter_of_its_own_does_not_turn_the_axis(make_task: Callable[..., Task]) -> None:
    def model(activation: Activation) -> nn.Module:
        return nn.Sequential(Scaled(activation), activation.module(), nn.Flatten(), nn.Linear(4 * 8, 2))

    x = np.random.default_rng(0).normal(size=(12, 1, 10))
    assert run_trial(make_task(model=model, x=x, y=np.arange(12) % 2, epochs=1), RELU, 0).units == (4,)


def test_a_unit_whose_axis_was_dropped_is_one_unit(make_task: Callable[..., Task]) -> None:
    class Single(nn.Module):
        def __init__(self, activation: Activation) -> None:
            super().__init__()
            self.a, self.act, self.b = nn.Linear(4, 1), activation.module(), nn.Linear(1, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.act(self.a(x).squeeze(-1))[:, None])

    assert run_trial(make_task(model=Single, epochs=1), RELU, 0).units == (1,)


def test_weights_that_are_parametrised_and_those_of_attention_are_layers(make_task: Callable[..., Task]) -> None:
    class Attending(nn.Module):
        def __init__(self, activation: Activation) -> None:
            super().__init__()
            self.first = nn.utils.parametrizations.weight_norm(nn.Linear(1, 8))
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.act, self.last = activation.module(), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.first(x[..., None])
            return self.last(self.act(self.attention(h, h, h)[0]).mean(1))

    trial = run_trial(make_task(model=Attending, epochs=1), RELU, 0)
    assert trial.layers == ("first", "attention", "last")
    assert all(norm > 0 for norm in trial.epochs[0].gradient)
    assert trial.units == (8,)


def test_nan_in_an_activation_is_seen(make_task: Callable[..., Task]) -> None:
    probe = Probe(model := nn.Sequential(nn.Linear(4, 8), RELU.module(), nn.Linear(8, 3)))
    with torch.no_grad():
        model[0].bias[3] = torch.nan
    assert measured(make_task(), model, probe).largest == (None,)


def test_a_module_called_twice_is_two_sites(make_task: Callable[..., Task]) -> None:
    class Twice(nn.Module):
        def __init__(self, activation: Activation) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(6, 3)
            self.act = activation.module()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(self.act(self.b(self.act(self.a(x)))))

    trial = run_trial(make_task(model=Twice, epochs=1), RELU, 0)
    assert (trial.sites, trial.units) == (("act", "act[1]"), (8, 6))


def test_a_trial_that_explodes_is_diverged_and_has_no_score(make_task: Callable[..., Task]) -> None:
    trial = run_trial(make_task(optimizer="sgd", learning_rate=1e20), RELU, 0)
    assert trial.diverged == 1
    assert trial.score is None
    assert len(trial.epochs) == 1
    assert all(math.isfinite(v) for v in trial.epochs[0].gradient)


def test_a_remainder_of_one_sample_does_not_stop_batchnorm(make_task: Callable[..., Task]) -> None:
    def model(activation: Activation) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), activation.module(), nn.Linear(8, 3))

    task = make_task(model=model, batch_size=89)  # 90 training samples
    assert run_trial(task, RELU, 0).score is not None


def test_frozen_weights_are_no_divergence(make_task: Callable[..., Task]) -> None:
    def model(activation: Activation) -> nn.Module:
        network = nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))
        network[0].weight.requires_grad_(False)
        return network

    trial = run_trial(make_task(model=model), RELU, 0)
    assert trial.score is not None
    assert trial.epochs[-1].gradient[0] == 0


def test_it_learns_and_leaves_chance_behind(make_task: Callable[..., Task]) -> None:
    trial = run_trial(make_task(epochs=30, learning_rate=0.01), RELU, 0)
    assert trial.epochs[-1].test_score > 0.7 > trial.epochs[0].test_score


def test_json_round_trip(make_task: Callable[..., Task]) -> None:
    import json

    trial = run_trial(make_task(), RELU, 0)
    assert Trial.from_dict(json.loads(json.dumps(trial.to_dict(), allow_nan=False))) == trial


def test_initialise_keeps_the_signal_at_depth() -> None:
    # He's point: with the right gain the mean square does not drift over 30 layers.
    for text in ("relu", "leaky_relu(0.2)", "rrelu", "elu"):
        activation = Activation.parse(text)
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for _ in range(30):
            layers += [nn.Linear(400, 400), activation.module()]
        network = nn.Sequential(*layers, nn.Linear(400, 400))
        initialise(network, activation.gain)
        with torch.no_grad():
            y = network(torch.randn(64, 400))
        assert 0.3 < y.square().mean().item() < 3, text


@pytest.mark.parametrize("name", BUILTIN)
def test_builtin_tasks_train(name: str) -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    task = replace(BUILTIN[name](), epochs=1)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    trial = run_trial(task, Activation.parse("leaky_relu(0.1)"), 0)
    assert trial.score is not None
    assert task.name == name


def test_only_the_arms_own_activations_are_sites_and_each_call_of_them_is_one(make_task: Callable[..., Task]) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)
            self.act = RELU.module()
            self.other = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.first(x))  # the same for every arm, as is self.other
            x = checkpoint(self.act, x, use_reentrant=False)  # which runs again in the backward pass
            return self.act(self.last(self.other(x)))

    model = Mixed()
    probe = Probe(model)
    for _ in range(2):
        measured(make_task(), model, probe)
        assert {name: evidence.units for name, (evidence, _) in probe.sites.items()} == {"act": 8, "act[1]": 3}
        assert {evidence.samples for evidence, _ in probe.sites.values()} == {90}
        assert list(probe.layers) == ["first", "last"]
