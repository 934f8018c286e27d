"""A comparison that several processes run on one study, what the study holds, and what it comes to."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace
from typing import Any

import optuna
from sqlalchemy.pool import NullPool

import leaky
import leaky.trials

ARMS = ["relu", "leaky_relu(0.1)", "tanh"]
SEEDS = 6

MINE = """
import numpy as np
from torch import nn
import leaky

def model(activation):
    return nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))

y = np.arange(120) % 3
x = np.random.default_rng(0).normal(size=(120, 4)) + 2 * np.eye(4)[y]
task = leaky.Task(model, x, y, name="mine", epochs=30)
"""

COMPARE = """
import sys, leaky
leaky.compare(sys.argv[1], ["relu", "leaky_relu(0.1)", "tanh"], 6, jobs=1, study=sys.argv[2],
              cohort=len(sys.argv) > 3 or None, progress=lambda done, total: print(done, flush=True))
"""


def numbers(comparison: leaky.Comparison) -> dict[str, Any]:
    trials = tuple(replace(trial, seconds_per_step=0.0) for trial in comparison.trials)
    return asdict(replace(comparison, trials=trials))


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", COMPARE, *arguments], stdout=subprocess.PIPE, text=True)


def rows(study: str, name: str) -> list[optuna.trial.FrozenTrial]:
    url = study.replace("postgresql", "postgresql+psycopg") if "://" in study else f"sqlite:///{study}"
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        storage.remove_session()
