"""The record of what was measured, in the same study as the trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optuna.trial import create_trial

from leaky.claims.experiment import Experiment, Measured
from leaky.trials import Study


class Record(Study):
    """The finished measurements: a row for each, written in one transaction once it is complete.

    Args:
        place: an SQLite file, the URL of a database, or ``None`` for memory, as of :class:`leaky.trials.Study`.
        experiments: whose measurements these are. Those of another recipe, source or version are not seen.

    Raises:
        TaskError: the file is something else, or cannot be written; the database cannot be reached.
    """

    def __init__(self, place: str | Path | None, experiments: Sequence[Experiment]) -> None:
        super().__init__(place, "claims", {e.id: e.fingerprint() for e in experiments})

    def measured(self) -> dict[str, Measured]:
        """Return what was measured, by statement."""
        return {key: attributes["measured"] for (key, _), attributes in self._known().items()}

    def note(self, key: str, measured: Measured) -> None:
        """Record a measurement; once this returns, it survives a crash."""
        attributes = {"activation": key, "seed": 0, "fingerprint": self._fingerprints[key], "measured": measured}
        with self._errors():
            self._open().add_trial(create_trial(value=0.0, user_attrs=attributes))
