"""What is born dead: against published and simulated probabilities, and against networks whose fate is known."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leaky import checkup
from leaky.activation import Activation
from leaky.checkup.birth import AtBirth, Chance, at_birth, born_dead_bound
from leaky.checkup.birth.counting import _chance
from leaky.inputs import InputError

TWO_SIDED = torch.tensor([[-1.0], [1.0]])  # without biases, all that tells inputs apart is their sign


def chain(width: int, depth: int) -> Callable[[], nn.Module]:
    """Return the maker of a ReLU network of one input, without biases."""

    def make() -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in pairwise([1, *[width] * (depth - 1)]):
            layers += [nn.Linear(before, after, bias=False), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, 1, bias=False))

    return make


@pytest.mark.parametrize(
    ("width", "depth", "probability", "networks"),
    [(2, 3, 0.156, 1000), (2, 10, 0.880, 500), (3, 10, 0.577, 500), (4, 20, 0.625, 300), (5, 50, 0.753, 150)],
)
def test_probabilities_agree_with_simulation(width: int, depth: int, probability: float, networks: int) -> None:
    """Within four standard errors of what was simulated beforehand for networks as in Lu et al. (2019)."""
    found = at_birth(chain(width, depth), TWO_SIDED, networks=networks, slopes=[0.0])[0.0]
    error = (probability * (1 - probability) / networks) ** 0.5
    assert abs(found.network.value - probability) < 4 * error
    assert found.network.low < found.network.value < found.network.high
    assert found.network == found.layer  # a chain: nothing goes round a dead layer
    assert found.network.value < born_dead_bound(width, depth) + 4 * error


def test_the_bound_is_reached_on_one_ray() -> None:
    found = at_birth(chain(2, 6), torch.tensor([[1.0], [2.0]]), networks=600, slopes=[0.0])[0.0]
    bound = born_dead_bound(2, 6)
    assert abs(found.network.value - bound) < 4 * (bound * (1 - bound) / 600) ** 0.5


def test_with_a_slope_nothing_is_born_dead() -> None:
    found = at_birth(chain(2, 10), TWO_SIDED, networks=40)
    assert [birth.slope for birth in found.births] == [0.0, 0.01, 0.1, 0.2]
    assert found[0.0].network.value > 0.5
    for birth in found.births[1:]:
        for chance in (birth.unit, birth.layer, birth.network, *(layer.unit for layer in birth.layers)):
            assert (chance.value, chance.low) == (0, 0)
            assert chance.high == pytest.approx(1 - 0.025 ** (1 / 40))


@pytest.mark.parametrize(
    ("width", "depth", "bound"), [(2, 3, 1 - 0.75**2), (1, 2, 0.5), (5, 1, 0.0), (60, 100, 99 * 2**-60)]
)
def test_bound(width: int, depth: int, bound: float) -> None:
    assert born_dead_bound(width, depth) == pytest.approx(bound)


def test_drift_follows_he() -> None:
    """With the initialisation of He et al. (2015) ReLU keeps the mean square; a slope a multiplies it by 1 + a²."""

    def make() -> nn.Module:
        layers: list[nn.Module] = []
        for _ in range(4):
            layer = nn.Linear(128, 128, bias=False)
            nn.init.normal_(layer.weight, std=(2 / 128) ** 0.5)
            layers += [layer, nn.LeakyReLU(0.3)]
        return nn.Sequential(*layers)

    found = at_birth(make, lambda: torch.randn(32, 128), networks=40, slopes=[0.0, 0.2, 1.0])
    for birth in found.births:
        squares = [layer.mean_square for layer in birth.layers]
        assert squares[0] == pytest.approx(2, rel=0.05)
        for before, after in pairwise(squares):
            assert after / before == pytest.approx(1 + birth.slope**2, rel=0.05)
    first, *_, last = found[0.0].layers
    assert first.variance == pytest.approx(first.mean_square, rel=0.1)
    assert last.variance < 0.5 * last.mean_square  # what tells samples apart is lost to what they share


class Fated(nn.Module):
    """Units as dead as their bias has it; beside them a way round, if so wished."""

    def __init__(self, activation: nn.Module, bias: list[float], around: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.act, self.around = nn.Linear(2, 3), nn.Linear(3, 2), activation, around
        with torch.no_grad():
            self.first.bias.copy_(torch.tensor(bias))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.act(self.first(x)))
        return y + x if self.around else y


X = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)


def test_units_layers_and_networks_are_told_apart() -> None:
    some = at_birth(lambda: Fated(nn.ReLU(), [-9, 9, 9]), X, networks=20, slopes=[0.0])[0.0]
    assert (some.unit.value, some.layer.value, some.network.value) == (pytest.approx(1 / 3), 0, 0)
    assert (some.layers[0].name, some.layers[0].units) == ("act", 3)
    cut = at_birth(lambda: Fated(nn.ReLU(inplace=True), [-9] * 3), X, networks=20, slopes=[0.0])[0.0]
    assert (cut.unit.value, cut.layer.value, cut.network.value) == (1, 1, 1)
    around = at_birth(lambda: Fated(nn.ReLU(), [-9] * 3, around=True), X, networks=20, slopes=[0.0])[0.0]
    assert (around.unit.value, around.layer.value, around.network.value) == (1, 1, 0)


def test_a_factory_of_activations_is_given_each() -> None:
    given = []

    def make(activation: Activation) -> nn.Module:
        given.append(str(activation))
        return Fated(activation.module(), [-9, 9, 9])

    found = at_birth(make, X.double().numpy(), networks=2, slopes=[0, 0.1])
    assert given == ["relu", "leaky_relu(0.1)"] * 2
    assert found[0.0].unit.value == pytest.approx(1 / 3)
    assert found[0.1].unit.value == 0


class Function(nn.Module):
    """A rectifier that is written as a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("activation", "note"),
    [
        (nn.ReLU6(), "act (nn.ReLU6)"),
        (nn.Hardtanh(0, 2), "act (nn.Hardtanh)"),
        (nn.Threshold(1.0, 0.0), "act (nn.Threshold)"),
        (nn.PReLU(), "act (nn.PReLU)"),
        (Function(lambda x: x.clamp(min=0)), "act (clamp(min=0))"),
        (Function(lambda x: torch.where(x > 0, x, 0.3 * x)), "act (where(x > 0, x, slope * x))"),
        (Function(lambda x: F.threshold(x, 0, 0)), "act (threshold(0, 0))"),
        (nn.ReLU(), None),
        (nn.LeakyReLU(0.3), None),
        (nn.Tanh(), None),
        (Function(F.relu), None),
    ],
)
def test_rectifiers_that_do_not_take_the_slope_are_named(activation: nn.Module, note: str | None) -> None:
    found = at_birth(lambda: Fated(activation, [-9, 9, 9]), X, networks=2, slopes=[0.0, 0.2])
    expected = [] if note is None else [f"Not given these slopes, being no ReLU or LeakyReLU: {note}."]
    assert found.to_dict()["notes"] == list(found.notes) == expected
    assert (note is not None) == ("Not given these slopes" in repr(found))


