"""Runs trials side by side, in processes of one thread each."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Self

import cloudpickle
import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from leaky.trials.cluster import Cluster
from leaky.trials.cohort import Member, run_cohort
from leaky.trials.interrupts import interrupts_held_back, interrupts_kept_from_children
from leaky.trials.record import Trial
from leaky.trials.task import Task, TaskError
from leaky.trials.training import run_trial
from leaky.user_code import one_line


class Engine:
    """Runs trainings of one task, many at a time; a context, at whose end no process stays behind.

    Args:
        task: sent once to each process, by value, so that all train the same network on the same data.
        jobs: trainings at a time; by default as many as the cores this process may use, or as the cluster has threads.
        where: ``"loky"`` for processes on this machine, or ``"dask://HOST:PORT"`` for a dask cluster that is running, on
            whose machines leaky is installed too.

    Raises:
        TaskError: the cluster cannot be reached.
        ValueError: another place.
    """

    def __init__(self, task: Task, jobs: int | None = None, where: str = "loky") -> None:
        self._task = task
        self._cluster = None if where == "loky" else Cluster(where)
        #: trainings, or cohorts of them, at a time
        self.jobs = jobs or (joblib.cpu_count() if self._cluster is None else self._cluster.threads)
        self._left_behind = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with interrupts_held_back():
            if "_settle" in vars(self):  # or the processes are the caller's, for work of his own
                get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)
            self._left_behind.close()
            if self._cluster is not None:
                self._cluster.close()

    @cached_property
    def _settle(self) -> Callable[[], None]:
        """What prepares a process; always the same object, so that the processes of one call serve for the next.

        It finds the task in a file. In a pipe, as loky would send it, we would wait for each process to read it, one after
        the other, and for ever for one that is killed before it has.
        """
        try:
            folder = self._left_behind.enter_context(tempfile.TemporaryDirectory(prefix="leaky-"))
            sent = Path(folder, "task")
            sent.write_bytes(cloudpickle.dumps(self._task))
        except OSError as error:
            raise TaskError(
                f"engine: the task cannot be written to the folder of temporary files, {tempfile.gettempdir()!r} "
                f"({error.strerror})"
            ) from None
        return partial(_settle_in, os.getpid(), sent)

    def run(self, pending: Iterable[Sequence[Member]], floor: Sequence[float] = ()) -> Generator[Trial, None, None]:
        """Run trainings and yield each trial as it finishes, in any order.

        Args:
            pending: groups of activations and seeds, each of several a cohort; asked for the next one when it is about to
                begin.
            floor: see :func:`leaky.trials.run_trial`.

        Raises:
            TaskError: a training failed, a process was killed, or the task cannot be sent; the trials yielded before are
                sound.
        """
        if self.jobs == 1 and self._cluster is None:
            for group in pending:
                yield from _run(self._task, group, floor)
            return
        if self._cluster is not None:
            # The task goes with each call: what is handed out once would be lost with the worker that has it.
            sent = cloudpickle.dumps(self._task)
            for trials in self._cluster.run(_run_sent, ((sent, group, floor) for group in pending), self.jobs):
                yield from trials
            return
        results: Generator[list[Trial], None, None] | None = None
        try:
            with interrupts_held_back(), interrupts_kept_from_children(), self._processes():
                # One group at a time per process: a batch of them would be lost whole.
                parallel = joblib.Parallel(
                    self.jobs, batch_size=1, pre_dispatch="n_jobs", return_as="generator_unordered"
                )
                results = parallel(joblib.delayed(_run_here)(group, floor) for group in pending)
            for trials in results:
                yield from trials
        except TerminatedWorkerError as error:
            raise TaskError(
                "a trial's process was killed, perhaps for lack of memory; run again to go on, with fewer --jobs"
            ) from error
        except BaseException:
            # Nothing goes on at work after an interrupt.
            with interrupts_held_back(), _cancelling():
                if results is not None:
                    results.close()
                get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)
            raise

    def _processes(self) -> joblib.parallel_config:
        return joblib.parallel_config("loky", inner_max_num_threads=1, initializer=self._settle)


@contextmanager
def _cancelling() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joblib says that it cancels what it is told to cancel
        yield


def run_trials(task: Task, pending: Sequence[Member], jobs: int | None = None) -> Generator[Trial, None, None]:
    """Run every pending trial on this machine and yield each as it finishes, in any order; see :class:`Engine`."""
    if pending:
        with Engine(task, min(jobs or joblib.cpu_count(), len(pending))) as engine:
            yield from engine.run([member] for member in pending)


# The task of a process that was started to train it.
_task: Task


def _settle_in(parent: int, sent: Path) -> None:
    """Prepare a new process: it keeps the task, prints to standard error alone, and is ended by its parent or with it."""
    global _task
    os.dup2(2, 1)
    end_with(parent, partial(shutil.rmtree, sent.parent, ignore_errors=True))
    sys.path.append(str(Path.cwd()))  # for what the parent has from there and we do not find by its own path
    _task = cloudpickle.loads(sent.read_bytes())


def end_with(parent: int, tidy: Callable[[], object] = lambda: None) -> None:
    """End this process when its parent is gone, however that was ended, once what that has left is tidied."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        tidy()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_here(group: Sequence[Member], floor: Sequence[float]) -> list[Trial]:
    return _run(_task, group, floor)


def _run_sent(sent: bytes, group: Sequence[Member], floor: Sequence[float]) -> list[Trial]:
    return _run(_received(sent), group, floor)


@lru_cache(maxsize=1)
def _received(sent: bytes) -> Task:
    task: Task = cloudpickle.loads(sent)
    return task


def _run(task: Task, group: Sequence[Member], floor: Sequence[float]) -> list[Trial]:
    try:
        if len(group) > 1:
            return run_cohort(task, group, floor)
        ((activation, seed),) = group
        return [run_trial(task, activation, seed, floor)]
    except TaskError:
        raise
    except Exception as error:
        which = f"trial of {activation} with seed {seed}" if len(group) == 1 else f"cohort of {len(group)} trials"
        raise TaskError(f"the {which} failed: {one_line(error)}") from error
