"""Trainings that are no :class:`leaky.Task`: run side by side in processes, and each recorded when it has finished."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Mapping
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from leaky.claims.experiment import Lab, Measured
from leaky.claims.record import Record
from leaky.trials import Study, TaskError, environment
from leaky.trials.engine import end_with
from leaky.trials.interrupts import interrupts_held_back, interrupts_kept_from_children


class Pieces(Record):
    """The finished pieces of one experiment, each a row.

    Args:
        place: see :class:`leaky.trials.Study`.
        name: of the study there.
        keys: of the pieces.
        fingerprint: of all that they depend on. Pieces with another one are not seen.
    """

    def __init__(self, place: Any, name: str, keys: Mapping[str, Any], fingerprint: str) -> None:
        Study.__init__(self, place, name, dict.fromkeys(keys, fingerprint))


def gathered(
    lab: Lab, name: str, train: Callable[..., Measured], calls: Mapping[str, tuple[Any, ...]]
) -> dict[str, Measured]:
    """Return what ``train`` returns for each call, by its key; what is recorded is not run again.

    Args:
        lab: the study, and how many are run at a time.
        name: of the pieces in the study.
        train: a function of a module; it seeds what it draws, and uses one thread. With another text of that module, or
            versions, what is recorded does not count.
        calls: the arguments of each.

    Raises:
        TaskError: a process was killed, or the study cannot be used; pieces that had finished are recorded.
    """
    text = Path(inspect.getfile(train)).read_bytes() + repr(environment()).encode()
    record = Pieces(lab.study, name, calls, hashlib.sha256(text).hexdigest()[:16])
    found = record.measured()
    missing = {key: arguments for key, arguments in calls.items() if key not in found}

    def note(key: str, piece: Measured) -> None:
        found[key] = piece
        record.note(key, piece)
        lab.report(len(found) / len(calls))

    jobs = min(lab.jobs or joblib.cpu_count(), max(1, len(missing)))
    if jobs == 1:
        for key, arguments in missing.items():
            note(key, train(*arguments))
    else:
        _side_by_side(jobs, train, missing, note)
    return {key: found[key] for key in calls}


def _side_by_side(
    jobs: int,
    train: Callable[..., Measured],
    calls: Mapping[str, tuple[Any, ...]],
    note: Callable[[str, Measured], None],
) -> None:
    executor = get_reusable_executor(jobs, timeout=300, initializer=partial(end_with, os.getpid()), reuse=False)
    try:
        with interrupts_held_back(), interrupts_kept_from_children():
            running = {executor.submit(train, *arguments): key for key, arguments in calls.items()}
        for future in as_completed(running):
            note(running[future], future.result())
    except TerminatedWorkerError as error:
        raise TaskError(
            "a training's process was killed, perhaps for lack of memory; run again to go on, with fewer --jobs"
        ) from error
    finally:
        with interrupts_held_back():
            executor.shutdown(wait=False, kill_workers=True)