def test_slopes_see_the_same_networks_and_inputs() -> None:
    seen: list[tuple[float, float]] = []

    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            seen.append((x.sum().item(), self.layer.weight.sum().item()))
            return torch.relu(self.layer(x))

    at_birth(Noting, lambda: torch.randn(3, 2), networks=2, slopes=[0.0, 0.1])
    assert seen[0] == seen[1] != seen[2] == seen[3]


def test_networks_run_as_training_will_run_them() -> None:
    """BatchNorm normalises by the batch, so that a bias before it kills nothing; dropout silences nothing."""

    def network() -> nn.Module:
        layer = nn.Linear(2, 8)
        nn.init.constant_(layer.bias, -9)
        return nn.Sequential(layer, nn.BatchNorm1d(8), nn.Dropout(0.99), nn.ReLU())

    assert at_birth(network, X, networks=3, slopes=[0.0])[0.0].unit.value == 0


def test_random_numbers_are_left_alone_and_seeds_count() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    one, same, other = (at_birth(chain(2, 4), TWO_SIDED, networks=20, seed=seed) for seed in (0, 0, 100))
    assert one == same != other
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


def test_intervals_cover_as_they_should() -> None:
    # Clopper and Pearson's, of 3 in 10
    assert _chance([True] * 3 + [False] * 7) == Chance(
        0.3, pytest.approx(0.06674, abs=1e-5), pytest.approx(0.65245, abs=1e-5)
    )
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):  # shares of 16 units, whose probability differs from network to network
        chance = _chance((generator.binomial(16, generator.beta(2, 8, 50)) / 16).tolist())
        covered += chance.low <= 0.2 <= chance.high
        assert chance.high - chance.low < 0.15
    assert covered / 400 > 0.92  # 95 %, less three standard errors


