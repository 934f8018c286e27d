"""Trainings on a cluster, of which a worker is killed, and engines that are not there."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import leaky
import leaky.trials
from leaky_tests.trials.shared import ARMS, SEEDS, numbers


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A dask scheduler and two workers, each started by its own command; its address, and the workers' processes."""
    environment = {
        **os.environ,
        "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
        "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1h",
    }
    log = (tmp_path / "dask.log").open("wb")

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1"]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True)

    file = tmp_path / "scheduler.json"
    processes = [run("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))]
    try:
        for name in ("one", "two"):
            options = ["--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--no-nanny", "--name", name]
            processes.append(run("worker", *options, "--local-directory", str(tmp_path / name)))
        from distributed import Client

        end = time.monotonic() + 120
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        with Client(scheduler_file=str(file), set_as_default=False, timeout=60) as client:
            client.wait_for_workers(2, timeout=120)
            address = client.scheduler.address.removeprefix("tcp://")
        yield address, processes[1:]
    finally:
        for process in processes[::-1]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


@pytest.mark.parametrize("cohort", [False, True])
def test_on_a_cluster_of_which_a_worker_is_killed(
    cohort: bool, cluster: tuple[str, list[subprocess.Popen[bytes]]], mine: str
) -> None:
    address, workers = cluster

    def progress(done: int, total: int) -> None:
        if done == 4:
            workers[0].kill()

    result = leaky.compare(mine, ARMS, SEEDS, engine=f"dask://{address}", cohort=cohort, progress=progress)
    assert numbers(result) == numbers(leaky.compare(mine, ARMS, SEEDS, jobs=1))
    assert workers[0].wait() == -signal.SIGKILL
    assert workers[1].poll() is None


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("threads", "engine: 'threads'; expected loky, or dask://HOST:PORT"),
        ("dask://127.0.0.1", "engine: 'dask://127.0.0.1'; expected loky, or dask://HOST:PORT"),
        ("dask://127.0.0.1:9", "engine: no dask scheduler answers at '127.0.0.1:9'"),
    ],
)
def test_engines_that_are_not_there(engine: str, message: str, mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaky.trials.cluster._PATIENCE", 1)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        leaky.compare(mine, "relu", 1, engine=engine)
