"""What a tuning says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from leaky.comparison.verdict import judge
from leaky.tuning.layers import Layers

Tuned = Callable[..., Any]
Scores = dict[float, list[float | None]]

LEVEL: Scores = {slope: [0.9, 0.88, 0.9, 0.88] for slope in (0.01, 0.1, 0.3, 1.0)}
RISING: Scores = {0.01: [0.5, 0.52] * 3, 0.1: [0.6, 0.62] * 3, 0.3: [0.8, 0.82] * 3}
#: a top between slopes that are worse
HILL: Scores = {0.01: [0.5, 0.52] * 3, 0.2: [0.79, 0.81] * 3, 0.3: [0.8, 0.82] * 3, 0.9: [0.6, 0.62] * 3}


def test_a_customary_slope_is_as_good(tuned: Tuned) -> None:
    headline = tuned(LEVEL).headline
    assert headline.startswith("On digits, 0.01 is as good as any slope here: slopes from 0.01 to 1 are as good within")


def test_a_slope_is_the_best_found(tuned: Tuned) -> None:
    tuning = tuned(HILL)
    low, high = (f"{end:.2g}" for end in tuning.as_good)
    assert low != high
    assert tuning.headline == (
        f"On digits, the slope 0.3 is the best found; slopes from {low} to {high} are as good within the noise, "
        "and 0.01 is worse."
    )


def test_a_loose_tuning_claims_less(tuned: Tuned) -> None:
    assert "the slope 0.3 did best so far;" in tuned(HILL, 1e-6).headline
    loose = tuned({0.01: [0.5, 0.9], 0.1: [0.9, 0.52], 0.3: [0.6, 0.8]}, 1e-3)
    assert loose.headline.startswith("On digits, 0.01 is not shown to be worse than any slope: ")


def test_a_customary_slope_that_may_lose_more_is_not_said_to_be_as_good(tuned: Tuned) -> None:
    # The best slope is known well, and 0.01 hardly: nobody has seen that it is worse.
    scores: Scores = {
        0.01: [0.907, 0.904, 0.892, 0.924],
        0.1: [0.893, 0.912, 0.924, 0.92, 0.92, 0.9, 0.935, 0.904, 0.912, 0.912],
        0.18: [0.912, 0.906, 0.931, 0.913, 0.925, 0.893, 0.92, 0.91, 0.917, 0.915],
        0.2: [0.918, 0.911, 0.913, 0.914, 0.915, 0.913, 0.908, 0.918, 0.902, 0.938],
        0.3: [0.923, 0.931, 0.911, 0.896, 0.894, 0.903, 0.905, 0.907],
        1.0: [0.911, 0.909, 0.9, 0.917, 0.914, 0.906, 0.915, 0.92, 0.9, 0.908],
    }
    tuning = tuned(scores, 0.01)
    assert tuning.settled
    assert tuning.headline.startswith("On digits, 0.01 is not shown to be worse than any slope: ")


def test_the_end_of_what_was_tried_is_said_to_be_so(tuned: Tuned) -> None:
    assert "the slope 0.3 did best so far, the largest that was tried;" in tuned(RISING).headline
    searched = {1.0 if slope == 0.3 else slope: scores for slope, scores in RISING.items()}
    assert ", the largest that is searched;" in tuned(searched).headline
    falling = {slope: RISING[other] for slope, other in ((0.01, 0.3), (0.1, 0.1), (0.3, 0.01))}
    assert "It has the best mean, the smallest that was tried." in tuned(falling).headline


def test_an_interval_of_one_point_is_none(tuned: Tuned) -> None:
    tuning = tuned(HILL)
    assert "; no slope next to it is as good, and 0.01 is worse." in replace(tuning, as_good=(0.3, 0.3)).headline


@pytest.mark.parametrize(
    ("tolerance", "metric", "loss", "asked"),
    [
        (0.01, "accuracy", "1.2 points", "1.0 points"),
        (0.0005, "accuracy", "1.234 points", "0.050 points"),
        (0.01, "r2", "0.012", "0.010"),
    ],
)
def test_the_bound(tuned: Tuned, tolerance: float, metric: str, loss: str, asked: str) -> None:
    tuning = tuned(LEVEL)
    curve = replace(tuning.curve, regret_bound=0.01234)
    assert replace(tuning, curve=curve, tolerance=0.02).bound.endswith("(90 %): within the tolerance of 2.0 points.")
    said = replace(tuning, curve=curve, tolerance=tolerance, metric=metric, ended="the time was up").bound
    assert said == (
        f"By 16 trainings, it loses at most {loss} against the best slope (90 %), "
        f"not within the tolerance of {asked}: the time was up."
    )


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.9, 0.91, 0.92, 0.93], "is better than one for all: +10.1 points (95 %: +9.8 to +10.4)."),
        (
            [0.8, 0.81, 0.82, 0.84],
            "is not shown to be better than one for all: +0.3 points (95 %: −0.8 to +1.5). To show",
        ),
        ([0.7, 0.71, 0.72, 0.73], "is worse than one for all: −9.9 points (95 %: −10.2 to −9.6)."),
    ],
)
def test_a_slope_for_each_site_is_held_against_one(tuned: Tuned, scores: list[float], said: str) -> None:
    one, arm = "leaky_relu(0.3)", "leaky_relu(0.1, 0.2)"
    (verdict,) = judge({one: [0.8, 0.81, 0.82, 0.826], arm: scores}, one)
    layers = Layers(("1", "3"), (0.1, 0.2), (0.3, 0.3), tuned(LEVEL).trials, verdict, "accuracy")
    assert layers.headline.startswith(f"A slope for each of the 2 sites {said}")
    untried = replace(layers, verdict=None)
    assert untried.headline == (
        "16 trainings with a slope for each of the 2 sites found a higher mean than one slope's; "
        "it was not tried on fresh seeds."
    )
    alike = replace(untried, slopes=(0.3, 0.3))
    assert (
        alike.headline == "16 trainings with a slope for each of the 2 sites found nothing better than 0.3 everywhere."
    )
    document = tuned(LEVEL, layers=layers).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False))["layers"]["slopes"] == [0.1, 0.2]
