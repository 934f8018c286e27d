"""``leaky.tune``: the slope that suits a task, by the fewest trainings that can tell."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from leaky.activation import Activation
from leaky.comparison import compare, part
from leaky.trials import (
    Cohorts,
    Engine,
    Study,
    Task,
    TaskError,
    TaskSource,
    Trial,
    complete,
    describe,
    environment,
    load_task,
    places,
    rehearse,
    suits,
)
from leaky.tuning.layers import MOST_TRIALS, Layers, LayerSearch
from leaky.tuning.result import Tuning
from leaky.tuning.search import LEARNED, START, Key, Round, Search
from leaky.wording import counted

#: seeds on which the answer is confirmed: ones that no search comes to
_FRESH = range(1_000_000, 1_000_010)

#: arms against which it is
_BASELINE = Activation("leaky_relu", (0.01,))
_RIVALS = (_BASELINE, Activation("relu"), Activation("prelu"))

_log = logging.getLogger("leaky")


def tune(
    task: TaskSource = "digits",
    *,
    tolerance: float = 0.01,
    trials: int = 200,
    seconds: float | None = None,
    confirm: bool = True,
    per_layer: bool = False,
    first_seed: int = 0,
    epochs: int | None = None,
    jobs: int | None = None,
    engine: str = "loky",
    cohort: bool | None = None,
    study: str | Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Tuning:
    """Find the negative slope that suits a task, and say how sure that is.

    Slopes are tried on several seeds each, and chosen on a quarter of the training data that is set aside: the test data
    are not looked at before the answer stands. It is then confirmed on fresh seeds and the test data.

    Args:
        task: see :func:`leaky.compare`.
        tolerance: in the units of the metric (accuracy: 0 … 1). The search ends when the slope found loses at most so
            much against the best, with 90 % certainty.
        trials: it ends after so many trainings in any case (not counting those that confirm, of which there are 40).
        seconds: and after so long, with the trainings that are finished then.
        confirm: train the slope found, 0.01, ReLU and PReLU on ten fresh seeds.
        per_layer: then try a slope for each site too, in about 60 more trainings, and say whether that is better than one.
        first_seed: of the search's trainings, from 0 to 899,999: with another one it is repeated on others.
        epochs: instead of the task's own number.
        jobs: trainings at a time, each in a process of one thread; by default as many as cores.
        engine: where they run, see :func:`leaky.compare`.
        cohort: whether small networks are trained several at a time, see :func:`leaky.compare`.
        study: an SQLite file or the URL of a database, see :func:`leaky.compare`. With it, the same call goes on where an
            earlier one was stopped, and comes to the same answer; calls at the same time share the trainings, and come to
            it together.
        progress: called with the trainings finished, and how many there will be at most.

    Raises:
        TaskError: a :class:`ValueError`; the task cannot be loaded or trained, no slope trains without diverging, or the
            study cannot be used.
        ValueError: a number is out of range.
    """
    _check_numbers(tolerance, trials, seconds, first_seed, jobs)
    loaded = load_task(task, epochs)
    inner = loaded.for_choosing()
    sites = _sites(inner) if per_layer else []
    search = Search(inner.epochs, tolerance, trials, first_seed, learns=suits(inner, LEARNED))
    by_site: LayerSearch | None = None
    deadline = None if seconds is None else time.monotonic() + seconds
    report = progress or (lambda done, total: None)
    with Engine(inner, jobs, engine) as trainers:
        cohorts = Cohorts(inner, [LEARNED, *(Activation("leaky_relu", (slope,)) for slope in START)], cohort)
        runner = _Runner(inner, trainers, cohorts, study, report, trials + (MOST_TRIALS if per_layer else 0))
        in_time = runner.carry_out(search, deadline)
        if search.curve is None:
            raise TaskError("task: no slope was trained without diverging, or in time; nothing can be said")
        if per_layer and in_time:
            learned = runner.finished[str(LEARNED), first_seed].slopes if search.learns else ()
            by_site = LayerSearch(search.curve.best, learned, len(sites), first_seed)
            if not runner.carry_out(by_site, deadline):
                by_site = None
    rivals = [str(arm) for arm in _RIVALS if suits(loaded, arm)]
    arms = list(dict.fromkeys([str(Activation("leaky_relu", (search.curve.best,))), *rivals]))
    whole = None
    if confirm:
        already = len(runner.finished)
        whole = compare(
            loaded,
            arms if by_site is None else [*arms, by_site.answer],
            _FRESH,
            baseline=_BASELINE,
            jobs=jobs,
            engine=engine,
            cohort=cohort,
            study=study,
            progress=lambda count, total: report(already + count, already + total),
        )
    done = [key for key in search.keys if key in runner.finished]
    return Tuning(
        task=loaded.name,
        metric=loaded.metric,
        recipe=describe(inner, Activation("leaky_relu", (search.curve.best,))) | cohorts.words,
        environment=environment(),
        slope=search.curve.best,
        as_good=search.curve.as_good,
        curve=search.curve,
        trials=tuple(runner.finished[key] for key in done),
        dropped=search.dropped,
        tolerance=tolerance,
        ended=_ended(search.curve.regret_bound <= tolerance, len(done), trials),
        confirmation=None if whole is None else part(whole, arms, str(_BASELINE)),
        layers=None if by_site is None else Layers.of(by_site, sites, runner.finished, whole, loaded.metric),
    )


class _Runner:
    """Runs rounds of trainings, and records them."""

    def __init__(
        self,
        task: Task,
        engine: Engine,
        cohorts: Cohorts,
        study: str | Path | None,
        progress: Callable[[int, int | None], None],
        most: int,
    ) -> None:
        self._task, self._engine, self._cohorts, self._progress, self._most = task, engine, cohorts, progress, most
        self._marks: dict[str, str] = {}
        self._study = Study(study, f"tune {task.name}", self._marks)
        self.finished: dict[Key, Trial] = {}

    def carry_out(self, search: Search | LayerSearch, deadline: float | None) -> bool:
        """Run all rounds of a search; return False if the time was up before they were finished."""
        while (following := search.advance(self.finished)) is not None:
            if not self.run(following, deadline):
                return False
        return True

    def run(self, wanted: Round, deadline: float | None) -> bool:
        """Run what is missing of a round; return False if the time was up before it was finished."""
        new = {arm for arm, _ in wanted.wanted if str(arm) not in self._marks}
        self._marks |= {str(arm): rehearse(self._task, arm) + self._cohorts.mark(arm) for arm in new}
        self.finished = self._study.finished()
        self._progress(len(self.finished), self._most)
        pending = [(arm, seed) for arm, seed in wanted.wanted if (str(arm), seed) not in self.finished]
        training = complete(self._engine, self._study, wanted.wanted, pending, self._cohorts, wanted.floor)
        with closing(training) as running:
            for trial in running:
                self.finished[trial.activation, trial.seed] = trial
                self._progress(len(self.finished), self._most)
                if deadline is not None and time.monotonic() > deadline:
                    return False
        return True


def _sites(task: Task) -> list[str]:
    sites = places(task)
    if len(sites) < 2:
        raise TaskError(f"per_layer: the network has {counted(len(sites), 'site')} with a slope; expected several")
    return sites


def _ended(settled: bool, done: int, most: int) -> str:
    if settled:
        return "the tolerance was reached"
    return f"{most} trainings were the most" if done >= most else "the time was up"


def _check_numbers(tolerance: float, trials: int, seconds: float | None, first_seed: int, jobs: int | None) -> None:
    if not 0 < tolerance < float("inf"):
        raise ValueError(f"tolerance: {tolerance!r}; expected a number above 0")
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 11:
        raise ValueError(f"trials: {trials!r}; expected a whole number of at least 11, which the first round takes")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds: {seconds!r}; expected a number above 0")
    if isinstance(first_seed, bool) or not isinstance(first_seed, int) or not 0 <= first_seed < 900_000:
        raise ValueError(f"first_seed: {first_seed!r}; expected a whole number from 0 to 899,999")
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs: {jobs}; expected at least 1")
