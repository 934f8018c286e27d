from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from leaky import Activation, Task
from leaky_tests.trials.shared import MINE


def small_network(activation: Activation) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 8), activation.module(), nn.Linear(8, 3))


def blobs(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return rng.normal(size=(n, 4)) + 2 * np.eye(4)[y], y


@pytest.fixture
def make_task() -> Callable[..., Task]:
    def make(**changes: Any) -> Task:
        x, y = blobs()
        return Task(**{"model": small_network, "x": x, "y": y, "epochs": 3, "name": "blobs", **changes})

    return make


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE)
    return f"{tmp_path / 'mine.py'}:task"


@pytest.fixture(params=["sqlite", "postgresql"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    file = str(tmp_path / "study.db")
    return file if request.param == "sqlite" else request.getfixturevalue("postgres")
