"""Tune a small task again and again, each time in a new process that is killed in the midst, until one comes to the end.

    python killing.py STUDY KILLS SECONDS

Prints, as one line of JSON, the answer, and after each kill how many trials were recorded.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn

import leaky
from leaky.activation import Activation


def model(activation: Activation) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))


def task() -> leaky.Task:
    rng = np.random.default_rng(0)
    y = np.arange(96) % 3
    return leaky.Task(model, rng.normal(size=(96, 4)) + 1.2 * np.eye(4)[y], y, epochs=3, name="small")


def answer(study: str | None) -> Any:
    tuning = leaky.tune(task(), trials=24, tolerance=1e-6, confirm=False, jobs=1, study=study)
    found = [(t.activation, t.seed, t.score) for t in tuning.trials]
    return {"slope": tuning.slope, "as_good": tuning.as_good, "trials": found}


def rows(study: str) -> list[Any]:
    """Return activation and seed of each recorded trial."""
    from leaky.trials import Study

    return [(row.user_attrs["activation"], row.user_attrs["seed"]) for row in Study(study, "tune small", {})._rows()]


def main(study: str, kills: int, longest: float) -> None:
    torch.set_num_threads(1)
    random_times, recorded = random.Random(0), []
    expected = answer(None)
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            answer(study)
            os._exit(0)
        time.sleep(random_times.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        recorded.append(rows(study))
    print(json.dumps({"expected": expected, "answer": answer(study), "recorded": recorded, "rows": rows(study)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
