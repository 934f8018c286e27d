"""Which trainings a search for a slope for each site wants: on made-up scores, without training anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from leaky.activation import Activation
from leaky.trials import Epoch, Trial
from leaky.tuning.layers import MOST_TRIALS, LayerSearch
from leaky.tuning.search import Key

Score = Callable[[tuple[float, ...], int], float | None]


def trained(arm: Activation, seed: int, score: Score) -> Trial:
    value = score(arm.parameters, seed)
    epochs = tuple(Epoch(1.0, s, 1.0, s, (), (), (), ()) for s in (0.1, value))
    return Trial(str(arm), seed, 1 if value is None else None, epochs, (), (), (), 0.0)


def searched(score: Score, learned: tuple[float, ...] = (0.7, 0.2, 0.1)) -> tuple[LayerSearch, dict[Key, Trial]]:
    search, finished = LayerSearch(0.3, learned, 3, 100), {}
    while (wanted := search.advance(finished)) is not None:
        new = {(str(arm), seed): trained(arm, seed, score) for arm, seed in wanted.wanted}
        assert new.keys() - finished.keys()
        finished |= new
    return search, finished


def near(*goal: float) -> Score:
    def score(slopes: tuple[float, ...], seed: int) -> float:
        full = np.array(slopes if len(slopes) > 1 else slopes * len(goal))
        noise = np.random.default_rng([seed, *(round(1e6 * slope) for slope in full)]).normal(0, 0.001)
        return float(0.9 - 0.2 * ((np.sqrt(full) - np.sqrt(goal)) ** 2).sum() + noise)

    return score


def test_it_begins_with_one_slope_and_with_what_was_learned() -> None:
    first = LayerSearch(0.3, (0.7, 0.2, 2.5), 3, 100).advance({})
    assert first is not None
    texts = [(str(arm), seed) for arm, seed in first.wanted]
    sets = ("leaky_relu(0.3)", "leaky_relu(0.7, 0.2, 1)")  # beyond 1 nothing is searched
    assert texts == [(text, seed) for text in sets for seed in (100, 101)]


def test_it_finds_slopes_that_are_better_than_one_for_all() -> None:
    search, finished = searched(near(0.9, 0.2, 0.05))
    assert search.best is not None
    assert near(0.9, 0.2, 0.05)(search.best, 0) > near(0.9, 0.2, 0.05)((0.3,), 0) + 0.02  # type: ignore[operator]
    assert len(search.keys) == len(finished) == MOST_TRIALS
    assert sum(key[0] == "leaky_relu(0.3)" for key in search.keys) == 8


def test_where_one_slope_is_best_it_says_so() -> None:
    search, _ = searched(near(0.3, 0.3, 0.3))
    assert str(search.answer) == "leaky_relu(0.3)"


def test_slopes_that_diverge_never_win() -> None:
    search, _ = searched(lambda slopes, seed: None if len(slopes) > 1 and seed == 101 else 0.5 + len(slopes) / 10)
    assert str(search.answer) == "leaky_relu(0.3)"


@pytest.mark.parametrize("learned", [(), (0.1, 0.2)])
def test_what_was_not_learned_at_each_site_is_not_tried(learned: tuple[float, ...]) -> None:
    first = LayerSearch(0.3, learned, 3, 0).advance({})
    assert first is not None
    assert {str(arm) for arm, _ in first.wanted} == {"leaky_relu(0.3)"}


def test_an_interrupted_search_goes_on_as_it_would_have() -> None:
    _, finished = searched(near(0.9, 0.2, 0.05))
    again = LayerSearch(0.3, (0.7, 0.2, 0.1), 3, 100)
    assert again.advance(finished) is None
    assert set(again.keys) == set(finished)
