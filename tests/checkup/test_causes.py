from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from leaky.checkup import Check, Layer, Seen
from leaky.evidence import Evidence, batch_statistics

See = Callable[..., Seen]
Checked = Callable[..., Check]
Feeding = Callable[..., Layer]


def causes(check: Check) -> dict[str, tuple[int, ...]]:
    (finding,) = (f for f in check.findings if f.code in ("L001", "L003", "L004"))
    return {cause.name: cause.units for cause in finding.causes}


def network(
    rng: np.random.Generator, weight: np.ndarray, bias: np.ndarray, x: np.ndarray, see: See, feeding: Feeding
) -> Seen:
    """Return the site behind a linear layer that is fed x."""
    layer = feeding(bias=bias, norm=np.linalg.norm(weight, axis=1), by_input=weight)
    return see("relu", x @ weight.T + bias, layer=layer)


def inputs(x: np.ndarray) -> Evidence:
    evidence = Evidence(x.shape[1])
    evidence.add(batch_statistics(x, 1, (-np.inf, np.inf)))
    return evidence


def test_each_dead_unit_has_its_cause(rng: np.random.Generator, see: See, feeding: Feeding, checked: Checked) -> None:
    x = rng.normal(size=(500, 8)) + 6
    weight = rng.normal(size=(6, 8))
    weight -= weight.mean(axis=1, keepdims=True)  # the mean of the inputs adds nothing
    bias = np.zeros(6)
    bias[1] = -100
    weight[2] = 0
    bias[2] = -0.5
    weight[3] -= 1.5
    weight[4] = -np.abs(weight[4]) - 1
    x_positive = np.abs(x)
    check = checked(network(rng, weight, bias, x_positive, see, feeding), inputs=inputs(x_positive))
    assert causes(check) == {"zero weights": (2,), "bias too low": (1,), "inputs not normalised": (3, 4)}
    (finding,) = check.problems
    assert "unit 1: bias too low for the weights (−100): without it, it would have been active" in finding.cause
    assert "means up to" in finding.cause


def test_normalised_inputs_are_not_blamed(
    rng: np.random.Generator, see: See, feeding: Feeding, checked: Checked
) -> None:
    x = np.abs(rng.normal(size=(500, 8)))
    x[:, 1:] = 0.01 * rng.normal(size=(500, 7))
    weight = np.zeros((2, 8))
    weight[:, 0] = [-1, 1]
    check = checked(network(rng, weight, np.zeros(2), x - 0, see, feeding), inputs=None)
    assert causes(check) == {"weights": (0,)}


def test_nothing_reaches_it(see: See, feeding: Feeding, checked: Checked) -> None:
    before = see("first.relu", -np.ones((200, 4)) - np.arange(200)[:, None], layer=feeding(bias=[-1.0] * 4))
    after = see("second.relu", np.tile([0.5, -0.5], (200, 1)), layer=feeding(bias=[0.5, -0.5]))
    check = checked(before, after)
    (finding,) = (f for f in check.findings if f.code == "L003")
    assert finding.cause == (
        "nothing reaches it: its pre-activation is the same for every sample, all units of first.relu before it being dead"
    )


def test_a_single_sample_shows_no_constancy(see: See, feeding: Feeding, checked: Checked) -> None:
    check = checked(see("relu", [[1.0, -1.0]], layer=feeding(bias=[0.0, -0.1])))
    assert causes(check) == {"weights": (1,)}


def test_it_says_so_where_the_numbers_do_not_tell(
    rng: np.random.Generator, see: See, feeding: Feeding, checked: Checked
) -> None:
    x = np.stack([rng.normal(size=300), -2 + 0.4 * np.sin(np.arange(300))], axis=1)
    for layer in (None, feeding(bias=[0.0, -0.3 * 6])):
        (finding,) = checked(see("relu", x, layer=layer)).problems
        assert finding.cause == ("not told by these numbers" if layer is None else finding.cause)
    assert "bias too low" in finding.cause


