"""Which module answers which statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module

from leaky.claims.experiment import Experiment
from leaky.inputs.arguments import several
from leaky.wording import shown

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
        TypeError: it is no list of them.
    """
    if ids is None:
        return tuple(EXPERIMENTS.values())
    known = f"{next(iter(EXPERIMENTS))} to {list(EXPERIMENTS)[-1]}"
    wanted = set()
    for given in several("ids", ids, f"a list of {known}"):
        if not isinstance(given, str):
            raise TypeError(f"ids: {shown(given)}; expected texts from {known}")
        wanted.add(given.strip().upper())
        if given.strip().upper() not in EXPERIMENTS:
            raise ValueError(f"ids: {given!r}; expected {known}")
    return tuple(e for e in EXPERIMENTS.values() if e.id in wanted)
