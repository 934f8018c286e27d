"""Which trainings a search wants, and when it ends: on made-up scores, without training anything."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from leaky.activation import Activation
from leaky.trials import Epoch, Trial
from leaky.tuning.search import START, Round, Search

Score = Callable[[float, int], float | None]


def hill(slope: float, seed: int) -> float:
    noise = np.random.default_rng([seed, round(1e6 * slope)]).normal(0, 0.01)
    return float(0.8 + 0.1 * np.exp(-(((slope**0.5 - 0.7) / 0.2) ** 2)) + 0.01 * (seed % 3) + noise)


def trained(arm: Activation, seed: int, score: Score) -> Trial:
    value = score(arm.parameters[0], seed)
    epochs = tuple(Epoch(1.0, s, 1.0, s, (), (), (), ()) for s in (0.1, 0.3, 0.5, value))
    slopes = (0.5,) if arm.name == "prelu" else ()
    return Trial(str(arm), seed, 3 if value is None else None, epochs, (), (), (), 0.0, slopes=slopes)


def searched(
    score: Score, tolerance: float = 0.01, trials: int = 60, *, first_seed: int = 0, learns: bool = True
) -> tuple[Search, list[Round]]:
    search, finished, rounds = Search(3, tolerance, trials, first_seed, learns), {}, []
    while (wanted := search.advance(finished)) is not None:
        rounds.append(wanted)
        finished |= {(str(arm), seed): trained(arm, seed, score) for arm, seed in wanted.wanted}
    return search, rounds


def test_it_begins_with_what_is_known() -> None:
    first = searched(hill)[1][0].wanted
    assert first[0] == (Activation("prelu"), 0)
    assert {arm.parameters[0] for arm, _ in first[1:]} == set(START)


def test_a_network_that_prelu_does_not_suit_is_tuned_without_it() -> None:
    search, _ = searched(hill, learns=False)
    assert {arm for arm, _ in search.keys if not arm.startswith("leaky")} == set()
    assert search.curve is not None
    assert 0.3 < search.curve.best < 0.75


def test_another_first_seed_repeats_it_on_others() -> None:
    one, other = (searched(hill, first_seed=first)[0] for first in (0, 1000))
    assert {seed for _, seed in one.keys}.isdisjoint({seed for _, seed in other.keys})
    assert min(seed for _, seed in other.keys) == 1000
    assert other.curve is not None
    assert 0.3 < other.curve.best < 0.75


def test_it_finds_the_top() -> None:
    search, _ = searched(hill)
    assert search.curve is not None
    assert 0.3 < search.curve.best < 0.75
    assert search.curve.regret_bound <= 0.01
    assert len(search.keys) < 60
    assert len(set(search.keys)) == len(search.keys)
    assert ("leaky_relu(0.5)", 0) in search.keys  # what PReLU learned


def test_an_interrupted_search_goes_on_as_it_would_have() -> None:
    search, _ = searched(hill)
    everything = {(arm, seed): trained(Activation.parse(arm), seed, hill) for arm, seed in search.keys}
    finished: dict[tuple[str, int], Trial] = {}
    again, order = Search(3, 0.01, 60), random.Random(0)
    while (wanted := again.advance(finished)) is not None:
        missing = [key for key in ((str(a), s) for a, s in wanted.wanted) if key not in finished]
        for key in order.sample(
            missing, min(2, len(missing))
        ):  # in any order, a few at a time, and begun anew each time
            finished[key] = everything[key]
        again = Search(3, 0.01, 60)
    assert again.keys == search.keys
    assert again.curve is not None
    assert search.curve is not None
    assert again.curve.best == search.curve.best


def test_slopes_that_diverge_never_win() -> None:
    search, _ = searched(lambda slope, seed: None if slope > 0.15 and seed == 1 else hill(slope, seed))
    assert search.curve is not None
    assert search.curve.best <= 0.15
    search, _ = searched(lambda slope, seed: None)
    assert search.curve is None


def test_an_answer_that_diverges_later_is_none() -> None:
    search, rounds = searched(lambda slope, seed: 0.8 if slope == 0.3 and seed < 2 else None, 1e-4)
    assert len(rounds) > 1
    assert search.curve is None


def test_what_noise_hides_is_not_taken_for_nothing() -> None:
    def level(slope: float, seed: int) -> float:
        return 0.8 + float(np.random.default_rng([seed, round(1e6 * slope)]).normal(0, 0.02))

    search, _ = searched(level, 1e-6, 12, first_seed=10)
    assert search.curve is not None
    assert search.curve.regret_bound > 0.002  # the error of a mean of two is 0.014


def test_hopeless_slopes_are_given_up() -> None:
    search, rounds = searched(lambda slope, seed: 0.2 + seed / 100 if slope == 0.3 else hill(slope, seed), 1e-4, 120)
    late = [arm.parameters[0] for each in rounds[8:] for arm, _ in each.wanted]
    assert search.dropped
    assert not set(search.dropped) & set(late[-4:])


def test_the_only_slope_left_is_not_trained_alone() -> None:
    def falling(slope: float, seed: int) -> float:
        return 0.9 - 0.2 * slope**0.5 + float(np.random.default_rng([seed, round(1e6 * slope)]).normal(0, 0.002))

    search, _ = searched(falling, 1e-6, 50)
    seeds: dict[str, int] = {}
    for arm, _ in search.keys:
        seeds[arm] = seeds.get(arm, 0) + 1
    first, second, *_ = sorted(seeds.values(), reverse=True)
    assert first - second <= 12, seeds  # 17 where the best went on alone


@pytest.mark.parametrize("trials", [11, 12, 30])
def test_no_more_trainings_than_allowed(trials: int) -> None:
    search, _ = searched(hill, 1e-9, trials)
    assert len(search.keys) == trials


def test_a_floor_is_half_of_what_the_worst_had_learned() -> None:
    _, rounds = searched(hill)
    assert rounds[0].floor == ()
    floor = rounds[1].floor
    assert floor[0] == -float("inf")
    assert floor[1:3] == pytest.approx((0.2, 0.3))