@pytest.mark.parametrize(
    ("bias", "name"),
    [
        (-2.0, "bias too low"),
        (-1.7, "bias too low"),  # without it the largest would just be above 0
        (-1.5, "weights"),  # without it, it would still be below
        (1.0, "weights"),
    ],
)
def test_a_bias_is_blamed_only_if_it_decides(
    bias: float, name: str, see: See, feeding: Feeding, checked: Checked
) -> None:
    x = np.stack([np.sin(np.arange(300)), -2 + 0.4 * np.sin(np.arange(300))], axis=1)
    assert causes(checked(see("relu", x, layer=feeding(bias=[0.0, bias])))) == {name: (1,)}


def test_a_bias_is_not_blamed_for_what_is_mostly_of_the_weights(see: See, feeding: Feeding, checked: Checked) -> None:
    x = np.stack([np.sin(np.arange(300)), -10.1 + 10 * np.sin(np.arange(300))], axis=1)
    check = checked(see("relu", x, layer=feeding(bias=[0.0, -0.3])))
    assert check.problems[0].cause == "not told by these numbers"


def test_inputs_are_not_blamed_where_they_do_not_add_up(see: See, feeding: Feeding, checked: Checked) -> None:
    # The mean of the inputs, 6, times the weight would give −6, where −2 is seen: something lies between.
    layer = feeding(bias=[0.0, 0.0], by_input=np.array([[1.0], [-1.0]]))
    x = np.stack([np.sin(np.arange(300)), -2 + 0.4 * np.sin(np.arange(300))], axis=1)
    check = checked(see("relu", x, layer=layer), inputs=inputs(np.full((300, 1), 6.0) + 0.1))
    assert causes(check) == {"weights": (1,)}


def test_why_gradients_vanish(rng: np.random.Generator, see: See, feeding: Feeding, checked: Checked) -> None:
    x = rng.normal(size=(200, 4))

    def cause(kind: str, norm: float, *, dead: bool = False) -> str:
        layer = feeding(bias=np.zeros(4), norm=norm)
        sites = [
            see(f"s{i}", -1 - x**2 if dead and i == 1 else x, kind, layer=layer, gradient=10.0 ** (2 * i))
            for i in range(4)
        ]
        (finding,) = (f for f in checked(*sites, loss=True).findings if f.code == "L009")
        return finding.cause

    assert "flatten on both sides" in cause("tanh", 1.0)
    assert "weights too small for the depth before s0, s1, s2 and s3: a gain down to 0.354" in cause("relu", 0.5)
    assert cause("relu", 1.41) == "not told by these numbers"
    assert "no gradient gets through s1" in cause("relu", 0.5, dead=True)


def test_why_activations_grow(rng: np.random.Generator, see: See, feeding: Feeding, checked: Checked) -> None:
    x = rng.normal(size=(200, 4))
    layer = feeding(bias=np.zeros(4), norm=14.1)
    (finding,) = checked(*(see(f"s{i}", 10.0**i * x, layer=layer) for i in range(5))).findings
    assert "weights too large" in finding.cause
    assert "a gain up to 9.97" in finding.cause


def test_where_what_is_not_finite_comes_from(
    rng: np.random.Generator, see: See, feeding: Feeding, checked: Checked
) -> None:
    x = rng.normal(size=(200, 2))
    x[0] = np.nan
    site = see("relu", x, layer=feeding(bias=[0.0, np.nan]))
    assert "the inputs hold NaN" in checked(site, inputs=inputs(x)).findings[0].cause
    assert "weights or biases" in checked(site, inputs=inputs(x[1:])).findings[0].cause


@pytest.mark.parametrize(("bias", "name"), [(0.0, "normalisation does not fit"), (-2.5, "bias too low")])
def test_running_statistics_of_other_data(bias: float, name: str, see: See, feeding: Feeding, checked: Checked) -> None:
    x = np.stack([np.sin(np.arange(300)), -1.5 + 0.4 * np.sin(np.arange(300))], axis=1)
    layer = replace(feeding(bias=[0.0, bias]), kind="BatchNorm2d", inputs=1)
    assert causes(checked(see("relu", x, layer=layer))) == {name: (1,)}
