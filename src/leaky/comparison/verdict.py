"""Better, worse, or no difference shown: what paired trials say about an arm, and with what certainty."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import floor, log2, sqrt
from typing import TypeVar

import numpy as np
from scipy import stats

from leaky.comparison import sentences
from leaky.comparison.paired import Paired
from leaky.comparison.result import Verdict, Word

#: the share of comparisons without any real difference in which one is claimed, at most
ALPHA = 0.05
#: the chance, asked of a recommended number of seeds, to show a difference as large as the one observed
POWER = 0.8
#: beyond this many seeds a difference is called too small to matter rather than under-powered
MOST_SEEDS = 1000

# Differences of equal accuracies differ by rounding; below this they are one and the same.
_SAME = 1e-12

Scores = Mapping[str, Sequence[float | None]]

Key = TypeVar("Key", bound=Hashable)


def judge(scores: Scores, baseline: str, metric: str = "accuracy") -> tuple[Verdict, ...]:
    """Return a verdict on every arm other than the baseline.

    Args:
        scores: for each arm, its score for each seed, in the same order of seeds; ``None`` where the trial diverged.
        baseline: the arm that the others are held against.
        metric: ``"accuracy"`` or ``"r2"``, for the wording.

    The test is Student's t on the differences paired by seed. Where a trial diverged, or all differences are equal, it
    is the sign test, in which a diverged trial loses to any that finished. P-values are corrected for the number of arms
    by Holm's method (1979), so that the chance of claiming any difference where there is none stays below 5 %. An arm
    with a diverged trial is never called better.
    """
    return judge_all({"": scores}, baseline, {"": metric})[""]


def judge_all(
    groups: Mapping[str, Scores], baseline: str, metrics: Mapping[str, str] | None = None
) -> dict[str, tuple[Verdict, ...]]:
    """Return the verdicts on several groups of arms, such as tasks, together: corrected for the number of arms in all.

    Args:
        groups: the scores of each group, as of :func:`judge`.
        baseline: which is an arm of each.
        metrics: the metric of each group, for the wording; by default ``"r2"``, which is worded as any number is.
    """
    evidence = {
        (group, arm): weigh(scores[arm], scores[baseline])
        for group, scores in groups.items()
        for arm in scores
        if arm != baseline
    }
    corrected = holm({key: e.p for key, e in evidence.items() if e.p is not None})
    verdicts: dict[str, tuple[Verdict, ...]] = dict.fromkeys(groups, ())
    for (group, arm), e in evidence.items():
        metric = (metrics or {}).get(group, "r2")
        verdicts[group] += (_verdict(arm, baseline, e, corrected.get((group, arm)), len(corrected), metric),)
    return verdicts


def _verdict(arm: str, baseline: str, e: Paired, p: float | None, arms: int, metric: str) -> Verdict:
    """Return the verdict on one of so many arms, with its p-value as corrected for their number."""
    word = _word(e, p)
    needed = seeds_needed(e, arms) if word == "no difference shown" else None
    return Verdict(
        activation=arm,
        baseline=baseline,
        word=word,
        sentence=sentences.verdict(arm, baseline, word, e, p, arms, metric),
        advice=sentences.advice(word, e, needed),
        pairs=e.pairs,
        diverged=e.diverged,
        difference=e.difference,
        low=e.low,
        high=e.high,
        p=e.p,
        p_holm=p,
        seeds_needed=needed,
    )


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return the p-values corrected for their number by Holm's step-down method."""
    corrected: dict[Key, float] = {}
    largest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - rank)))
        corrected[name] = largest
    return corrected


def seeds_for(effect: float, arms: int = 1) -> int | None:
    """Return the seeds with which a paired t-test shows an effect with 80 % probability.

    Args:
        effect: the mean difference in standard deviations of the differences.
        arms: how many arms are tested; the level is that of Holm's first step, 5 % / arms.

    Returns:
        The least number of seeds, from 3; ``None`` if it exceeds 1,000.
    """

    def power(n: int) -> float:
        critical = stats.t.ppf(1 - ALPHA / arms / 2, n - 1)
        return float(stats.nct.sf(critical, n - 1, abs(effect) * sqrt(n)))

    low, high = 2, MOST_SEEDS  # power rises with n: the answer is in (low, high]
    if power(high) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def seeds_needed(e: Paired, arms: int) -> int | None:
    """Return the seeds it would take to show what the evidence hints at; ``None`` if that cannot be said."""
    if e.seeds < 3:
        return None
    if e.spread is not None and e.difference is not None:
        return seeds_for(e.difference / e.spread, arms)
    unanimous = bool(e.wins) != bool(e.losses)
    if not unanimous or (e.diverged and e.sign > 0):
        return None
    # All n seeds alike have p = 2 · 2⁻ⁿ in the sign test.
    return 1 + floor(log2(2 * arms / ALPHA))


def weigh(arm: Sequence[float | None], baseline: Sequence[float | None]) -> Paired:
    """Return the evidence of paired scores; ``None`` stands for a trial that diverged."""
    both = [(a, b) for a, b in zip(arm, baseline, strict=True) if a is not None and b is not None]
    differences = np.array([a - b for a, b in both])
    lost = sum(a is None and b is not None for a, b in zip(arm, baseline, strict=True))
    won = sum(b is None and a is not None for a, b in zip(arm, baseline, strict=True))
    wins, losses = won + int((differences > _SAME).sum()), lost + int((differences < -_SAME).sum())
    spread = low = high = p = None
    if len(both) > 1 and differences.std() > _SAME:
        test = stats.ttest_1samp(differences, 0.0)
        interval = test.confidence_interval(1 - ALPHA)
        spread, p = float(differences.std(ddof=1)), float(test.pvalue)
        low, high = float(interval.low), float(interval.high)
    if lost or won or spread is None:
        spread = None
        p = None if len(arm) < 2 else float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    return Paired(
        seeds=len(arm),
        pairs=len(both),
        diverged=sum(a is None for a in arm),
        baseline_diverged=sum(b is None for b in baseline),
        wins=wins,
        losses=losses,
        p=p,
        mean=float(np.mean([a for a, _ in both])) if both else None,
        baseline_mean=float(np.mean([b for _, b in both])) if both else None,
        low=low,
        high=high,
        spread=spread,
    )


def _word(e: Paired, p: float | None) -> Word:
    if p is None or p >= ALPHA:
        return "no difference shown"
    if e.sign < 0:
        return "worse"
    return "better" if not e.diverged else "no difference shown"
