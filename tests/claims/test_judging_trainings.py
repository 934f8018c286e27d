"""What the judges of trained networks say of made-up scores on either side of their criteria."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from leaky.claims import adversaries, depth, fixed, gan, higher, rivals, training
from leaky.claims.answer import Answer
from leaky.claims.contest import LEAKS, LEARNED, SLOPES, TASKS, USUAL

Scores = dict[str, list[float]]


def scores(means: dict[str, float], seeds: int = 8) -> Scores:
    """Return scores with these means, that differ from seed to seed and, a little, from arm to arm."""
    rng = np.random.default_rng(7)
    common = 0.02 * rng.normal(size=seeds)
    return {arm: (mean + common + 0.001 * rng.normal(size=seeds)).tolist() for arm, mean in means.items()}


def told(answer: Answer) -> tuple[str, str]:
    """Return the verdict and its condition; whatever is drawn has something to say to those who cannot see it."""
    assert answer.sentence
    assert all(plot.title and plot.description and plot.series for plot in answer.plots)
    assert bool(answer.reason) == (answer.verdict != "holds")
    return answer.verdict, answer.condition


class TestRivals:
    def measured(self, gains: Callable[[str, str], float]) -> dict[str, Any]:
        """Return scores in which the leak of 0.01 is ahead of each rival by so much."""
        rival = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "leaky_relu(0.1)": "higher"}
        return {
            "scores": {
                task: scores({USUAL: 0.8, **{arm: 0.8 - gains(task, name) for arm, name in rival.items()}})
                for task in TASKS
            },
            "metrics": {task: "r2" if task == "deep" else "accuracy" for task in TASKS},
        }

    def test_each_side(self) -> None:
        assert told(rivals.judge(self.measured(lambda task, rival: 0.1)))[0] == "holds"
        assert told(rivals.judge(self.measured(lambda task, rival: 0.0)))[0] == "not shown"
        assert (
            told(rivals.judge(self.measured(lambda task, rival: -0.1 * (rival == "tanh"))))[0] == "does not hold here"
        )
        answer = rivals.judge(self.measured(lambda task, rival: 0.1 * (rival == "sigmoid" and task != "mnist")))
        verdict, condition = told(answer)
        assert verdict == "holds only when"
        assert condition == "the rival (and task) is sigmoid (digits, digits-shallow, mnist1d and deep)"
        assert "better in 4 and worse in 0" in answer.sentence

    def test_losses_are_named_beside_gains(self) -> None:
        gains = {"sigmoid": 0.1, "tanh": -0.1}
        answer = rivals.judge(self.measured(lambda task, rival: gains.get(rival, 0.0) * (task == "digits")))
        assert answer.condition == "the rival (and task) is sigmoid (digits)"
        assert "worse in 1: tanh (digits)" in answer.sentence

    def test_the_higher_slope_is_told_and_not_judged(self) -> None:
        answer = rivals.judge(self.measured(lambda task, rival: -0.1 * (rival == "higher")))
        assert answer.verdict == "not shown"
        assert "leaky_relu(0.1): better in 15" in answer.sentence


class TestHigher:
    def measured(self, **rises: float) -> dict[str, Any]:
        arms = zip(LEAKS, SLOPES, strict=True)
        decades = {arm: math.log10(slope / 0.01) for arm, slope in arms}
        by_task = {task: rises.get(task.replace("-", "_"), rises.get("others", 0.0)) for task in TASKS}
        return {"scores": {t: scores({a: 0.7 + r * d for a, d in decades.items()}) for t, r in by_task.items()}}

    def test_each_side(self) -> None:
        assert told(higher.judge(self.measured(others=0.02)))[0] == "holds"
        assert told(higher.judge(self.measured()))[0] == "not shown"
        assert told(higher.judge(self.measured(mnist=-0.02)))[0] == "does not hold here"
        answer = higher.judge(self.measured(digits=0.02, deep=0.02, mnist=-0.02))
        assert told(answer) == ("holds only when", "the task is digits or deep")
        assert answer.numbers["digits: best slope"] == 0.6
        assert answer.numbers["mnist: best slope"] == 0.01
        assert "below 0 on mnist" in answer.sentence

    @pytest.mark.parametrize("slope", LEAKS)
    def test_a_training_that_diverged_says_nothing_of_the_direction(self, slope: str) -> None:
        measured = self.measured()
        measured["scores"]["mnist"][slope] = [None] * 8
        answer = higher.judge(measured)
        assert told(answer)[0] == "not shown"
        assert answer.numbers["mnist: rise per factor of ten"] is None

    def test_the_rise_is_the_score_gained_per_factor_of_ten(self) -> None:
        assert higher.rise([0.5 + 0.03 * math.log10(slope) for slope in SLOPES]) == pytest.approx(0.03)
        assert higher.rise([0.5, None, 0.5, 0.5]) is None


class TestFixed:
    def measured(self, chosen: dict[str, int], gains: dict[str, float]) -> dict[str, Any]:
        """Return scores by which such a slope is chosen on each task, and such gains over 0.01."""
        choosing = {t: {arm: [float(i == chosen.get(t, 2))] * 3 for i, arm in enumerate(LEAKS)} for t in TASKS}
        means = {arm: 0.8 + gains.get(arm, 0.0) for arm in (*LEAKS, LEARNED)}
        return {"choosing": choosing, "scores": {task: scores(means) for task in TASKS}}

    def test_each_side(self) -> None:
        all_better = {LEARNED: 0.1, LEAKS[2]: 0.1}
        assert told(fixed.judge(self.measured({}, all_better)))[0] == "holds"
        assert told(fixed.judge(self.measured({}, {})))[0] == "not shown"
        assert told(fixed.judge(self.measured({}, {LEARNED: -0.1})))[0] == "does not hold here"
        # What other slopes gain is of no use where they were not chosen.
        assert told(fixed.judge(self.measured({}, {LEAKS[1]: 0.1})))[0] == "not shown"
        verdict, condition = told(fixed.judge(self.measured({}, {LEAKS[2]: 0.1, LEARNED: -0.1})))
        assert verdict == "holds only when"
        assert condition.startswith("it is said of tuned (digits, ")
        assert "PReLU" not in condition

    def test_where_the_usual_slope_is_chosen_tuning_gains_nothing(self) -> None:
        answer = fixed.judge(self.measured({"digits": 0}, {LEARNED: 0.1, LEAKS[2]: 0.1}))
        assert answer.verdict == "holds only when"
        assert "digits, tuned: gain" not in answer.numbers
        assert "deep, tuned: gain" in answer.numbers
        assert answer.numbers["digits: chosen"] == 0.01


class TestTraining:
    def measured(self, gains: Callable[[str, str, str], float]) -> dict[str, Any]:
        return {
            aspect: {
                task: scores({arm: 5.0 - (arm != "relu") * gains(aspect, task, arm) for arm in training._ARMS})
                for task in TASKS
            }
            for aspect in training._ASPECTS
        }

    def test_each_side(self) -> None:
        assert told(training.judge(self.measured(lambda aspect, task, arm: 1.0)))[0] == "holds"
        assert told(training.judge(self.measured(lambda aspect, task, arm: 0.0)))[0] == "not shown"
        worse = self.measured(lambda aspect, task, arm: -float(aspect == "faster"))
        assert told(training.judge(worse))[0] == "does not hold here"
        answer = training.judge(self.measured(lambda aspect, task, arm: float(aspect == "flowing" and task == "deep")))
        verdict, condition = told(answer)
        assert verdict == "holds only when"
        assert condition == "gradients are meant, with leaky_relu(0.01) (deep), leaky_relu(0.1) (deep)"
        assert "Decades between gradients: less in 2 of 10 comparisons" in answer.sentence


class TestDepth:
    def measured(self, gains: dict[str, float]) -> dict[str, Any]:
        arms = depth._ARMS
        tasks = (depth._SHALLOW, *map(str, (depth._LITTLE, *depth._DEPTHS)))
        born = {str(width): [[0.5, 0.4, 0.6]] * len(depth._BORN_DEPTHS) for width in depth._WIDTHS}
        return {
            "scores": {t: scores({arms[0]: 0.5, arms[1]: 0.5, arms[2]: 0.5 + gains.get(t, 0.0)}) for t in tasks},
            "born": born,
        }

    def test_each_side(self) -> None:
        deep = dict.fromkeys(map(str, depth._DEPTHS), 0.1)
        assert told(depth.judge(self.measured(deep)))[0] == "holds"
        assert told(depth.judge(self.measured({**deep, "3": -0.1})))[0] == "holds"
        assert told(depth.judge(self.measured({"20": 0.1}))) == ("holds only when", "deep means 20 layers")
        assert told(depth.judge(self.measured({})))[0] == "not shown"
        assert told(depth.judge(self.measured({"40": -0.1})))[0] == "does not hold here"
        assert told(depth.judge(self.measured({**deep, depth._SHALLOW: 0.02})))[0] == "does not hold here"

    def test_a_gain_that_cannot_be_ruled_out_is_not_ruled_out(self) -> None:
        measured = self.measured(dict.fromkeys(map(str, depth._DEPTHS), 0.1))
        shallow = measured["scores"][depth._SHALLOW]
        shallow[depth._ARMS[2]] = [s + (-1) ** i * 0.05 for i, s in enumerate(shallow["relu"])]
        assert told(depth.judge(measured))[0] == "not shown"
        shallow[depth._ARMS[2]] = list(shallow["relu"])
        assert told(depth.judge(measured))[0] == "holds"


class TestGan:
    def measured(self, gains: dict[tuple[str, str], float], others: float = 0.0) -> dict[str, Any]:
        zeros = dict.fromkeys(gan.PLACES, 0.3)
        return {
            "covered": {
                target: scores(
                    {
                        arm: 5 + (arm != adversaries._BASELINE) * gains.get((target, arm), others)
                        for arm in adversaries._ARMS
                    },
                    20,
                )
                for target in gan.TARGETS
            },
            "zeros": {target: dict.fromkeys(adversaries._ARMS, zeros) for target in gan.TARGETS},
        }

    def test_each_side(self) -> None:
        assert told(adversaries.judge(self.measured({}, 1.0)))[0] == "holds"
        assert told(adversaries.judge(self.measured({})))[0] == "not shown"
        assert told(adversaries.judge(self.measured({("ring", "both leak"): -1.0})))[0] == "does not hold here"
        answer = adversaries.judge(self.measured({("ring", "both leak"): 1.0, ("digits", "generator leaks"): -1.0}))
        assert told(answer) == ("holds only when", "both leak (ring)")
        assert "Fewer are covered where the generator leaks (digits)" in answer.sentence
