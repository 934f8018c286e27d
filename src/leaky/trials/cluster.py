"""A dask cluster that is running, as a place for trainings."""

from __future__ import annotations

import importlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from leaky.trials.record import Trial
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
            self._distributed: Any = importlib.import_module("distributed")
        except ImportError:
            raise TaskError("engine: dask is not installed; pip install 'leaky[cluster]'") from None
        logging.getLogger("distributed").setLevel(logging.ERROR)
        try:
            self._client: Any = self._distributed.Client(f"tcp://{address}", timeout=_PATIENCE, set_as_default=False)
        except OSError:
            raise TaskError(f"engine: no dask scheduler answers at {address!r}") from None
        #: of all workers
        self.threads = sum(self._client.nthreads().values())
        if not self.threads:
            self.close()
            raise TaskError(f"engine: the dask scheduler at {address!r} has no workers")

    def run(
        self, work: Callable[..., list[Trial]], calls: Iterable[tuple[Any, ...]], jobs: int
    ) -> Iterator[list[Trial]]:
        """Call ``work`` with each of the arguments on the cluster, so many at a time; yield what returns, in any order.

        By dask's own client, since joblib's waits for ever for what a worker that dies was at. Here another worker does it.

        Raises:
            TaskError: a call failed, or workers died at it again and again.
        """
        calls = iter(calls)

        def more(count: int) -> list[Any]:
            return [self._client.submit(work, *call, pure=False) for call in itertools.islice(calls, count)]

        running = self._distributed.as_completed(more(jobs), loop=self._client.loop)
        try:
            for future in running:
                try:
                    trials = future.result()
                except self._distributed.KilledWorker:
                    raise TaskError(
                        "engine: the cluster's workers died at a training, perhaps for lack of memory"
                    ) from None
                running.update(more(1))
                yield trials
        finally:
            self._client.cancel(list(running.futures))

    def close(self) -> None:
        """Leave the cluster, which goes on without us."""
        self._client.close()
