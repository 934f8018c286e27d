"""A dask cluster that is running, as a place for trainings."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import joblib

from leaky.trials.task import TaskError

# Seconds to wait for the scheduler to answer.
_PATIENCE = 10


class Cluster:
    """A dask cluster, by its scheduler's address.

    Args:
        where: ``dask://HOST:PORT``.

    Raises:
        ValueError: not of that form.
        TaskError: dask is not installed, no scheduler answers there, or it has no workers.
    """

    def __init__(self, where: str) -> None:
        scheme, _, address = where.partition("://")
        if scheme != "dask" or ":" not in address:
            raise ValueError(f"engine: {where!r}; expected loky, or dask://HOST:PORT")
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError:
            raise TaskError("engine: dask is not installed; pip install 'leaky[cluster]'") from None
        logging.getLogger("distributed").setLevel(logging.ERROR)
        try:
            self._client: Any = distributed.Client(f"tcp://{address}", timeout=_PATIENCE, set_as_default=False)
        except OSError:
            raise TaskError(f"engine: no dask scheduler answers at {address!r}") from None
        #: of all workers
        self.threads = sum(self._client.nthreads().values())
        if not self.threads:
            self.close()
            raise TaskError(f"engine: the dask scheduler at {address!r} has no workers")

    @contextmanager
    def backend(self) -> Iterator[None]:
        """Let joblib run within on the cluster."""
        with self._client.as_current(), joblib.parallel_config("dask", client=self._client):
            yield

    def close(self) -> None:
        """Leave the cluster, which goes on without us."""
        self._client.close()
