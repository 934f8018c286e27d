"""All of the trainings that are wanted: what is not recorded yet is run here, unless another process has it."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing

from leaky.trials.cohort import Member
from leaky.trials.engine import Engine
from leaky.trials.grouping import Cohorts
from leaky.trials.record import Trial
from leaky.trials.study import Lease, Study
from leaky.trials.task import TaskError

# Seconds between two looks at what other processes have done.
_PAUSE = 0.5


def complete(
    engine: Engine,
    study: Study,
    wanted: Sequence[Member],
    missing: Sequence[Member],
    cohorts: Cohorts,
    floor: Sequence[float] = (),
) -> Generator[Trial, None, None]:
    """Yield each missing trial as it is finished, here or elsewhere.

    Args:
        engine: runs them.
        study: records them; where it is a file or a database, other processes may be at work on it.
        wanted: activation and seed of each that there is to be in the end.
        missing: those of them that were not recorded when it was last looked at.
        cohorts: puts them together.
        floor: see :func:`leaky.trials.run_trial`.

    Raises:
        TaskError: a training failed, or the study cannot be used; the trials yielded before are sound.
    """
    with study.leasing() as lease:
        while missing:
            leases = _Leases(lease, missing)
            groups = cohorts.groups(missing, wanted, engine.jobs)
            new = set()
            with closing(engine.run(leases.taken(groups, whole=cohorts.rounded), floor)) as running:
                for trial in running:
                    key = trial.activation, trial.seed
                    if key in leases.mine:
                        study.add(trial)
                        new.add(key)
                        yield trial
            if leases.failed is not None:
                raise leases.failed
            finished = study.finished()
            for arm, seed in missing:
                if (str(arm), seed) in finished and (str(arm), seed) not in new:
                    yield finished[str(arm), seed]
            missing = [(arm, seed) for arm, seed in missing if (str(arm), seed) not in finished]
            if missing and not new:
                time.sleep(_PAUSE)


class _Leases:
    """Leases what is missing, one by one, when it is about to begin."""

    def __init__(self, lease: Lease, missing: Collection[Member]) -> None:
        self._lease, self._missing = lease, set(missing)
        #: activation as text, and seed, of what was leased
        self.mine: set[tuple[str, int]] = set()
        #: what went wrong with the study, which joblib must not see
        self.failed: TaskError | None = None

    def taken(self, groups: Iterable[Sequence[Member]], *, whole: bool) -> Iterator[list[Member]]:
        """Yield of each group what nobody else is at work on; or all of it, if its first missing member is free."""
        for group in groups:
            first, *others = (member for member in group if member in self._missing)
            try:
                taken = [first] if self._take(first) else []
                if taken or not whole:
                    taken += filter(self._take, others)
            except TaskError as error:
                self.failed = error
                return
            if taken:
                yield list(group) if whole else taken

    def _take(self, member: Member) -> bool:
        key = str(member[0]), member[1]
        if not self._lease(*key):
            return False
        self.mine.add(key)
        return True
