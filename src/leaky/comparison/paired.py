"""What the paired scores of an arm and the baseline amount to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paired:
    """One arm against the baseline, before the other arms are thought of."""

    seeds: int
    #: seeds on which both finished; means, difference and interval are over these
    pairs: int
    diverged: int
    baseline_diverged: int
    #: seeds on which the arm did better, and worse; a diverged trial loses to any that finished
    wins: int
    losses: int
    p: float | None
    mean: float | None
    baseline_mean: float | None
    low: float | None
    high: float | None
    #: standard deviation of the differences, where the t-test was used; ``None`` where wins and losses were counted
    spread: float | None

    @property
    def difference(self) -> float | None:
        """Mean difference to the baseline."""
        return None if self.mean is None or self.baseline_mean is None else self.mean - self.baseline_mean

    @property
    def sign(self) -> int:
        """Which way the evidence points: +1 for the arm, −1 for the baseline, 0 for neither."""
        weight = self.wins - self.losses if self.spread is None else self.difference or 0.0
        return (weight > 0) - (weight < 0)
