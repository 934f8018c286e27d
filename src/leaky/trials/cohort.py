"""Cohorts: trials of several slopes and seeds in lockstep, as one batched program."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from leaky.activation import Activation
from leaky.torch.randomness import random_state_kept, seed_all
from leaky.trials.making import Made, make
from leaky.trials.record import Epoch, Trial
from leaky.trials.stacking import Stack
from leaky.trials.surveying import Survey
from leaky.trials.task import Task
from leaky.trials.training import batches, broken, hopeless, one_thread, run_trial, seeds

#: activation and seed of a trial
Member = tuple[Activation, int]

# Bytes just below what the GNU C library takes from the system apart, whatever it has learnt.
_KEPT = 2**25 - 2**12


def run_cohort(task: Task, members: Sequence[Member], floor: Sequence[float] = ()) -> list[Trial]:
    """Train the task's network once for each activation and seed, all in lockstep, and return the trials.

    Each is what :func:`leaky.trials.run_trial` returns, to the last bit where :func:`leaky.trials.suiting.exact` says so, and
    elsewhere to rounding. Only the time of a step is the cohort's, divided by its members.

    Args:
        task: what is trained.
        members: with activations among ReLU, Leaky ReLU and PReLU.
        floor: see :func:`leaky.trials.run_trial`.

    Raises:
        Unsuited: the networks cannot be trained so.
    """
    with in_lockstep():
        trials = Cohort(task, members).train(floor)
    # One that diverged is looked at by itself, where an infinite number may have gone another way.
    return [trial or run_trial(task, *member, floor) for trial, member in zip(trials, members, strict=True)]


@dataclass
class _Course:
    """What has become of one member."""

    epochs: list[Epoch]
    stopped: int | None = None
    diverged: bool = False
    #: learned so far
    slopes: tuple[float, ...] = ()

    @property
    def over(self) -> bool:
        """Whether it is looked at no more."""
        return self.diverged or self.stopped is not None


class Cohort:
    """Trainings in lockstep. One that is over goes on with the others, which it does not touch, and is not looked at.

    Args:
        task: see :func:`run_cohort`, as for what is raised.
        members: see there.
    """

    def __init__(self, task: Task, members: Sequence[Member]) -> None:
        self._task, self._members = task, members
        self._train, self._test = task.tensors("train"), task.tensors("test")
        networks = [born(task, *member) for member in members]
        self._survey = Survey(task, networks[0], self._train)
        self._stack = Stack(task, networks)
        self._orders = [torch.Generator().manual_seed(seeds(seed)[1]) for _, seed in members]
        self._seconds: list[float] = []

    def train(self, floor: Sequence[float] = ()) -> list[Trial | None]:
        """Train all to the end; return what was measured, and None of those that diverged."""
        courses = [_Course([epoch]) for epoch in self._measured()]
        for number in range(1, self._task.epochs + 1):
            if all(course.over for course in courses):
                break
            sound = self._train_epoch()
            news = zip(courses, sound, self._measured(), self._stack.learned(), strict=True)
            for course, trained, epoch, slopes in news:
                if not course.over:
                    course.epochs.append(epoch)
                    course.slopes = slopes
                    course.diverged = not trained or broken(epoch)
                    course.stopped = number if hopeless(self._task, floor, number, epoch) else None
        return [
            None if course.diverged else self._trial(*member, course)
            for member, course in zip(self._members, courses, strict=True)
        ]

    def step(self, batch: Tensor) -> Tensor:
        """Train on the samples with these indices, shape (members, batch); return the losses, shape (members,)."""
        (x, y) = self._train
        batch_x, batch_y = x[batch], y[batch]
        start = time.perf_counter()
        losses = self._stack.step(batch_x, batch_y)
        self._seconds.append(time.perf_counter() - start)
        return losses

    def _train_epoch(self) -> list[bool]:
        """Train on every batch once; return for each member whether all its losses were finite."""
        samples = len(self._train[0])
        orders = torch.stack([torch.randperm(samples, generator=order) for order in self._orders])
        losses = [self.step(batch) for batch in batches(self._task, orders)]
        finite: list[bool] = torch.stack(losses).isfinite().all(0).tolist()
        return finite

    def _measured(self) -> list[Epoch]:
        return self._survey.measure(self._stack, self._train, self._test)

    def _trial(self, activation: Activation, seed: int, course: _Course) -> Trial:
        return Trial(
            activation=str(activation),
            seed=seed,
            diverged=None,
            epochs=tuple(course.epochs),
            sites=tuple(self._survey.axes),
            units=tuple(self._survey.units),
            layers=tuple(self._survey.layers),
            seconds_per_step=statistics.median(self._seconds or [0.0]) / len(self._members),
            stopped=course.stopped,
            slopes=course.slopes,
        )


@contextmanager
def in_lockstep() -> Iterator[None]:
    """Set PyTorch up for cohorts, and put back what the caller had."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with one_thread(), random_state_kept(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # whether it is slower is measured
        torch.backends.mha.set_fastpath_enabled(False)  # which vmap does not know
        # The C library gives freed memory back, and each of its pages costs a fault when it is asked for again: a quarter
        # of a measurement. A large block that is freed raises the amount that it keeps.
        torch.empty(_KEPT, dtype=torch.uint8)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


def born(task: Task, activation: Activation, seed: int) -> Made:
    """Return the network of a trial, as it is at birth."""
    seed_all(seeds(seed)[0])
    return make(task, activation)
