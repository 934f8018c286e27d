"""Which module answers which statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module

from leaky.claims.experiment import Experiment

_MODULES = (
    "adversaries",
    "converting",
    "cost",
    "definitions",
    "depth",
    "differences",
    "dying",
    "fixed",
    "gradients",
    "growth",
    "higher",
    "kink",
    "linearity",
    "rivals",
    "silence",
    "sparsity",
    "training",
)


def _experiments() -> Iterator[Experiment]:
    for name in _MODULES:
        yield from import_module(f"leaky.claims.{name}").EXPERIMENTS


#: by statement, in the order of the statements
EXPERIMENTS: dict[str, Experiment] = {
    experiment.id: experiment for experiment in sorted(_experiments(), key=lambda experiment: int(experiment.id[1:]))
}


def chosen(ids: Iterable[str] | None) -> tuple[Experiment, ...]:
    """Return the experiments of these statements, each once and in the order of the statements; of all if ``None``.

    Raises:
        ValueError: there is no such statement.
    """
    if ids is None:
        return tuple(EXPERIMENTS.values())
    wanted = {given.strip().upper(): given for given in ids}
    for key, given in wanted.items():
        if key not in EXPERIMENTS:
            known = list(EXPERIMENTS)
            raise ValueError(f"ids: {given!r}; expected {known[0]} to {known[-1]}")
    return tuple(e for e in EXPERIMENTS.values() if e.id in wanted)
