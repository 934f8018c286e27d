from __future__ import annotations

from dataclasses import replace

from joblib.externals.loky import get_reusable_executor

from leaky import Activation
from leaky.trials import load_task, run_trials


def test_processes_of_the_caller_are_left_to_him() -> None:
    executor = get_reusable_executor(1)
    try:
        work = executor.submit(pow, 2, 3)
        (trial,) = run_trials(replace(load_task("digits-shallow"), epochs=1), [(Activation("relu"), 0)], jobs=1)
        assert trial.score is not None
        assert work.result(60) == executor.submit(pow, 2, 3).result(60) == 8
    finally:
        executor.shutdown(kill_workers=True)
