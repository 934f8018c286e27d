"""What the experiments measure, where the answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import leaky
from leaky.claims import converting, dying, gradients, growth, kink, linearity, silence
from leaky.claims.experiment import _modules
from leaky.claims.means import geometric_mean
from leaky.claims.registry import EXPERIMENTS
from leaky.claims.sparsity import kept_bytes
from leaky.trials import Task, load_task


@pytest.mark.parametrize(
    ("function", "bytes_each"),
    [
        (functional.relu, 4),
        (functional.leaky_relu, 4),
        (torch.tanh, 4),
        (leaky.torch.leaky_relu, 1 / 8),
        (lambda x: x + 1, 0),
    ],
    ids=["relu", "PyTorch's leaky_relu", "tanh", "leaky's", "sum"],
)
def test_bytes_kept_for_backward(function: object, bytes_each: float) -> None:
    elements = 1 << 22
    assert kept_bytes(function, elements) == pytest.approx(bytes_each * elements, rel=0.01)  # type: ignore[arg-type]


def test_what_explodes_stays_infinite_in_the_mean_and_what_vanishes_does_not_end_it() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4)
    assert geometric_mean([1.0, float("inf")]) == float("inf")
    assert 0 < geometric_mean([1.0, 0.0]) < 1e-18


def test_a_measurement_is_known_by_all_modules_of_ours_that_make_it() -> None:
    assert {"leaky.claims.growth", "leaky.claims.means"} <= _modules("leaky.claims.growth", set())
    assert {"leaky.claims.adversaries", "leaky.claims.gan"} <= _modules("leaky.claims.adversaries", set())
    assert all(name.startswith("leaky.claims.") for name in _modules("leaky.claims.adversaries", set()))


def test_a_silenced_unit_by_plain_descent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dying, "_STEPS", 40)
    x, y = load_task("digits").tensors("train")
    plain, _, momentum, *_ = dying._SETTINGS
    assert dying._silenced(plain, "relu", 0, x, y) == (True, True, False)
    zero, unmoved, _ = dying._silenced(plain, "leaky_relu(0.01)", 0, x, y)
    assert (zero, unmoved) == (False, False)
    assert dying._silenced(momentum, "relu", 0, x, y)[:2] == (True, False)


def test_units_without_a_gradient_are_those_behind_a_zero() -> None:
    def model(activation: leaky.Activation) -> nn.Module:
        network = nn.Sequential(nn.Linear(3, 4), activation.module(), nn.Linear(4, 2))
        network[0].bias.data[1] = -1e6
        return network

    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).numpy()
    task = Task(model, x, (x[:, 0] > 0).astype(int), epochs=1, optimizer="sgd", learning_rate=1e-6)
    assert silence._gradients(task, "relu", 0) == (4, 1, 1)
    assert silence._gradients(task, "leaky_relu(0.01)", 0) == (4, 1, 0)


def test_gradients_and_derivatives() -> None:
    x, y = (part[:64] for part in load_task("digits").tensors("train"))
    first, last = gradients._gradients("sigmoid", "He", 10, 0, x, y)
    assert 0 < first / last < 1e-3
    assert gradients._derivatives("leaky_relu(0.2)") == [1.0] * len(gradients._INPUTS)
    assert gradients._derivatives("tanh")[0] == pytest.approx(1 - 0.76159416**2)


def test_growth_is_that_of_the_weights() -> None:
    he, large = (growth._sizes("relu", way, 0)[-1] for way in ("He", growth._TOO_LARGE))
    assert large / he == pytest.approx(2.0 ** (growth._DEPTH - 1), rel=1e-3)
    assert growth._exponent([1.0, 10.0, 100.0, 1e3, 1e4]) == pytest.approx(1.0)
    assert growth._exponent([0.9, 1.0, 1.0, 1.0, 1.0]) == 0.0


def test_the_smooth_twin_is_close_and_smooth() -> None:
    x = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    apart = kink._twin(x) - functional.leaky_relu(x, 0.01)
    assert apart.min() > -1e-12
    assert apart.max() == pytest.approx(0.99 * 0.693147 / 4, rel=1e-4)
    assert kink._rises([3.0, 2.0, 2.5, 1.0, 1.5]) == 0.5


def test_what_can_be_undone() -> None:
    assert linearity._error(1.0, 4) < 1e-5
    assert linearity._error(0.2, 1) < 1e-5
    assert linearity._error(0.01, 50) == 1.0
    # What is lost of half of the values is the spread of a half-normal distribution around its mean: √((1 − 2/π)/2).
    assert linearity._error(0.0, 1) == pytest.approx(0.4263, rel=0.03)


def test_rectifiers_are_counted_without_leaky() -> None:
    with converting._Relus() as count, torch.no_grad():
        x = torch.randn(3, 4)
        functional.relu(x)
        nn.ReLU()(x)
        x.relu()
        x.clamp(min=0)
        x.clamp(0, 6)
        x.clamp(min=1)
        functional.leaky_relu(x)
    assert count.count == 5


@pytest.mark.parametrize("name", ["S9", "S10"])
def test_the_same_twice(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's random numbers have no part in it, and stay as they were."""
    for module in (gradients, growth):
        monkeypatch.setattr(module, "_SEEDS", 1)
    monkeypatch.setattr(gradients, "_DEPTHS", (5, 20))
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        runs.append(leaky.claims.run([name], study=None).to_dict()["claims"])
        assert torch.equal(torch.get_rng_state(), state)
    assert runs[0] == runs[1]
    assert runs[0][0]["id"] == EXPERIMENTS[name].id
