"""Runs trials side by side, in processes of one thread each."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from leaky.activation import Activation
from leaky.trials.loading import TaskSource, load_task
from leaky.trials.record import Trial
from leaky.trials.task import Task, TaskError, one_line
from leaky.trials.training import run_trial


def run_trials(
    source: TaskSource,
    pending: Sequence[tuple[Activation, int]],
    jobs: int | None = None,
    epochs: int | None = None,
) -> Iterator[Trial]:
    """Run every pending trial and yield each as it finishes, in any order.

    Args:
        source: the task, or its name, which each process then loads by itself; a function defined in a user's file could
            not be sent to another process.
        pending: activation and seed of each trial.
        jobs: processes at a time; by default as many as the cores this process may use.
        epochs: instead of the task's own number.

    Raises:
        TaskError: a training failed, or a process was killed; the trials yielded before are sound.
    """
    if not pending:
        return
    jobs = min(jobs or joblib.cpu_count(), len(pending))
    if jobs <= 1:
        task = load_task(source, epochs)
        for activation, seed in pending:
            yield _run(task, activation, seed)
        return
    calls = (joblib.delayed(_run_in_process)(source, epochs, activation, seed) for activation, seed in pending)
    with joblib.parallel_config("loky", inner_max_num_threads=1, initializer=partial(_settle_in, os.getpid())):
        # One trial at a time per process: a batch of them would be lost whole.
        parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, pre_dispatch="2*n_jobs", return_as="generator_unordered")
        results = parallel(calls)
    try:
        yield from results
    except TerminatedWorkerError as error:
        raise TaskError(
            "a trial's process was killed, perhaps for lack of memory; run again to go on, with fewer --jobs"
        ) from error
    finally:
        # No process stays behind: neither idle with a stale copy of the user's file, nor at work after an interrupt.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib says that it cancels what it is told to cancel
            results.close()
        get_reusable_executor().shutdown(wait=False, kill_workers=True)


# A process loads its task once. It ends with the comparison, so a file that is edited later is read anew.
_load_once = lru_cache(maxsize=1)(load_task)


def _run_in_process(source: TaskSource, epochs: int | None, activation: Activation, seed: int) -> Trial:
    return _run(_load_once(source, epochs), activation, seed)


def _run(task: Task, activation: Activation, seed: int) -> Trial:
    try:
        return run_trial(task, activation, seed)
    except TaskError:
        raise
    except Exception as error:
        raise TaskError(f"the trial of {activation} with seed {seed} failed: {one_line(error)}") from error


def _settle_in(parent: int) -> None:
    """Prepare a new process: Ctrl-C is left to the parent, which ends its processes itself; none outlives a killed one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
