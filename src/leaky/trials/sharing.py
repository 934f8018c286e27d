"""All of the trainings that are wanted: what is not recorded yet is run here, unless another process has it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from leaky.activation import Activation
from leaky.trials.engine import Engine
from leaky.trials.record import Trial
from leaky.trials.study import Lease, Study
from leaky.trials.task import TaskError

# Seconds between two looks at what other processes have done.
_PAUSE = 0.5

Pair = tuple[Activation, int]


def complete(
    engine: Engine, study: Study, wanted: Sequence[Pair], floor: Sequence[float] = ()
) -> Generator[Trial, None, None]:
    """Yield each wanted trial as it is finished, here or elsewhere.

    Args:
        engine: runs them.
        study: records them; where it is a file or a database, other processes may be at work on it.
        wanted: activation and seed of each that was not recorded when it was last looked at.
        floor: see :func:`leaky.trials.run_trial`.

    Raises:
        TaskError: a training failed, or the study cannot be used; the trials yielded before are sound.
    """
    missing = list(wanted)
    with study.leasing() as lease:
        while missing:
            failed: list[TaskError] = []
            new = set()
            with closing(engine.run(_leased(missing, lease, failed), floor)) as running:
                for trial in running:
                    study.add(trial)
                    new.add((trial.activation, trial.seed))
                    yield trial
            if failed:
                raise failed[0]
            finished = study.finished()
            for arm, seed in missing:
                if (str(arm), seed) in finished and (str(arm), seed) not in new:
                    yield finished[str(arm), seed]
            missing = [pair for pair in missing if (str(pair[0]), pair[1]) not in finished]
            if missing and not new:
                time.sleep(_PAUSE)


def _leased(missing: list[Pair], lease: Lease, failed: list[TaskError]) -> Iterator[Pair]:
    """Yield what nobody else is at work on, leased when it is asked for; joblib must not see an error of the study."""
    for arm, seed in missing:
        try:
            mine = lease(str(arm), seed)
        except TaskError as error:
            failed.append(error)
            return
        if mine:
            yield arm, seed
