"""Which trainings run as one program, as a cohort: those that may, where that is faster."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import cycle, islice
from math import ceil

import numpy as np

from leaky.activation import Activation
from leaky.trials.cohort import Member
from leaky.trials.making import suits
from leaky.trials.parts import SLOPED, Unsuited
from leaky.trials.suiting import exact, faster
from leaky.trials.task import Task, TaskError

# Members of a cohort at most: in larger ones each costs hardly less, and more is lost with a process that is killed.
_MOST = 16

# How many times as fast a cohort has to be to be worth it.
_WORTH = 1.2

# Members of the one that is timed.
_TIMED = 8

# What it takes to find out whether to form them, in single trainings: epochs, and steps. It has to be a small part of the work.
_EPOCHS, _STEPS, _PART = 10, 1000, 0.2


class Cohorts:
    """How the trainings of a task are put together.

    A trial that is trained in a cohort has the numbers of one that is trained by itself, to the last bit: otherwise no
    cohorts are formed, unless they are asked for. Then groups depend on what is wanted in all, and not on what is finished
    already, so that a run that was stopped comes to the same numbers.

    Args:
        task: what is trained.
        activations: that are to be trained, or some like them.
        asked: whether to form cohorts; None, where they are found to be faster, and the numbers are the same.
    """

    def __init__(self, task: Task, activations: Sequence[Activation], asked: bool | None = None) -> None:
        self._task, self._asked = task, asked
        self._able = [activation for activation in activations if activation.name in SLOPED]

    def mark(self, activation: Activation) -> str:
        """Return what is added to an activation's fingerprint where its numbers are not those of single trainings."""
        return ", in cohorts" if activation.name in SLOPED and self.rounded else ""

    def groups(self, missing: Collection[Member], wanted: Sequence[Member], jobs: int) -> list[list[Member]]:
        """Share out what is missing of what is wanted, among so many processes.

        Raises:
            TaskError: see :attr:`rounded`.
        """
        able = [member for member in missing if member[0].name in SLOPED]
        others = [[member] for member in missing if member[0].name not in SLOPED]
        if not self._formed(len(able)):
            return [[member] for member in missing]
        if self._exact:
            count = min(max(1, len(able) // 2), jobs * ceil(len(able) / (jobs * _MOST)))
            return [able[i::count] for i in range(count)] + others
        every = [member for member in wanted if member[0].name in SLOPED]
        chunks = (every[i : i + _MOST] for i in range(0, len(every), _MOST))
        return [chunk for chunk in chunks if not set(able).isdisjoint(chunk)] + others

    @property
    def rounded(self) -> bool:
        """Whether the numbers differ from those of single trainings by rounding.

        Raises:
            TaskError: cohorts were asked for, and the network does not allow it.
        """
        return bool(self._asked) and self._exact is False

    @property
    def words(self) -> dict[str, str]:
        """What a recipe says of it, where it has to."""
        how = f"in cohorts of up to {_MOST}, which round otherwise than single trainings"
        return {"trained": how} if self.rounded else {}

    def _formed(self, trainings: int) -> bool:
        """Say whether cohorts are formed, which is found out once, and only for as many trainings as that pays for."""
        if self._asked is None and "_exact" not in vars(self):
            steps = ceil(len(np.asarray(self._task.x)) / self._task.batch_size)
            if _PART * trainings * self._task.epochs * steps < _EPOCHS * steps + _STEPS:
                return False
        return self._exact is not None

    @cached_property
    def _exact(self) -> bool | None:
        """Whether the numbers of a cohort are those of single trainings to the last bit; None where none is formed."""
        arms = [] if self._asked is False else [arm for arm in self._able if suits(self._task, arm)]
        if not arms:
            return None
        try:
            if self._asked is None and faster(self._task, [(arm, 0) for arm in islice(cycle(arms), _TIMED)]) < _WORTH:
                return None
            same = exact(self._task, arms, _MOST)
        except Unsuited as error:
            if self._asked:
                raise TaskError(f"cohort: not possible for this network: {error}") from None
            return None
        return same or (False if self._asked else None)
