"""The record of finished trials: an optuna study in a file, to which each trial is added whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from leaky.trials.record import Trial
from leaky.trials.task import TaskError


class Study:
    """The finished trials of one task.

    A trial is one row with its score as the value (state FAIL if it diverged, so that no tool takes it for a winner)
    and everything measured in the user attribute ``trial``. It is written after it has finished, in one transaction:
    there is never a half-finished one to clean up. Only trials with this ``fingerprint`` are seen; others, from
    another recipe or version, stay in the file untouched.

    Args:
        location: an SQLite file, a database URL as SQLAlchemy takes it, or ``None`` for memory.
        name: the study's name in that file.
        fingerprint: see :func:`leaky.trials.loading.fingerprint`.

    Raises:
        TaskError: the file is not a study, or cannot be written.
    """

    def __init__(self, location: str | Path | None, name: str, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self._location = str(location)
        with self._errors():
            storage: BaseStorage
            if location is None:
                storage = InMemoryStorage()
            else:
                url = self._location if "://" in self._location else f"sqlite:///{location}"
                storage = RDBStorage(url)
            self._study = optuna.create_study(
                storage=storage, study_name=name, direction="maximize", load_if_exists=True
            )

    def finished(self) -> dict[tuple[str, int], Trial]:
        """Return the finished trials by activation and seed."""
        with self._errors():
            rows = self._study.get_trials(deepcopy=False)
        found: dict[tuple[str, int], Trial] = {}
        for row in rows:
            if row.user_attrs.get("fingerprint") == self._fingerprint:
                trial = Trial.from_dict(row.user_attrs["trial"])
                found.setdefault((trial.activation, trial.seed), trial)
        return found

    def others(self) -> int:
        """Return how many trials of the study have another fingerprint."""
        with self._errors():
            rows = self._study.get_trials(deepcopy=False)
        return sum(row.user_attrs.get("fingerprint") != self._fingerprint for row in rows)

    def add(self, trial: Trial) -> None:
        """Record a finished trial; once this returns, it survives a crash."""
        scores = {step: epoch.test_score for step, epoch in enumerate(trial.epochs)}
        row = create_trial(
            state=TrialState.FAIL if trial.score is None else TrialState.COMPLETE,
            value=trial.score,
            intermediate_values={step: score for step, score in scores.items() if score is not None},
            user_attrs={
                "activation": trial.activation,
                "seed": trial.seed,
                "fingerprint": self._fingerprint,
                "trial": trial.to_dict(),
            },
        )
        with self._errors():
            self._study.add_trial(row)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the storage's errors into one line, and keep optuna's log to itself."""
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(logging.CRITICAL)
        try:
            yield
        except (SQLAlchemyError, StorageInternalError, RuntimeError, OSError) as error:
            cause = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
            text = " ".join(str(cause).split())
            raise TaskError(f"study: {self._location!r} cannot be used as a study's file ({text})") from error
        finally:
            optuna.logging.set_verbosity(level)
