from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from leaky.comparison import Verdict
from leaky.comparison.verdict import holm, judge, judge_all, seeds_for

ARMS = ["relu", "a", "b", "c", "d", "e", "f"]


def one(arm: list[float | None], baseline: list[float | None]) -> Verdict:
    return judge({"relu": baseline, "arm": arm}, "relu")[0]


def simulate(draw: Callable[[np.random.Generator], np.ndarray], effect: float, times: int) -> list[tuple[Verdict, ...]]:
    """Judge simulated comparisons of six arms and a baseline over ten seeds; the effect is added to the first arm."""
    rng = np.random.default_rng(2015)
    results = []
    for _ in range(times):
        scores = draw(rng)
        scores[1] += effect
        results.append(judge(dict(zip(ARMS, scores.tolist(), strict=True)), "relu"))
    return results


def normal(rng: np.random.Generator) -> np.ndarray:
    # What a seed does to all arms alike, and what it does to each.
    return 0.9 + 0.02 * rng.normal(size=10) + 0.01 * rng.normal(size=(7, 10))


def accuracies(rng: np.random.Generator) -> np.ndarray:
    return rng.binomial(450, 0.9, size=(7, 10)) / 450


def failures(rng: np.random.Generator) -> np.ndarray:
    # One training in ten never gets off the ground.
    return np.where(rng.random((7, 10)) < 0.1, 0.1, 0.9 + 0.01 * rng.normal(size=(7, 10)))


@pytest.mark.parametrize("draw", [normal, accuracies, failures])
def test_without_a_real_difference_at_most_five_percent_claim_one(
    draw: Callable[[np.random.Generator], np.ndarray],
) -> None:
    results = simulate(draw, effect=0.0, times=1000)
    claims = sum(any(v.word != "no difference shown" for v in verdicts) for verdicts in results)
    assert claims <= 50


def test_groups_are_corrected_together() -> None:
    rng = np.random.default_rng(1)
    groups = {
        task: {"relu": rng.normal(size=10).tolist(), "arm": (effect + rng.normal(size=10)).tolist()}
        for task, effect in (("a", 3.0), ("b", 1.0), ("c", 0.0))
    }
    alone = {task: judge(scores, "relu")[0] for task, scores in groups.items()}
    together = {task: verdict for task, (verdict,) in judge_all(groups, "relu").items()}
    assert {t: v.p for t, v in together.items()} == {t: v.p for t, v in alone.items()}
    assert {t: v.p_holm for t, v in together.items()} == holm({t: v.p for t, v in alone.items() if v.p is not None})
    assert alone["a"].p_holm is not None
    assert together["a"].p_holm == 3 * alone["a"].p_holm
    assert "corrected for 3 arms" in together["c"].sentence


@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_of_two_standard_deviations_is_found(sign: int) -> None:
    # Two standard deviations of the paired differences, with six arms to correct for and only one of them different.
    results = simulate(normal, effect=sign * 2 * 0.01 * np.sqrt(2), times=400)
    found = sum(verdicts[0].word == ("better" if sign > 0 else "worse") for verdicts in results)
    assert found >= 0.95 * len(results)


def test_numbers_are_those_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = 0.9 + 0.01 * rng.normal(size=(2, 10))
    verdict = one(a.tolist(), b.tolist())
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert verdict.p == pytest.approx(expected.pvalue)
    assert (verdict.low, verdict.high) == pytest.approx((interval.low, interval.high))
    assert verdict.difference == pytest.approx(np.mean(a - b))
    assert verdict.pairs == 10


def test_holm_against_the_definition() -> None:
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    # Holm 1979: p(i)·(m−i+1), made monotone.
    assert holm(p) == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({}) == {}
    assert holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_p_values_are_corrected_for_the_number_of_arms() -> None:
    rng = np.random.default_rng(1)
    base = 0.9 + 0.01 * rng.normal(size=10)
    arm = base + 0.009 + 0.01 * np.array([-1.5, -1, -1, -0.5, 0, 0, 0.5, 1, 1, 1.5])
    others = {f"n{i}": (base + 0.01 * rng.normal(size=10)).tolist() for i in range(20)}
    alone = one(arm.tolist(), base.tolist())
    among = judge({"relu": base.tolist(), "arm": arm.tolist(), **others}, "relu")[0]
    assert alone.p == among.p
    assert alone.word == "better"
    assert among.word == "no difference shown"


@pytest.mark.parametrize(("effect", "arms"), list(itertools.product([0.3, 1.0, 2.0], [1, 6])))
def test_seeds_needed_have_the_promised_power(effect: float, arms: int) -> None:
    n = seeds_for(effect, arms)
    assert n is not None
    rng = np.random.default_rng(3)
    samples = effect + rng.normal(size=(4000, n))
    found = (stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05 / arms).mean()
    assert 0.78 <= found <= 0.97  # exactly 80 % would need a fraction of a seed


def test_seeds_needed_beyond_reason_are_none() -> None:
    assert seeds_for(0.001) is None
    assert seeds_for(0.0) is None