def test_repr_and_progress() -> None:
    told: list[tuple[int, int]] = []
    found = at_birth(chain(2, 3), TWO_SIDED, networks=2, slopes=[0.0], progress=lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]
    assert isinstance(found, AtBirth)
    assert repr(found).startswith("<leaky.AtBirth: 2 networks, 2 inputs each")
    with pytest.raises(KeyError):
        found[0.5]


def test_json_has_no_infinity() -> None:
    def huge() -> nn.Module:
        layer = nn.Linear(1, 4)
        nn.init.constant_(layer.weight, 1e38)
        return nn.Sequential(layer, nn.ReLU(), nn.Linear(4, 4), nn.ReLU())

    found = at_birth(huge, 10 * TWO_SIDED, networks=1)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (document["networks"], document["samples"]) == (1, 2)
    first = document["births"][0]
    assert first["unit"] == asdict(found[0.0].unit)
    assert first["layers"][0]["variance"] is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"networks": 0}, "networks: 0; expected a whole number of at least 1"),
        ({"slopes": []}, "slopes: none; expected at least one"),
        ({"inputs": np.empty((0, 1))}, r"inputs: shape \(0, 1\); expected at least one sample"),
        ({"inputs": np.array(3)}, r"inputs: shape \(\); expected at least one sample"),
        ({"inputs": ["a"]}, "inputs: no numbers: TypeError: can't convert np.ndarray of type numpy.str_"),
        (
            {"inputs": lambda: 1 / 0},
            r"inputs: they cannot be had: ZeroDivisionError: .* \(test_birth.py, line \d+\)",
        ),
        ({"inputs": np.ones((3, 2))}, "factory: its network failed: RuntimeError: mat1 and mat2 shapes cannot be"),
        ({"factory": lambda: 1 / 0}, r"factory: it failed: ZeroDivisionError: .* \(test_birth.py, line \d+\)"),
        ({"factory": lambda: 3}, "factory: it failed: AttributeError: 'int' object has no attribute 'train'"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=f"^{text}") as caught:
        at_birth(**{"factory": chain(2, 3), "inputs": TWO_SIDED, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"networks": "5"}, "networks: '5'; expected a whole number of at least 1"),
        ({"networks": True}, "networks: True; expected a whole number of at least 1"),
        ({"slopes": 0.1}, "slopes: 0.1; expected a list of numbers"),
        ({"slopes": "0.1"}, "slopes: '0.1'; expected a list of numbers"),
        ({"slopes": [0.1, None]}, "slopes: None is among them; expected real numbers"),
        ({"factory": 5}, "factory: 5; expected a function that makes a network"),
    ],
)
def test_arguments_of_wrong_types(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(TypeError, match=f"^{text}$"):
        at_birth(**{"factory": chain(2, 3), "inputs": TWO_SIDED, **arguments})


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float16, ">f8"])
def test_arrays_become_what_the_network_takes(dtype: str | type) -> None:
    x = np.random.default_rng(0).integers(2, size=(30, 2)).astype(dtype)
    found = at_birth(lambda: Fated(nn.ReLU(), [-9, 9, 9]).double(), x, networks=2, slopes=[0.0])[0.0]
    assert found.unit.value == pytest.approx(1 / 3)
    tokens = x.astype(np.int16)
    assert (
        at_birth(lambda: nn.Sequential(nn.Embedding(2, 3), nn.Linear(3, 4), nn.ReLU()), tokens, networks=2).samples
        == 30
    )


def test_bad_bound() -> None:
    with pytest.raises(ValueError, match=r"^width: 0; expected a whole number of at least 1$"):
        born_dead_bound(0, 3)
    with pytest.raises(TypeError, match=r"^width: '2'; expected a whole number of at least 1$"):
        born_dead_bound("2", 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^depth: 1.5; expected a whole number of at least 1$"):
        born_dead_bound(2, 1.5)  # type: ignore[arg-type]


def test_it_is_public() -> None:
    assert (checkup.at_birth, checkup.AtBirth, checkup.born_dead_bound) == (at_birth, AtBirth, born_dead_bound)
    assert {"at_birth", "AtBirth", "born_dead_bound"} <= set(checkup.__all__)
    with pytest.raises(AttributeError, match="no attribute 'at_death'"):
        checkup.at_death  # noqa: B018


def test_a_factory_with_a_seed_of_its_own_is_told() -> None:
    def same() -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(2, 4), nn.ReLU())

    with pytest.raises(ValueError, match=r"^factory: it made the same weights twice; expected new"):
        at_birth(same, torch.randn(8, 2), networks=2)
    assert at_birth(same, torch.randn(8, 2), networks=1).networks == 1
