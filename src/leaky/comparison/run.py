"""``leaky.compare``: every arm on every seed, and the verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from operator import index
from pathlib import Path

from leaky.activation import Activation
from leaky.comparison.result import Comparison
from leaky.comparison.verdict import judge
from leaky.inputs.arguments import several
from leaky.trials import (
    Cohorts,
    Engine,
    Study,
    Task,
    TaskSource,
    complete,
    describe,
    environment,
    load_task,
    rehearse,
    suits,
)
from leaky.wording import listing

_MOST_SEEDS = 10_000
_log = logging.getLogger("leaky")

#: the arms of a comparison where none are named
DEFAULT_ACTIVATIONS = (
    "relu",
    "leaky_relu(0.01)",
    "leaky_relu(0.1)",
    "leaky_relu(0.2)",
    "prelu(0.25)",
    "sigmoid",
    "tanh",
)


def compare(
    task: TaskSource = "digits",
    activations: str | Activation | Iterable[str | Activation] | None = None,
    seeds: int | Sequence[int] = 10,
    *,
    baseline: str | Activation = "relu",
    epochs: int | None = None,
    jobs: int | None = None,
    engine: str = "loky",
    cohort: bool | None = None,
    study: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Train a task with every activation on the same seeds, and judge each against the baseline.

    Args:
        task: a :class:`leaky.Task`, the name of a built-in one (``digits``, ``digits-shallow``, ``mnist1d``, ``mnist``,
            ``deep``), or ``"mine.py:task"``, which runs that file.
        activations: the arms, as :class:`leaky.Activation` or as text such as ``"leaky_relu(0.1)"``; by default seven,
            or those of them that a network can be had with that says ReLU in its own way.
        seeds: how many (0, 1, …; at most 10,000), or which.
        baseline: what the others are held against; it is trained too if ``activations`` lacks it.
        epochs: instead of the task's own number.
        jobs: trials at a time, each in a process of one thread; by default as many as cores.
        engine: ``"loky"`` for processes on this machine, or ``"dask://HOST:PORT"`` for a dask cluster that is running.
        cohort: train networks that differ in slope and seed alone as one program, sixteen at a time, which is faster for small
            ones. By default, where it is faster and every number is the same as without it, to the last bit; True, also
            where numbers are rounded otherwise; False, never.
        study: an SQLite file, or the URL of a database (``postgresql://…``), that records each finished trial. With it, the
            same call goes on where an earlier one was stopped, and calls at the same time, on one machine or several,
            share the trials. Those of another recipe or version in it are kept, and not used.
        progress: called with the trials finished and the trials in all: once before the first (when the first number
            counts those found in the study), then after each.

    Returns:
        All trials and verdicts. The same seeds give the same numbers, except for the timings, in any order and with any number of jobs.

    Raises:
        TaskError: a :class:`ValueError`; the task cannot be loaded or trained, not be trained as a cohort where that is
            asked for, or the study not be used.
        ValueError: an activation or a number is not as described.
        TypeError: the task or an activation is no text, and nothing else that it may be.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs: {jobs}; expected at least 1")
    chosen = None if activations is None else _arms(activations)
    base, numbers = _arm("baseline", baseline), _seed_numbers(seeds)
    loaded = load_task(task, epochs)
    arms = _default_arms(loaded) if chosen is None else chosen
    arms = list(dict.fromkeys(arms if base in arms else [base, *arms]))
    for arm in arms:
        if arm.slope_warning:
            _log.warning(arm.slope_warning)
    marks = {str(arm): rehearse(loaded, arm) for arm in arms}
    cohorts = Cohorts(loaded, arms, cohort)
    record = Study(study, f"compare {loaded.name}", {str(arm): marks[str(arm)] + cohorts.mark(arm) for arm in arms})
    finished = record.finished()
    wanted = [(arm, seed) for seed in numbers for arm in arms]
    pending = [(arm, seed) for arm, seed in wanted if (str(arm), seed) not in finished]
    _announce(record, study, found=len(wanted) - len(pending), total=len(wanted))
    report = progress or (lambda done, total: None)
    report(len(wanted) - len(pending), len(wanted))
    jobs = min(jobs, len(pending)) if jobs and pending else jobs
    with (
        Engine(loaded, jobs, engine) as trainers,
        closing(complete(trainers, record, wanted, pending, cohorts)) as running,
    ):
        for done, trial in enumerate(running, len(wanted) - len(pending) + 1):
            finished[trial.activation, trial.seed] = trial
            report(done, len(wanted))
    trials = tuple(finished[str(arm), seed] for arm in arms for seed in numbers)
    scores = {str(arm): [finished[str(arm), seed].score for seed in numbers] for arm in arms}
    return Comparison(
        task=loaded.name,
        metric=loaded.metric,
        recipe=describe(loaded, base) | cohorts.words,
        environment=environment(),
        samples=len(loaded.tensors("train")[0]),
        baseline=str(base),
        activations=tuple(scores),
        seeds=numbers,
        trials=trials,
        verdicts=judge(scores, str(base), loaded.metric),
    )


def part(comparison: Comparison, arms: Sequence[str], baseline: str) -> Comparison:
    """Return the comparison of some of the arms, judged for themselves and against another baseline."""
    scores = {arm: [trial.score for trial in comparison.arms[arm]] for arm in arms}
    return replace(
        comparison,
        baseline=baseline,
        activations=tuple(arms),
        trials=tuple(trial for arm in arms for trial in comparison.arms[arm]),
        verdicts=judge(scores, baseline, comparison.metric),
    )


def _arms(given: str | Activation | Iterable[str | Activation]) -> list[Activation]:
    if isinstance(given, str | Activation):
        given = [given]
    expected = "a name such as leaky_relu(0.1), a leaky.Activation, or a list of these"
    return [_arm("activations", each) for each in several("activations", given, expected)]


def _arm(argument: str, given: str | Activation) -> Activation:
    """Return an activation; what is wrong with it is wrong with the argument."""
    try:
        return Activation.parse(given)
    except (TypeError, ValueError) as error:
        raise type(error)(argument + str(error).removeprefix("activation")) from None


def _default_arms(task: Task) -> list[Activation]:
    """Return the arms of a comparison where none are named, but for those that the network cannot have."""
    arms = [Activation.parse(text) for text in DEFAULT_ACTIVATIONS]
    suited = [arm for arm in arms if suits(task, arm)]
    if others := [str(arm) for arm in arms if arm not in suited]:
        _log.info("Without %s: the network says ReLU in its own way, and is converted.", listing(others))
    return suited


def _announce(record: Study, study: str | Path | None, *, found: int, total: int) -> None:
    """Say what of an earlier run is used, and what is not."""
    if found:
        rest = f"running the other {total - found}" if found < total else "none is run again"
        _log.info("%d of %d trials are finished in %s; %s.", found, total, study, rest)
    elif others := record.others():
        _log.info("%s holds %d trials of another recipe, network or version; they stay there, unused.", study, others)


def _seed_numbers(seeds: int | Sequence[int]) -> tuple[int, ...]:
    expected = f"seeds: {seeds!r}; expected a number from 1 to {_MOST_SEEDS:,}, or a list of seeds from 0"
    try:
        which = range(index(seeds)) if hasattr(seeds, "__index__") else seeds
        if isinstance(seeds, bool) or not 1 <= len(which) <= _MOST_SEEDS:
            raise ValueError(expected)
        numbers = tuple(dict.fromkeys(index(seed) for seed in which))
    except TypeError:
        raise ValueError(expected) from None
    if min(numbers) < 0:
        raise ValueError(expected)
    return numbers
