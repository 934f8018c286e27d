"""Whether a task's network can be trained as a cohort, and to which numbers: tried out rather than guessed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import cycle, islice

import numpy as np
import torch

from leaky.activation import Activation
from leaky.trials.cohort import Cohort, Member, born, in_lockstep
from leaky.trials.parts import Unsuited
from leaky.trials.record import Trial
from leaky.trials.task import Task
from leaky.trials.tracing import AFTER
from leaky.trials.training import run_trial, step
from leaky.user_code import one_line

# What vmap says, in other words.
_SAID = {
    "random operation": "it draws random numbers in training",
    "data-dependent control flow": "what it does depends on the values of its data",
    "we do not yet support": "one of its operations cannot be run for several networks at once",
    "Batching rule not implemented": "one of its operations cannot be run for several networks at once",
}

# Relative differences between numbers of a cohort and of single trials that may come from rounding: in the losses of two
# steps on one batch, and at birth. Anything else that comes in between, such as noise, makes larger ones.
_STEPS, _BIRTH = 1e-4, 1e-3

# Seconds that one thing is timed for; and of a step, below which it matters that a cohort's steps are traced after some.
_TIMED, _SMALL = 0.1, 0.003


def exact(task: Task, activations: Sequence[Activation], size: int) -> bool:
    """Train for an epoch as a cohort and as single trials; return whether all numbers are the same to the last bit.

    Args:
        task: what is trained.
        activations: among ReLU, Leaky ReLU and PReLU; of each kind those with the least and the largest slope are tried.
        size: members of the cohort.

    Raises:
        Unsuited: the network cannot be trained as a cohort, or comes to numbers that differ by more than rounding.
    """
    short = replace(task, epochs=1)
    tried = [(activation, seed) for seed, activation in enumerate(_extremes(activations))]
    members = list(islice(cycle(tried), max(size, len(tried))))
    with _in_words():
        with in_lockstep():
            together = Cohort(short, members).train()
        alone = {member: run_trial(short, *member) for member in tried}
        if all(_same(one, alone[member]) for one, member in zip(together, members, strict=True)):
            return True
        with in_lockstep():
            _compare_steps(task, tried)
    for one, member in zip(together, tried, strict=False):
        _compare_at_birth(one, alone[member])
    return False


def faster(task: Task, members: Sequence[Member]) -> float:
    """Return how many times as fast these members train as a cohort than one after the other, by timing some steps.

    Raises:
        Unsuited: they cannot be trained so.
    """
    with _in_words(), in_lockstep():
        x, y = (part[: task.batch_size] for part in task.tensors("train"))
        model = born(task, *members[0]).model
        optimizer = task.make_optimizer(model)
        alone = _seconds(lambda: step(task, model, optimizer, x, y))
        if alone > _TIMED / 2:  # a large network, which a few members tell enough of
            members = members[:2]
        cohort = Cohort(task, members)
        batch = torch.arange(len(x)).expand(len(members), -1)
        for _ in range(AFTER if alone < _SMALL else 0):
            cohort.step(batch)
        return alone * len(members) / _seconds(lambda: cohort.step(batch))


@contextmanager
def _in_words() -> Iterator[None]:
    """Say in one line whatever vmap, or the network under it, has to say."""
    try:
        yield
    except Unsuited:
        raise
    except Exception as error:
        said = next((words for sign, words in _SAID.items() if sign in str(error)), one_line(error))
        raise Unsuited(said) from error


def _seconds(call: Callable[[], object]) -> float:
    """Return the shortest of some durations of a call, after one for the caches: in this thread, whatever else runs."""
    call()
    durations: list[float] = []
    while not durations or sum(durations) < _TIMED:
        start = time.thread_time()
        call()
        durations.append(time.thread_time() - start)
    return min(durations)


def _extremes(activations: Sequence[Activation]) -> list[Activation]:
    """Return, of each kind, those with the least and the largest slope."""
    found: list[Activation] = []
    for kind in dict.fromkeys(activation.name for activation in activations):
        ordered = sorted((a for a in activations if a.name == kind), key=lambda a: a.parameters)
        found += dict.fromkeys((ordered[0], ordered[-1]))
    return found


def _same(one: Trial | None, alone: Trial) -> bool:
    """Say whether a trial is the same to the last bit; one that diverges in a cohort is trained again by itself."""
    return one is None or replace(one, seconds_per_step=0) == replace(alone, seconds_per_step=0)


def _compare_steps(task: Task, members: Sequence[Member]) -> None:
    """Train for two steps on the same batch, together and apart."""
    cohort = Cohort(task, members)
    x, y = (part[: task.batch_size] for part in task.tensors("train"))
    batch = torch.arange(len(x)).expand(len(members), -1)
    together = [cohort.step(batch).tolist() for _ in range(2)]
    for member, losses in zip(members, zip(*together, strict=True), strict=True):
        model = born(task, *member).model
        optimizer = task.make_optimizer(model)
        alone = [step(task, model, optimizer, x, y).item() for _ in range(2)]
        _compare(f"{member[0]}: its loss in training", losses, alone, _STEPS)


def _compare_at_birth(one: Trial | None, alone: Trial) -> None:
    if one is None:
        if alone.diverged is None:
            raise Unsuited(f"{alone.activation}: it diverges only as a cohort")
        return
    if (one.sites, one.units, one.layers) != (alone.sites, alone.units, alone.layers):
        raise Unsuited("its activations are not the same for all arms")
    for name, numbers in asdict(one.epochs[0]).items():
        what = f"{alone.activation}: its {name.replace('_', ' ')} at birth"
        _compare(what, numbers, getattr(alone.epochs[0], name), _BIRTH)


def _compare(what: str, together: object, alone: object, rounding: float) -> None:
    """Refuse numbers that differ by more than a part of the largest of them."""
    one, other = (np.atleast_1d(np.array(numbers, np.float64)) for numbers in (together, alone))
    apart = np.where(np.isnan(one) & np.isnan(other), 0.0, np.abs(one - other))
    if not (apart <= rounding * np.nanmax(np.abs(other), initial=0.0)).all():
        where = int(apart.argmax())
        raise Unsuited(f"{what} is {one[where]:.6g} as a cohort, {other[where]:.6g} alone")
