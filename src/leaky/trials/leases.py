"""Who trains what, where several processes or machines share a study: each training is leased before it is begun."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

#: seconds between two signs of life, and without one after which a lease from another machine lapses
HEARTBEAT, GRACE = 5, 60

#: what is leased: activation as text, seed, fingerprint
Key = tuple[str, int, str]


class Leases:
    """Leases on trainings, kept in an optuna study of their own beside that of the results.

    A lease is a row in state RUNNING. It is COMPLETE once the result is recorded, and FAIL if it was given up. One whose
    process is gone lapses: at once if that was on this machine, and without a sign of life for a minute if on another.

    Args:
        storage: of optuna, with ``HEARTBEAT`` and ``GRACE``.
        name: of the study of the results.
    """

    def __init__(self, storage: RDBStorage, name: str) -> None:
        self._storage = storage
        self._study = optuna.create_study(storage=storage, study_name=f"{name}: in work", load_if_exists=True)
        self._mine: dict[Key, FrozenTrial] = {}
        self._lock = threading.Lock()
        self._worker = worker()

    def take(self, key: Key) -> bool:
        """Lease a training; return False if another process has it."""
        token = uuid.uuid4().hex
        attributes = {"key": list(key), "token": token, "worker": self._worker}
        with self._lock:
            if self._rivals(key):  # who waits for it asks again and again, and each row stays
                return False
            self._study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=attributes))
            rivals = self._rivals(key)
            own = next(row for row in rivals if row.user_attrs["token"] == token)
            if own.number > min(row.number for row in rivals):  # whoever was first
                self._tell(own, TrialState.FAIL)
                return False
            self._storage.record_heartbeat(own._trial_id)
            self._mine[key] = own
        return True

    def done(self, key: Key) -> None:
        """Say that the result of a leased training is recorded."""
        self._end(key, TrialState.COMPLETE)

    def give_up(self, key: Key) -> None:
        """Leave a leased training to others."""
        self._end(key, TrialState.FAIL)

    def release(self) -> None:
        """Give up what was leased and is not done."""
        for key in list(self._mine):
            self.give_up(key)

    def _end(self, key: Key, state: TrialState) -> None:
        with self._lock:
            own = self._mine.pop(key, None)
            if own is not None:
                value = 0.0 if state is TrialState.COMPLETE else None
                self._tell(own, state, value)

    def lapse(self) -> None:
        """Give up the leases of processes that are gone."""
        with self._lock:
            stale = set(self._storage._get_stale_trial_ids(self._study._study_id))
            for row in self._running():
                if row._trial_id in stale or gone(row.user_attrs["worker"]):
                    self._tell(row, TrialState.FAIL)

    def _tell(self, row: FrozenTrial, state: TrialState, value: float | None = None) -> None:
        # It may be over already: lapsed, because this process was held up for long, or seen to have lapsed by another.
        with suppress(UpdateFinishedTrialError):
            self._study.tell(row.number, value, state, skip_if_finished=True)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Give signs of life meanwhile."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT):
                with self._lock:
                    mine = list(self._mine.values())
                for row in mine:
                    with suppress(Exception):  # what is wrong with the storage is told where results are written
                        self._storage.record_heartbeat(row._trial_id)
                self._storage.remove_session()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _rivals(self, key: Key) -> list[FrozenTrial]:
        return [row for row in self._running() if row.user_attrs["key"] == list(key)]

    def _running(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def worker() -> dict[str, str | int]:
    """Return what tells this process from all others, here and elsewhere."""
    return {"place": _place(), "process": os.getpid(), "started": _started(os.getpid()) or ""}


def gone(other: dict[str, str | int]) -> bool:
    """Say whether a process is known to have ended: only of one on this machine can that be known."""
    return other["place"] == _place() and _started(int(other["process"])) != (other["started"] or None)


def _place() -> str:
    """Return what names this machine, and on it the container: within it, process numbers say something."""
    with suppress(OSError):
        # Machines may have one name, and outside of containers the same number for their processes' namespace.
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


def _started(process: int) -> str | None:
    """Return when a process of this machine was started, in whatever form; None if there is none of that number."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:  # it ended while this was read
        return None
    except FileNotFoundError:
        return None if Path("/proc/self").is_dir() else "unknown"
    state, *fields = text.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]
