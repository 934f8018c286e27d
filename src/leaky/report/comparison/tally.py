"""Numbers over the seeds of an arm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaky.activation import Activation
from leaky.comparison.result import Comparison
from leaky.trials.record import Epoch, Trial

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """The trials of one activation; what is said of the time after training is over those that finished."""

    activation: str
    trials: tuple[Trial, ...]

    @property
    def finished(self) -> tuple[Trial, ...]:
        """The trials that did not diverge."""
        return tuple(t for t in self.trials if t.diverged is None)

    @property
    def diverged(self) -> int:
        """How many trials diverged."""
        return len(self.trials) - len(self.finished)

    @property
    def scores(self) -> dict[int, float]:
        """The final score by seed, where there is one."""
        return {t.seed: t.score for t in self.trials if t.score is not None}

    @property
    def mean(self) -> float | None:
        """Mean of the final scores."""
        return mean(self.scores.values())

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the final scores over the seeds; of one seed there is none."""
        return float(np.std(list(self.scores.values()), ddof=1)) if len(self.scores) > 1 else None

    @property
    def dead_at_birth(self) -> float | None:
        """Mean share of dead units before training, 0 … 1."""
        return mean(dead_share(t, 0) for t in self.trials)

    @property
    def dead(self) -> float | None:
        """Mean share of dead units after training, 0 … 1."""
        return mean(dead_share(t, -1) for t in self.finished)

    @property
    def gradient_ratio(self) -> float | None:
        """Median over the seeds of the gradient norm of the first weight layer over that of the last."""
        ratios = [r for t in self.finished if (r := t.epochs[-1].gradient_ratio) is not None]
        return float(np.median(ratios)) if ratios else None

    @property
    def seconds_per_step(self) -> float:
        """Median over the trials."""
        return float(np.median([t.seconds_per_step for t in self.trials]))


def arms(comparison: Comparison) -> list[Arm]:
    """Return the arms in the order of the comparison."""
    return [Arm(activation, trials) for activation, trials in comparison.arms.items()]


def rectifies(activation: str) -> bool:
    """Return whether "dead" means something for the activation; of one that we do not know we suppose so."""
    try:
        return Activation.parse(activation).rectifies
    except ValueError:
        return True


def dead_share(trial: Trial, epoch: int) -> float | None:
    """Return the share of all units that are dead at an epoch, 0 … 1."""
    units = sum(trial.units)
    return sum(trial.epochs[epoch].dead) / units if units else None


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of those that are numbers."""
    numbers = [v for v in values if v is not None]
    return float(np.mean(numbers)) if numbers else None


def table(rows: Sequence[Sequence[float | None]]) -> Array:
    """Return rows of unequal length as an array, NaN where there is no number."""
    out = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = [np.nan if value is None else value for value in row]
    return out


def over_epochs(trials: Sequence[Trial], value: Callable[[Epoch], float | None]) -> Array:
    """Return a number of each epoch, shape (trials, epochs); a trial that diverged ends early, in NaN."""
    return table([[value(epoch) for epoch in trial.epochs] for trial in trials])


def quartiles(values: Array) -> Array:
    """Return the lower quartile, median and upper quartile of each column, leaving NaN out; shape (3, columns)."""
    out = np.full((3, values.shape[1]), np.nan)
    seen = ~np.isnan(values).all(axis=0)
    out[:, seen] = np.nanpercentile(values[:, seen], [25, 50, 75], axis=0)
    return out


def dead_by_site(trials: Sequence[Trial]) -> Array:
    """Return the share of dead units, mean over the trials still running; shape (sites, epochs)."""
    epochs = max(len(trial.epochs) for trial in trials)
    total = np.zeros((len(trials[0].sites), epochs))
    running = np.zeros(epochs)
    for trial in trials:
        units = np.maximum(trial.units, 1)
        total[:, : len(trial.epochs)] += np.transpose([np.divide(epoch.dead, units) for epoch in trial.epochs])
        running[: len(trial.epochs)] += 1
    return total / running
