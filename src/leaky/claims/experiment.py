"""An experiment: a statement, what is measured for it, and how the measurement is judged."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaky.claims.answer import Answer
from leaky.claims.statement import Statement
from leaky.comparison import Comparison, compare
from leaky.torch.randomness import random_state_kept, seed_all
from leaky.trials import Task, environment
from leaky.trials.training import one_thread

#: what an experiment measured: plain JSON types with texts as keys, so that it can be recorded as a whole
Measured = dict[str, Any]


@dataclass(frozen=True)
class Lab:
    """What an experiment works with."""

    #: records trainings, see :func:`leaky.compare`
    study: str | Path | None
    jobs: int | None
    #: is told the share of the experiment that is done, 0 … 1
    report: Callable[[float], None]

    def compare(
        self,
        task: str | Task,
        activations: Sequence[str],
        seeds: int | Sequence[int],
        *,
        baseline: str = "relu",
        epochs: int | None = None,
        part: tuple[float, float] = (0.0, 1.0),
    ) -> Comparison:
        """Return a comparison whose trainings are recorded; it is the ``part`` of the experiment from here to there."""
        begin, end = part
        return compare(
            task,
            activations,
            seeds,
            baseline=baseline,
            epochs=epochs,
            jobs=self.jobs,
            study=self.study,
            progress=lambda done, total: self.report(begin + (end - begin) * done / max(total, 1)),
        )


@dataclass(frozen=True)
class Experiment:
    """A statement put to the test; the measurement is recorded, and judged anew each time.

    Args:
        statement: what is tested, and by which criterion.
        measure: makes the measurement. It seeds what it draws, see :func:`repeatable`.
        judge: decides by the numbers alone.
        seconds: about as long the measurement takes on two cores, for the progress.
    """

    statement: Statement
    measure: Callable[[Lab], Measured]
    judge: Callable[[Measured], Answer]
    seconds: float

    @property
    def id(self) -> str:
        """The statement's."""
        return self.statement.id

    def fingerprint(self) -> str:
        """Return a digest of its recipe, of the modules of ours that make it, of versions and machine."""
        sources = [inspect.getsource(sys.modules[name]) for name in sorted(_modules(self.measure.__module__, set()))]
        parts = "\n".join([self.statement.recipe, *sources, repr(environment())])
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _modules(name: str, known: set[str]) -> set[str]:
    """Return the modules of statements that one takes something from, itself first, and that these do."""
    if name not in known and name.startswith(f"{__package__}."):
        known.add(name)
        for value in vars(sys.modules[name]).values():
            _modules(value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None) or "", known)
    return known


def repeatable(measure: Callable[[Lab], Measured]) -> Callable[[Lab], Measured]:
    """Return the measurement, made with seeded random numbers and one thread, and the caller's put back."""

    def measured(lab: Lab) -> Measured:
        with one_thread(), random_state_kept():
            seed_all(0)
            return measure(lab)

    measured.__module__, measured.__doc__ = measure.__module__, measure.__doc__
    return measured
