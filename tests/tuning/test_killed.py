"""A tuning that is killed again and again comes to the answer of one that never was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy.pool import NullPool

KILLS = 100


@pytest.fixture(params=["sqlite", "postgresql"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    file = str(tmp_path / "study.db")
    return file if request.param == "sqlite" else request.getfixturevalue("postgres")


def test_killed_at_random_points(study: str) -> None:
    command = [sys.executable, str(Path(__file__).with_name("killing.py")), study, str(KILLS), "0.6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["answer"] == result["expected"]
    for before, after in zip(result["recorded"], [*result["recorded"][1:], result["rows"]], strict=True):
        assert after[: len(before)] == before  # none lost
    assert len({tuple(row) for row in result["rows"]}) == len(result["rows"])  # none repeated
    assert len(result["recorded"][KILLS // 20]) < len(result["rows"])  # killed in the midst, not after the end
    states = [row.state.name for row in _leases(study)]
    assert "RUNNING" not in states
    assert states.count("COMPLETE") <= len(result["rows"])
    assert "FAIL" in states


def _leases(study: str) -> list[optuna.trial.FrozenTrial]:
    url = study.replace("postgresql", "postgresql+psycopg") if "://" in study else f"sqlite:///{study}"
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    try:
        return optuna.load_study(study_name="tune small: in work", storage=storage).get_trials()
    finally:
        storage.remove_session()
