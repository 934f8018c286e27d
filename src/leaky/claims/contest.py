"""The trainings that several statements share: each arm on every built-in task, on the same seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from leaky.claims.answer import Verdict as Ruling
from leaky.claims.experiment import Lab
from leaky.comparison import Comparison, Verdict
from leaky.comparison.result import Word
from leaky.wording import difference, listing

#: the built-in tasks, with the share of the time that each takes
TASKS = {"digits": 0.27, "digits-shallow": 0.06, "mnist1d": 0.3, "mnist": 0.2, "deep": 0.17}
SEEDS = 8
USUAL, LEARNED = "leaky_relu(0.01)", "prelu(0.25)"
SLOPES = (0.01, 0.1, 0.3, 0.6)
LEAKS = tuple(f"leaky_relu({slope:g})" for slope in SLOPES)

#: of the recipes of all statements that use these trainings
RECIPE = (
    f"The five built-in tasks ({listing(list(TASKS))}) with their own networks and recipes, {SEEDS} seeds, the same for "
    "each activation; the score is the accuracy (for deep, R²) on the test data after the last epoch."
)

#: verdicts by task and arm
Verdicts = Mapping[tuple[str, str], Verdict]


def trainings(lab: Lab, arms: Sequence[str], *, baseline: str) -> dict[str, Comparison]:
    """Return these arms on every task; trainings that another statement has had are found recorded."""
    done, comparisons = 0.0, {}
    for task, share in TASKS.items():
        comparisons[task] = lab.compare(task, arms, SEEDS, baseline=baseline, part=(done, done + share))
        done += share
    return comparisons


def scores(comparison: Comparison) -> dict[str, list[float | None]]:
    """Return the scores of each arm, seed by seed."""
    return {arm: [trial.score for trial in trials] for arm, trials in comparison.arms.items()}


def by_key(verdicts: Mapping[str, Iterable[Verdict]]) -> Verdicts:
    """Return verdicts on groups of arms by group and arm."""
    return {(group, v.activation): v for group, several in verdicts.items() for v in several}


def rule(verdicts: Verdicts, good: Word = "better", bad: Word = "worse") -> Ruling:
    """Return what comparisons say together: all of them say the good word, some do, none but some the bad one, or none either."""
    words = [verdict.word for verdict in verdicts.values()]
    if good not in words:
        return "does not hold here" if bad in words else "not shown"
    return "holds" if set(words) == {good} else "holds only when"


def grouped(pairs: Iterable[tuple[str, str]]) -> str:
    """Write ``sigmoid (digits and deep), tanh (deep)`` for pairs of a task and what it was held against."""
    tasks: dict[str, list[str]] = {}
    for task, other in pairs:
        tasks.setdefault(other, []).append(task)
    return ", ".join(f"{other} ({listing(names)})" for other, names in tasks.items())


def having(verdicts: Verdicts, word: Word) -> list[tuple[str, str]]:
    """Return the keys of the verdicts with this word."""
    return [key for key, verdict in verdicts.items() if verdict.word == word]


def gains(verdicts: Verdicts) -> str:
    """Write ``tanh: +0.020 on digits, 0.000 on deep; …`` for the difference of each arm to the baseline, task by task."""
    arms: dict[str, list[str]] = {}
    for (task, arm), verdict in verdicts.items():
        arms.setdefault(arm, []).append(f"{difference(verdict.difference, 'r2')} on {task}")
    return "; ".join(f"{arm}: {', '.join(several)}" for arm, several in arms.items())
