"""Trials trained in lockstep, as cohorts, against single ones: 30 of the default task by each way, on as many cores.

    python bench/cohort.py            both ways, in turn: seconds, and how many single trials take as long as 30 in cohorts
    python bench/cohort.py --rounds 5

Six single trials are shared out evenly; their time and that of the cohorts come out of the same engine with the same
processes, whose start is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import median

import joblib

from leaky import Activation
from leaky.trials import Cohorts, Engine, load_task
from leaky.trials.cohort import Member

SLOPES = (0.0, 0.01, 0.1, 0.2, 0.3, 0.5)
SEEDS = 5


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="digits")
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    task = load_task(options.task)
    arms = [Activation("leaky_relu", (slope,)) if slope else Activation("relu") for slope in SLOPES]
    many = [(arm, seed) for arm in arms for seed in range(SEEDS)]
    few = [[(arm, 0)] for arm in arms]
    together = Cohorts(task, arms, asked=True).groups(many, many, options.jobs)
    print(f"{task!r}, {options.jobs} processes; {len(few)} single trials, and {len(many)} in {len(together)} cohorts")
    shares = []
    with Engine(task, options.jobs) as engine:
        seconds(engine, few[: options.jobs])  # starts the processes
        for _ in range(options.rounds):
            single, cohorts = seconds(engine, few), seconds(engine, together)
            shares.append(cohorts / single * len(few))
            print(
                f"single {single:.1f} s, cohorts {cohorts:.1f} s: as long as {shares[-1]:.1f} single trials", flush=True
            )
    print(
        f"{len(many)} trials in cohorts take as long as {median(shares):.1f} single ones (median of {options.rounds})"
    )


def seconds(engine: Engine, pending: Sequence[Sequence[Member]]) -> float:
    """Return how long the engine takes."""
    start = time.perf_counter()
    assert len(list(engine.run(pending))) == sum(map(len, pending))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
