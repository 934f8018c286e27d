from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from leaky import Activation, Task
from leaky.trials import Study, load_task, run_trial, run_trials
from leaky.trials.interrupts import interrupts_held_back


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
