"""What `leaky tune` loses against a grid of slopes, and what it costs beside it.

    python bench/regret.py --task digits --study regret.db

The grid: 12 slopes, each trained on the same 10 seeds on all of the training data; its best is the one with the highest
mean score on the test data. So the grid may choose by what a tuning never sees: if this favours one of the two, it is the
grid. The tunings: ten with all settings as they are by default, each on seeds of its own.

The regret of a tuning is the mean score of the grid's best slope minus that of the slope tuned, on ten fresh seeds of the
tuning's own and the test data: the seeds that made a slope the best of the grid say nothing about how good it is. What
one tuning loses is thus independent of what another loses, and the interval is Student's t over the tunings.

Cost is counted in epochs, those of trainings that were given up included; and in seconds of training on one thread (steps
times their median time, as recorded), to which the processor time is added that the search itself takes. Of a tuning without its
confirmation, since the grid has none. Trainings that are in the study are not run again.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import mean

from scipy import stats

import leaky
from leaky import Task
from leaky.trials import Trial, load_task

SLOPES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.75, 1.0)
SEEDS, FRESH = 10, 10


@dataclass(frozen=True)
class Cost:
    """Of trainings, and of what chooses them."""

    epochs: int
    seconds: float


def cost(task: Task, trials: tuple[Trial, ...]) -> Cost:
    """Return what trainings of a task took."""
    epochs = [len(trial.epochs) - 1 for trial in trials]
    steps = ceil(len(task.tensors("train")[0]) / task.batch_size)
    return Cost(sum(epochs), sum(n * steps * t.seconds_per_step for n, t in zip(epochs, trials, strict=True)))


def arm(slope: float) -> str:
    """Return a slope as the text of an activation."""
    return str(leaky.Activation("leaky_relu", (slope,)))


class Bench:
    """A task, and where its trainings are kept."""

    def __init__(self, task: str, study: Path, jobs: int | None) -> None:
        self.task, self.study, self.jobs = load_task(task), study, jobs

    def grid(self) -> tuple[float, Cost]:
        """Return the slope that is the best of the grid, and the grid's cost."""
        scores, trials = self._scores(SLOPES, range(SEEDS))
        return max(scores, key=lambda slope: mean(scores[slope])), cost(self.task, trials)

    def tuning(self, number: int) -> tuple[leaky.Tuning, Cost]:
        """Return a tuning, and its cost."""

        def tune() -> leaky.Tuning:
            return leaky.tune(
                self.task, confirm=False, first_seed=1000 * (number + 1), jobs=self.jobs, study=self.study
            )

        tuning = tune()
        start = time.process_time()
        tune()  # nothing is left to train: what this takes, the search takes
        took = cost(self.task.for_choosing(), tuning.trials)
        return tuning, Cost(took.epochs, took.seconds + time.process_time() - start)

    def regret(self, best: float, tuned: float, number: int) -> float:
        """Return what a tuned slope loses against the best, on seeds of this number's own."""
        if best == tuned:
            return 0.0
        scores, _ = self._scores((best, tuned), range(900_000 + 1000 * number, 900_000 + 1000 * number + FRESH))
        return mean(scores[best]) - mean(scores[tuned])

    def _scores(self, slopes: tuple[float, ...], seeds: range) -> tuple[dict[float, list[float]], tuple[Trial, ...]]:
        arms = {arm(slope): slope for slope in slopes}
        done = leaky.compare(self.task, arms, seeds, baseline=next(iter(arms)), jobs=self.jobs, study=self.study)
        scores: dict[float, list[float]] = {slope: [] for slope in slopes}
        for trial in done.trials:
            assert trial.score is not None, f"{trial.activation}, seed {trial.seed}: diverged"
            scores[arms[trial.activation]].append(trial.score)
        return scores, done.trials


def main() -> None:
    """Print a line for each tuning, and the mean regret with its interval."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--task", default="digits")
    parser.add_argument("--tunings", type=int, default=10)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--study", type=Path, default=Path("regret.db"), help="keeps finished trainings")
    options = parser.parse_args()
    bench = Bench(options.task, options.study, options.jobs)
    best, whole = bench.grid()
    print(
        f"{options.task}: the grid's best slope is {best:g}; {whole.epochs:,} epochs, {whole.seconds:,.0f} s",
        flush=True,
    )
    print("tuning slope   as good trainings epochs      s regret", flush=True)
    regrets, costs = [], []
    for number in range(options.tunings):
        tuning, took = bench.tuning(number)
        regrets.append(100 * bench.regret(best, tuning.slope, number))
        costs.append(took)
        low, high = tuning.as_good
        print(
            f"{number:6} {tuning.slope:5.2g} {f'{low:.2g}–{high:.2g}':>9} {len(tuning.trials):9} {took.epochs:6,}"
            f" {took.seconds:6.1f} {regrets[-1]:+6.2f}",
            flush=True,
        )
    interval = stats.ttest_1samp(regrets, 0.0).confidence_interval(0.95)
    epochs, seconds = (mean(getattr(each, name) for each in costs) for name in ("epochs", "seconds"))
    print(
        f"mean regret {mean(regrets):+.2f} points (95 %: {interval.low:+.2f} to {interval.high:+.2f}) at"
        f" {epochs / whole.epochs:.0%} of the grid's epochs and {seconds / whole.seconds:.0%} of its seconds"
    )


if __name__ == "__main__":
    main()
