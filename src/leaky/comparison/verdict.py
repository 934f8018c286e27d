"""Better, worse, or no difference shown: what paired trials say about an arm, and with what certainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from leaky import wording
from leaky.comparison.result import Verdict, Word

#: the share of comparisons without any real difference in which one is claimed, at most
ALPHA = 0.05
#: the chance, asked of a recommended number of seeds, to show a difference as large as the one observed
POWER = 0.8
#: beyond this many seeds a difference is called too small to matter rather than under-powered
MOST_SEEDS = 1000
#: asked for where there are too few seeds to say anything of chance
FEWEST_SEEDS = 5

Scores = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class _Evidence:
    """One arm against the baseline, before the other arms are thought of."""

    pairs: int
    diverged: int
    baseline_diverged: int
    p: float | None
    #: which way the evidence points: the sign of the difference, or of wins less losses where trials diverged
    sign: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    #: standard deviation of the differences, where the t-test was used
    spread: float | None = None


def judge(scores: Scores, baseline: str, metric: str = "accuracy") -> tuple[Verdict, ...]:
    """Return a verdict on every arm other than the baseline.

    Args:
        scores: for each arm, its score for each seed, in the same order of seeds; ``None`` where the trial diverged.
        baseline: the arm that the others are held against.
        metric: ``"accuracy"`` or ``"r2"``, for the wording.

    The test is Student's t on the differences paired by seed. Where a trial diverged, or all differences are equal, it
    is the sign test, in which a diverged trial loses to any that finished. P-values are corrected for the number of arms by Holm's
    method (1979), so that the chance of claiming any difference where there is none stays below 5 %. An arm with a
    diverged trial is never called better.
    """
    evidence = {arm: _weigh(scores[arm], scores[baseline]) for arm in scores if arm != baseline}
    corrected = holm({arm: e.p for arm, e in evidence.items() if e.p is not None})
    verdicts = []
    for arm, e in evidence.items():
        word = _word(e, corrected.get(arm))
        needed = None if word != "no difference shown" else _seeds_needed(e, len(corrected))
        means = tuple(_mean(scores[a]) for a in (arm, baseline))
        verdicts.append(
            Verdict(
                activation=arm,
                baseline=baseline,
                word=word,
                sentence=_sentence(arm, baseline, word, e, corrected.get(arm), means, len(corrected), metric),
                advice=_advice(word, e, needed),
                pairs=e.pairs,
                diverged=e.diverged,
                difference=e.difference,
                low=e.low,
                high=e.high,
                p=e.p,
                p_holm=corrected.get(arm),
                seeds_needed=needed,
            )
        )
    return tuple(verdicts)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values corrected for their number by Holm's step-down method."""
    corrected, largest = {}, 0.0
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


def _weigh(arm: Sequence[float | None], baseline: Sequence[float | None]) -> _Evidence:
    differences = np.array([a - b for a, b in zip(arm, baseline, strict=True) if a is not None and b is not None])
    pairs = len(differences)
    lost = sum(a is None and b is not None for a, b in zip(arm, baseline, strict=True))
    won = sum(b is None and a is not None for a, b in zip(arm, baseline, strict=True))
    common = {
        "pairs": pairs,
        "diverged": sum(a is None for a in arm),
        "baseline_diverged": sum(b is None for b in baseline),
    }
    mean = float(differences.mean()) if pairs else None
    spread = float(differences.std(ddof=1)) if pairs > 1 else None
    # Differences of equal accuracies differ by rounding; below this they are one and the same.
    constant = spread is None or spread < 1e-12
    low = high = t_p = None
    if not constant:
        test = stats.ttest_1samp(differences, 0.0)
        interval = test.confidence_interval(1 - ALPHA)
        low, high, t_p = float(interval.low), float(interval.high), float(test.pvalue)
    if lost or won or constant:
        wins, losses = won + int((differences > 1e-12).sum()), lost + int((differences < -1e-12).sum())
        sign_p = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
        p = sign_p if len(arm) > 1 else None
        return _Evidence(**common, p=p, sign=wins - losses, difference=mean, low=low, high=high)
    return _Evidence(
        **common, p=t_p, sign=int(np.sign(differences.mean())), difference=mean, low=low, high=high, spread=spread
    )


def _word(e: _Evidence, p: float | None) -> Word:
    if p is None or p >= ALPHA:
        return "no difference shown"
    if e.sign < 0:
        return "worse"
    return "better" if not e.diverged else "no difference shown"


def _seeds_needed(e: _Evidence, arms: int) -> int | None:
    if e.spread is None or e.difference is None:
        return None
    return seeds_for(e.difference / e.spread, arms)


def _mean(scores: Sequence[float | None]) -> float | None:
    finished = [s for s in scores if s is not None]
    return float(np.mean(finished)) if finished else None


def _sentence(
    arm: str,
    baseline: str,
    word: Word,
    e: _Evidence,
    p: float | None,
    means: tuple[float | None, ...],
    arms: int,
    metric: str,
) -> str:
    """Say the verdict with its numbers."""
    says = "no difference shown from" if word == "no difference shown" else f"{word} than"
    text = f"{arm}: {says} {baseline}"
    if None not in means:
        text += f", {wording.score(means[0], metric)} against {wording.score(means[1], metric)}"
    if e.difference is not None:
        text += f"; {wording.difference(e.difference, metric)}"
    details = []
    if e.low is not None:
        ends = [wording.difference(v, metric, unit=False) for v in (e.low, e.high)]
        details.append(f"95 % interval {ends[0]} to {ends[1]}")
    if p is not None:
        details.append(wording.p_value(p) + (f" corrected for {arms} arms" if arms > 1 else ""))
    details.append(f"{_seeds(e.pairs)} in common")
    return f"{text} ({'; '.join(details)})."


def _advice(word: Word, e: _Evidence, needed: int | None) -> str:
    """Say why nothing could be shown, or how many seeds it would take."""
    if e.diverged:
        return f"It diverged on {_seeds(e.diverged)}, so it cannot be called better."
    if word != "no difference shown":
        return ""
    if e.baseline_diverged:
        return f"The baseline diverged on {_seeds(e.baseline_diverged)}, so that only wins and losses could be counted."
    if e.pairs < 3:
        return f"Too few seeds to tell: at least {FEWEST_SEEDS} are needed."
    if e.spread is None:
        return "" if e.difference else "The scores are the same."
    if needed is None:
        return f"To show a difference as small as this would take over {MOST_SEEDS:,} seeds."
    return f"To show a difference of this size would take about {needed} seeds."


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"
