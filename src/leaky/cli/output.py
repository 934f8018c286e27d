"""What the commands share: where results go, what is said meanwhile, and progress."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from leaky import stopping


class ResultConsole(Console):
    """A console that leaves a closed pipe to ``main``, where rich would exit with code 1."""

    def on_broken_pipe(self) -> None:
        """Raise what Python itself raises."""
        raise BrokenPipeError


def check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a place that cannot be written before the work is done rather than after it."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"--output: {str(path)!r}; expected a name that ends in {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise ValueError(f"--output: the folder {str(path.parent)!r} is not there")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"--output: {str(path)!r} cannot be written")


def study_place(study: str | None, output: Path, stem: str) -> str | Path:
    """Return where trials are recorded: as asked for, a file or a URL, or beside the output, by the task's name."""
    if study is not None and "://" in study:
        return study
    place = output.parent / f"{stem}.db" if study is None else Path(study)
    if output.resolve() == place.resolve():
        raise ValueError(f"--study: {str(place)!r} is the output too; expected another file")
    return place


def say_what_is_kept(study: str | Path) -> None:
    """After an interrupt, say where finished trials are."""

    def words() -> str:
        if isinstance(study, Path) and not study.exists():
            return "Stopped before the first trial; the same command begins again."
        where = study if isinstance(study, Path) else "the study"
        return f"Stopped. Finished trials are in {where}; the same command goes on from there."

    stopping.say_at_the_end(words)


@contextmanager
def messages() -> Iterator[None]:
    """Show what the library has to say on standard error, as plain lines, above any progress bar."""
    logger = logging.getLogger("leaky")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar with the time left on a terminal's standard error; nothing in a pipe."""
    console = Console(stderr=True)
    columns = (
        TextColumn(what),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar: Any = None

        def update(done: int, total: int | None) -> None:
            nonlocal bar
            if bar is None:
                # Trials found in a study took no time now: they must not count in the speed.
                bar = progress.add_task(what, total=total, completed=done)
            else:
                progress.update(bar, completed=done)

        yield update


@contextmanager
def work_bar() -> Iterator[Callable[[float, float, str], None]]:
    """Show a bar of work of unlike parts with the time left, and which part is under way; nothing in a pipe."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:3}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=120
    ) as progress:
        bar: Any = None

        def update(done: float, total: float, what: str) -> None:
            nonlocal bar
            if bar is None:
                # What was found recorded took no time now: it must not count in the speed.
                bar = progress.add_task(what, total=total, completed=int(done))
            else:
                progress.update(bar, completed=done, description=what)

        yield update