def test_too_few_seeds_are_called_so() -> None:
    verdict = one([0.9], [0.1])
    assert verdict.word == "no difference shown"
    assert verdict.p is None
    assert verdict.advice == "Too few seeds to tell: at least 5 are needed."
    verdict = one([0.9, 0.8], [0.1, 0.5])
    assert verdict.word == "no difference shown"
    assert verdict.seeds_needed is None
    assert verdict.advice == "Too few seeds to tell: at least 5 are needed."


def test_the_number_of_seeds_needed_is_said() -> None:
    rng = np.random.default_rng(0)
    verdict = one((0.9 + 0.003 + 0.01 * rng.normal(size=10)).tolist(), (0.9 + 0.01 * rng.normal(size=10)).tolist())
    assert verdict.word == "no difference shown"
    assert verdict.seeds_needed is not None
    assert verdict.seeds_needed > 10
    assert verdict.advice == f"To show a difference of this size would take about {verdict.seeds_needed} seeds."


def test_equal_scores_are_no_difference() -> None:
    verdict = one([0.9] * 10, [0.9] * 10)
    assert (verdict.word, verdict.p, verdict.difference) == ("no difference shown", 1.0, 0.0)
    assert verdict.advice == "The scores are the same."


def test_one_and_the_same_difference_is_judged_by_its_sign() -> None:
    # The t-test would be certain after two seeds, for want of any spread.
    assert one([0.9, 0.8], [0.8, 0.7]).word == "no difference shown"
    assert one([0.9] * 10, [0.8] * 10).word == "better"
    assert one([0.8] * 10, [0.9] * 10).word == "worse"


def test_a_diverged_arm_never_wins() -> None:
    good = [0.99, 0.98, 0.99, 0.97, 0.99, 0.98, 0.99, 0.98, 0.99, None]
    verdict = one(good, [0.1, 0.11, 0.1, 0.12, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert verdict.word == "no difference shown"
    assert verdict.diverged == 1
    assert verdict.pairs == 9
    assert verdict.advice == "It diverged on 1 seed, so it cannot be called better. Counted were 9 wins and 1 loss."


def test_an_arm_that_always_diverges_is_worse() -> None:
    verdict = one([None] * 10, [0.9, 0.8] * 5)
    assert verdict.word == "worse"
    assert (verdict.pairs, verdict.difference, verdict.low) == (0, None, None)
    assert "None" not in verdict.sentence
    assert verdict.advice == "It diverged on 10 seeds."


def test_an_arm_that_trains_where_the_baseline_diverges_is_better() -> None:
    assert one([0.9, 0.8] * 5, [None] * 10).word == "better"


def test_all_diverged_shows_nothing() -> None:
    verdict = one([None] * 10, [None] * 10)
    assert verdict.word == "no difference shown"
    assert verdict.p == 1.0


def test_where_trials_diverged_the_means_are_those_of_the_pairs() -> None:
    verdict = one([0.8, 0.9, 0.85, None], [0.9, None, 0.9, 0.5])
    assert "82.5 % against 90.0 %; −7.5 points" in verdict.sentence
    assert "The baseline diverged on 1 seed." in verdict.advice


@pytest.mark.parametrize(("arms", "needed"), [(1, 6), (6, 8)])
def test_seeds_needed_where_wins_are_counted(arms: int, needed: int) -> None:
    # Every seed alike: p = 2·2⁻ⁿ, and Holm's first step asks for p · arms < 5 %.
    base: list[float | None] = [0.9, 0.8, 0.7]
    others = {f"n{i}": base for i in range(arms - 1)}
    verdict = judge({"relu": base, "arm": [0.95, 0.85, 0.75], **others}, "relu")[0]
    assert verdict.seeds_needed == needed
    counted = "Counted were 3 wins and 0 losses. If all seeds went this way"
    assert verdict.advice == f"{counted}, it would take {needed} to show it."
    assert 2 * 0.5**needed * arms < 0.05 <= 2 * 0.5 ** (needed - 1) * arms


def test_what_always_diverges_is_told_what_it_takes_to_show() -> None:
    base: list[float | None] = [0.9, 0.8, 0.7, 0.9, 0.8]
    verdict = judge({"relu": base, "arm": [None] * 5, **{f"n{i}": base for i in range(5)}}, "relu")[0]
    counted = "Counted were 0 wins and 5 losses. If all seeds went this way"
    assert verdict.advice == f"It diverged on 5 seeds. {counted}, it would take 8 to show it."


def test_the_sentence_has_the_numbers() -> None:
    arm = [0.93, 0.94, 0.92, 0.95, 0.93, 0.94]
    base = [0.91, 0.90, 0.89, 0.91, 0.90, 0.90]
    assert one(arm, base).sentence == (
        "arm: better than relu, 93.5 % against 90.2 %; +3.3 points (95 % interval +2.5 to +4.2; p < 0.001; 6 seeds in common)."
    )


def test_r2_is_worded_as_a_number() -> None:
    verdict = judge({"relu": [0.5, 0.52, 0.51], "arm": [0.4, 0.43, 0.40]}, "relu", "r2")[0]
    assert "0.410 against 0.510; −0.100 (" in verdict.sentence
    assert "%" not in verdict.sentence.replace("95 %", "")
