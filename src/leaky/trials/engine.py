"""Runs trials side by side, in processes of one thread each."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Generator, Sequence
from functools import partial

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from leaky.activation import Activation
from leaky.trials.interrupts import interrupts_held_back
from leaky.trials.record import Trial
from leaky.trials.task import Task, TaskError
from leaky.trials.training import run_trial
from leaky.user_code import one_line


def run_trials(
    task: Task, pending: Sequence[tuple[Activation, int]], jobs: int | None = None, floor: Sequence[float] = ()
) -> Generator[Trial, None, None]:
    """Run every pending trial and yield each as it finishes, in any order.

    Args:
        task: sent once to each process, by value, so that all train the same network on the same data.
        pending: activation and seed of each trial.
        jobs: processes at a time; by default as many as the cores this process may use.
        floor: see :func:`leaky.trials.run_trial`.

    Raises:
        TaskError: a training failed, a process was killed, or the task cannot be sent; the trials yielded before are
            sound.
    """
    if not pending:
        return
    jobs = min(jobs or joblib.cpu_count(), len(pending))
    if jobs == 1:
        for activation, seed in pending:
            yield _run(task, activation, seed, floor)
        return
    calls = (joblib.delayed(_run_here)(activation, seed, floor) for activation, seed in pending)
    processes = joblib.parallel_config(
        "loky", inner_max_num_threads=1, initializer=partial(_settle_in, os.getpid(), task)
    )
    results: Generator[Trial, None, None] | None = None
    try:
        with interrupts_held_back(), processes:
            # One trial at a time per process: a batch of them would be lost whole.
            parallel = joblib.Parallel(jobs, batch_size=1, pre_dispatch="2*n_jobs", return_as="generator_unordered")
            results = parallel(calls)
        # By `yield from` an early end would reach joblib before the cleaning up below does.
        for trial in results:  # noqa: UP028
            yield trial
    except TerminatedWorkerError as error:
        raise TaskError(
            "a trial's process was killed, perhaps for lack of memory; run again to go on, with fewer --jobs"
        ) from error
    finally:
        # No process stays behind: neither idle with an old task, nor at work after an interrupt.
        with interrupts_held_back(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib says that it cancels what it is told to cancel
            if results is not None:
                results.close()
            get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)


# The task of a process that was started to train it.
_task: Task


def _settle_in(parent: int, task: Task) -> None:
    """Prepare a new process: it keeps the task, prints to standard error alone, and is ended by its parent or with it."""
    global _task
    _task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, interrupted too, ends its processes itself
    os.dup2(2, 1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_here(activation: Activation, seed: int, floor: Sequence[float]) -> Trial:
    return _run(_task, activation, seed, floor)


def _run(task: Task, activation: Activation, seed: int, floor: Sequence[float]) -> Trial:
    try:
        return run_trial(task, activation, seed, floor)
    except TaskError:
        raise
    except Exception as error:
        raise TaskError(f"the trial of {activation} with seed {seed} failed: {one_line(error)}") from error
