"""Every statement in turn: measured unless that is recorded, and judged."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from leaky.claims.experiment import Experiment, Lab
from leaky.claims.record import Record
from leaky.claims.registry import chosen
from leaky.claims.result import Claims
from leaky.trials import environment

#: called with the seconds' worth of work that is done, of all, and what is under way
Progress = Callable[[float, float, str], None]


def run(
    ids: str | Iterable[str] | None = None,
    *,
    study: str | Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Claims:
    """Put statements of the articles to the test.

    Args:
        ids: which, such as ``"S7"`` or ``["S7", "S12"]``; all of them by default.
        study: an SQLite file, or the URL of a database, that records what was measured and trained. With it, the same call
            goes on where an earlier one was stopped.
        jobs: trainings at a time; by default as many as cores.
        progress: called with the work done and all the work, both as the seconds that it takes on two cores, and with the
            statement in work.

    Returns:
        The statements and their answers. The same call gives the same verdicts, but for S16 and S17, which are judged by
        times too.

    Raises:
        TaskError: a :class:`ValueError`; the study cannot be used, or a training failed.
        ValueError: there is no such statement, or jobs is below 1.
        TypeError: ``ids`` is neither a text nor a list of them.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs: {jobs}; expected at least 1")
    return answer(chosen([ids] if isinstance(ids, str) else ids), study=study, jobs=jobs, progress=progress)


def answer(
    experiments: tuple[Experiment, ...],
    *,
    study: str | Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Claims:
    """Run these experiments; see :func:`run`."""
    if study is None:
        # Statements share trainings by the study: where none is asked for, it lasts as long as the call.
        with tempfile.TemporaryDirectory(prefix="leaky-") as folder:
            return answer(experiments, study=Path(folder) / "claims.db", jobs=jobs, progress=progress)
    say = progress or (lambda done, total, what: None)
    record = Record(study, experiments)
    measured = record.measured()
    total = sum(e.seconds for e in experiments)
    # What was found recorded takes no time now: it counts as done before the first call.
    done = sum(e.seconds for e in experiments if e.id in measured)
    for experiment in experiments:
        if experiment.id in measured:
            continue

        def report(share: float, begin: float = done, now: Experiment = experiment) -> None:
            say(begin + now.seconds * share, total, now.id)

        report(0.0)
        lab = Lab(study, jobs, report)
        # What is judged is what is recorded: a first run and one that goes on judge the same.
        measured[experiment.id] = json.loads(json.dumps(experiment.measure(lab), allow_nan=False))
        record.note(experiment.id, measured[experiment.id])
        done += experiment.seconds
    say(total, total, "")
    return Claims(
        statements=tuple(e.statement for e in experiments),
        answers=tuple(e.judge(measured[e.id]) for e in experiments),
        environment=environment(),
    )
