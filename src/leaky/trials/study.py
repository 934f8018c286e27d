"""The record of finished trials: an optuna study in a file, to which each trial is added whole or not at all."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.storages._rdb.models import BaseModel
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from leaky.trials.interrupts import interrupts_held_back
from leaky.trials.leases import GRACE, HEARTBEAT, Leases
from leaky.trials.record import Trial
from leaky.trials.task import TaskError

#: leases a training, by activation and seed; False if another process has it, or has done it
Lease = Callable[[str, int], bool]

#: URLs of databases that optuna can use, where a study is not an SQLite file
_URL = re.compile(r"\w+(\+\w+)?://")

#: what SQLite and PostgreSQL say of a full disk
_NO_ROOM = re.compile("disk is full|No space left")


class Study:
    """The finished trials of one task.

    A trial is one row with its score as the value (state FAIL if it diverged, so that no tool takes it for a winner)
    and everything measured in the user attribute ``trial``. It is written after it has finished, in one transaction:
    there is never a half-finished one to clean up. Only trials with the given fingerprints are seen; others, of another
    recipe, network or version, stay in the file untouched.

    Args:
        place: an SQLite file, which is made with the first trial; the URL of a database that several machines share, such as
            ``postgresql://user@host/name``; ``None`` for memory.
        name: the study's name there.
        fingerprints: of each activation, see :func:`leaky.trials.rehearse`.

    Raises:
        TaskError: the file is something else, or cannot be written; the database cannot be reached.
    """

    def __init__(self, place: str | Path | None, name: str, fingerprints: Mapping[str, str]) -> None:
        self._url = place if isinstance(place, str) and _URL.match(place) else None
        self._file = None if place is None or self._url else Path(place)
        self._storage: RDBStorage | InMemoryStorage | None = None
        self._name = name
        self._fingerprints = fingerprints
        self._opened: optuna.Study | None = None
        self._leases: Leases | None = None
        self._read: dict[tuple[str, int], Trial] = {}
        if self._file is not None:
            _check(self._file)

    def finished(self) -> dict[tuple[str, int], Trial]:
        """Return the finished trials by activation and seed."""
        for key, attributes in self._known().items():
            if key not in self._read:  # a search looks after every round
                self._read[key] = Trial.from_dict(attributes["trial"])
        return dict(self._read)

    def others(self) -> int:
        """Return how many trials of these activations are of another recipe, network or version."""
        rows = (row.user_attrs for row in self._rows())
        known = ((a["fingerprint"], self._fingerprints.get(a["activation"])) for a in rows)
        return sum(mark is not None and fingerprint != mark for fingerprint, mark in known)

    def add(self, trial: Trial) -> None:
        """Record a finished trial; once this returns, it survives a crash. One that another run recorded meanwhile stays."""
        fingerprint = self._fingerprints[trial.activation]
        if (trial.activation, trial.seed) not in self._known():
            with self._errors():
                self._open().add_trial(self._row(trial))
        if self._leases is not None:
            with self._errors():
                self._leases.done((trial.activation, trial.seed, fingerprint))

    def _row(self, trial: Trial) -> FrozenTrial:
        scores = {step: epoch.test_score for step, epoch in enumerate(trial.epochs)}
        return create_trial(
            state=_state(trial),
            value=trial.score,
            intermediate_values={step: score for step, score in scores.items() if score is not None},
            user_attrs={
                "activation": trial.activation,
                "seed": trial.seed,
                "fingerprint": self._fingerprints[trial.activation],
                "trial": trial.to_dict(),
            },
        )

    @contextmanager
    def leasing(self) -> Iterator[Lease]:
        """Provide what leases trainings, so that of all processes that use this study one runs each."""
        if self._file is None and self._url is None:
            yield lambda activation, seed: True
            return
        with self._errors():
            self._open()
            assert isinstance(self._storage, RDBStorage)
            leases = self._leases = Leases(self._storage, self._name)
            leases.lapse()  # also where nothing is left to train: one that was killed after its last result left its lease

        def lease(activation: str, seed: int) -> bool:
            key = (activation, seed, self._fingerprints[activation])
            with self._errors():
                leases.lapse()
                if (activation, seed) in self._known() or not leases.take(key):
                    return False
                if (activation, seed) in self._known():  # finished between two looks
                    leases.give_up(key)
                    return False
            return True

        try:
            with leases.alive():
                yield lease
        finally:
            self._leases = None
            with suppress(TaskError), self._errors():  # if it fails, they lapse
                leases.release()

    def _known(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Return the attributes of the finished trials; of two rows of the same trial, the first."""
        known: dict[tuple[str, int], dict[str, Any]] = {}
        for row in self._rows():
            a = row.user_attrs
            if a["fingerprint"] == self._fingerprints.get(a["activation"]):
                known.setdefault((a["activation"], a["seed"]), a)
        return known

    def _rows(self) -> list[FrozenTrial]:
        if self._opened is None and self._url is None and (self._file is None or not self._file.exists()):
            return []
        with self._errors():
            return self._open().get_trials(deepcopy=False)

    def _open(self) -> optuna.Study:
        if self._opened is None:
            self._storage = self._connected()
            self._opened = optuna.create_study(
                storage=self._storage, study_name=self._name, direction="maximize", load_if_exists=True
            )
        return self._opened

    def _connected(self) -> RDBStorage | InMemoryStorage:
        if self._file is None and self._url is None:
            return InMemoryStorage()
        try:
            return self._database()
        except SQLAlchemyError:
            time.sleep(1)  # another process may have been at making the tables; if it is something else, it is again
            return self._database()

    def _database(self) -> RDBStorage:
        return _sqlite(self._file) if self._file is not None else _database(str(self._url))

    @property
    def _shown(self) -> str:
        return str(self._file) if self._url is None else make_url(self._url).render_as_string(hide_password=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the storage's errors into one line, keep optuna's log to itself, and let an interrupt wait."""
        try:
            with interrupts_held_back(), quiet:
                yield
        except (SQLAlchemyError, StorageInternalError, RuntimeError, OSError) as error:
            cause = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
            text = " ".join(str(cause).split())
            hint = "; what it holds is kept: make room, and run again to go on" if _NO_ROOM.search(text) else ""
            raise TaskError(f"study: {self._shown!r} cannot be used ({text}){hint}") from error
        finally:
            if isinstance(self._storage, RDBStorage):
                self._storage.remove_session()  # which each thread has its own of, and a connection with it


class _Quiet:
    """Keeps optuna's log and its experiments to themselves; of several threads, until the last has left."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._before = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before.callback(optuna.logging.set_verbosity, optuna.logging.get_verbosity())
                optuna.logging.set_verbosity(logging.CRITICAL)
                self._before.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", ExperimentalWarning)  # signs of life have been one for years
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.close()


#: a context in which optuna keeps its log and its experiments to itself
quiet = _Quiet()


def _database(url: str) -> RDBStorage:
    # The driver that leaky's extra installs, where none is named.
    url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
    # A connection for each use, a few milliseconds, so that none is left open or broken between trials.
    return RDBStorage(url, engine_kwargs={"poolclass": NullPool}, heartbeat_interval=HEARTBEAT, grace_period=GRACE)


def _state(trial: Trial) -> TrialState:
    if trial.score is None:
        return TrialState.FAIL
    return TrialState.COMPLETE if trial.stopped is None else TrialState.PRUNED


def _sqlite(file: Path) -> RDBStorage:
    # The file is opened here, since in a URL a ?, # or % in its name would mean something else.
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(file, timeout=60, check_same_thread=False)

    return RDBStorage(
        "sqlite:///study.db", engine_kwargs={"creator": connect}, heartbeat_interval=HEARTBEAT, grace_period=GRACE
    )


def _check(file: Path) -> None:
    """Refuse a place that cannot hold a study, or a file that holds something else, before any work is done."""
    if not file.parent.is_dir():
        raise TaskError(f"study: the folder {str(file.parent)!r} is not there")
    if not os.access(file if file.exists() else file.parent, os.W_OK) or file.is_dir():
        raise TaskError(f"study: {str(file)!r} cannot be written")
    if not file.exists() or file.stat().st_size == 0:
        return
    try:
        # Not mode=ro: a writer that was killed may have left a journal, which the next one to open it has to roll back.
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            tables = {
                name
                for (name,) in connection.execute(
                    "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
                )
            }
    except sqlite3.Error as error:
        raise TaskError(f"study: {str(file)!r} cannot be used ({error})") from None
    # One whose first writer was killed while it made the tables lacks some of them.
    if not tables <= {*BaseModel.metadata.tables, "alembic_version"}:
        raise TaskError(f"study: {str(file)!r} is a database, but no optuna study; expected one, or a new file")
