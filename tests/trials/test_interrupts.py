from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from leaky import Activation, Task
from leaky.trials import Study, load_task, run_trial, run_trials
from leaky.trials.interrupts import interrupts_held_back, interrupts_kept_from_children


def test_an_interrupt_waits_for_the_end() -> None:
    reached = False
    # Another thread, which does not hold it back, may be the one that the signal is delivered to.
    threading.Thread(target=threading.Event().wait, args=(5,), daemon=True).start()

    def work() -> None:
        nonlocal reached
        with interrupts_held_back():
            os.kill(os.getpid(), signal.SIGINT)
            reached = True

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_counts_more_than_an_error_that_may_have_come_of_it() -> None:
    def work() -> None:
        with interrupts_held_back():
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError

    with pytest.raises(KeyboardInterrupt):
        work()


def test_a_process_that_ctrl_c_is_kept_from_is_so_from_its_first_moment() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    with interrupts_kept_from_children():
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode != 0


# It kills the process that it is sent to, before that has read more than the beginning of the task.
KILLING = """
import os, sys
import numpy as np
from torch import nn
import leaky
from leaky.trials import run_trials


class Killing:
    def __reduce__(self):
        return die, ()


def die():
    os.kill(os.getpid(), 9)


killing = Killing()


def model(activation):
    killing
    return nn.Sequential(nn.Linear(100, 8), activation.module(), nn.Linear(8, 3))


task = leaky.Task(model, np.ones((300, 100)), np.arange(300) % 3, name="mine", epochs=1)
if __name__ == "__main__":
    try:
        list(run_trials(task, [(leaky.Activation("relu"), seed) for seed in range(4)], jobs=2))
    except ValueError as error:
        print(error)
"""


def test_a_process_killed_while_it_starts_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "killing.py").write_text(KILLING)
    done = subprocess.run(
        [sys.executable, tmp_path / "killing.py"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.startswith("a trial's process was killed, perhaps for lack of memory"), done.stderr
    assert not list(tmp_path.glob("leaky-*"))  # nor is the task left in a file


def test_a_trial_is_recorded_whole_when_interrupted_meanwhile(
    tmp_path: Path, make_task: Callable[..., Task], capfd: pytest.CaptureFixture[str]
) -> None:
    from sqlalchemy import event

    trial = run_trial(make_task(epochs=1), Activation("relu"), 0)
    study = Study(tmp_path / "s.db", "s", {"relu": "mark"})
    study.add(run_trial(make_task(epochs=1), Activation("relu"), 1))
    engine = study._open()._storage._backend.engine  # type: ignore[attr-defined]

    def interrupt(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT"):
            os.kill(os.getpid(), signal.SIGINT)

    event.listen(engine, "before_cursor_execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        study.add(trial)
    assert len(Study(tmp_path / "s.db", "s", {"relu": "mark"}).finished()) == 2
    assert capfd.readouterr().err == ""


def test_ending_early_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    task = replace(load_task("digits-shallow"), epochs=5)
    running = run_trials(task, [(Activation("relu"), seed) for seed in range(8)], jobs=2)
    next(running)
    running.close()
    assert capfd.readouterr().err == ""
