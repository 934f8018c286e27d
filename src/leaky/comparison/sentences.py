"""A verdict in words."""

from __future__ import annotations

from leaky import wording
from leaky.comparison.paired import Paired
from leaky.comparison.result import Word

#: asked for where there are too few seeds to say anything of chance
FEWEST_SEEDS = 5


def verdict(arm: str, baseline: str, word: Word, e: Paired, p: float | None, arms: int, metric: str) -> str:
    """Say the verdict with its numbers."""
    says = "no difference shown from" if word == "no difference shown" else f"{word} than"
    text = f"{arm}: {says} {baseline}"
    if e.difference is not None:
        text += f", {wording.score(e.mean, metric)} against {wording.score(e.baseline_mean, metric)}"
        text += f"; {wording.difference(e.difference, metric)}"
    details = []
    if e.low is not None:
        ends = [wording.difference(v, metric, unit=False) for v in (e.low, e.high)]
        details.append(f"95 % interval {ends[0]} to {ends[1]}")
    if p is not None:
        details.append(wording.p_value(p) + (f" corrected for {arms} arms" if arms > 1 else ""))
    details.append(f"{wording.counted(e.pairs, 'seed')} in common")
    return f"{text} ({'; '.join(details)})."


def advice(word: Word, e: Paired, needed: int | None) -> str:
    """Say why nothing could be shown, how many seeds it would take, and what diverged; empty if there is nothing to say."""
    unshown = word == "no difference shown"
    parts = []
    if e.diverged:
        hope = ", so it cannot be called better" if unshown and e.sign > 0 else ""
        parts.append(f"It diverged on {wording.counted(e.diverged, 'seed')}{hope}.")
    if e.baseline_diverged:
        parts.append(f"The baseline diverged on {wording.counted(e.baseline_diverged, 'seed')}.")
    if unshown:
        parts.append(_outlook(e, needed))
    return " ".join(filter(None, parts))


def _outlook(e: Paired, needed: int | None) -> str:
    if e.seeds < 3:
        return f"Too few seeds to tell: at least {FEWEST_SEEDS} are needed."
    if not e.wins and not e.losses:
        return "" if e.diverged else "The scores are the same."
    if e.spread is None:
        counted = f"Counted were {wording.counted(e.wins, 'win')} and {wording.counted(e.losses, 'loss', 'losses')}."
        return f"{counted} If all seeds went this way, it would take {needed} to show it." if needed else counted
    if needed is None:
        return "To show a difference as small as this would take over 1,000 seeds."
    return f"To show a difference of this size would take about {needed} seeds."
