"""Several processes on one study, and trainings on a cluster: each trial is run once, and the table is that of one process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from sqlalchemy.pool import NullPool

import leaky
import leaky.trials
from leaky.trials import Study, TaskError, leases

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


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE)
    return f"{tmp_path / 'mine.py'}:task"


@pytest.fixture(params=["sqlite", "postgresql"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    file = str(tmp_path / "study.db")
    return file if request.param == "sqlite" else request.getfixturevalue("postgres")


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


def test_two_processes_share_the_trials(mine: str, study: str) -> None:
    processes = [start(mine, study) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=300)
        assert process.returncode == 0
    keys = Counter((row.user_attrs["activation"], row.user_attrs["seed"]) for row in rows(study, "compare mine"))
    assert len(keys) == len(ARMS) * SEEDS
    assert set(keys.values()) == {1}
    leases = [row for row in rows(study, "compare mine: in work") if row.state.name == "COMPLETE"]
    assert Counter(tuple(row.user_attrs["key"][:2]) for row in leases) == keys  # and none was trained twice
    assert len({row.user_attrs["worker"]["process"] for row in leases}) == 2
    shared, alone = leaky.compare(mine, ARMS, SEEDS, jobs=1, study=study), leaky.compare(mine, ARMS, SEEDS, jobs=1)
    assert numbers(shared) == numbers(alone)


def test_the_trial_of_a_killed_process_is_taken_up_by_the_other(mine: str, study: str) -> None:
    first, second = start(mine, study), start(mine, study)
    assert second.stdout is not None
    while (line := second.stdout.readline()) and int(line) < 3:
        pass
    second.kill()
    second.communicate()
    first.communicate(timeout=300)
    assert first.returncode == 0
    states = Counter(row.state.name for row in rows(study, "compare mine: in work"))
    assert states["RUNNING"] == 0
    assert states["COMPLETE"] == len(ARMS) * SEEDS == len(rows(study, "compare mine"))


def test_a_lease_of_another_machine_holds_until_it_is_silent(
    mine: str, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (Study(study, "s", {"relu": "mark"}) for _ in range(2))
    with one.leasing() as first:
        monkeypatch.setattr("leaky.trials.leases._place", lambda: "elsewhere")
        with other.leasing() as second:
            assert first("relu", 0)
            assert not second("relu", 0)
            monkeypatch.setattr(other._storage, "grace_period", 0)
            time.sleep(1.1)  # the database counts whole seconds
            assert second("relu", 0)
            assert second("relu", 1)
            assert not first("relu", 1)


def test_what_was_leased_and_not_done_is_free_again(study: str) -> None:
    one, other = (Study(study, "s", {"relu": "mark"}) for _ in range(2))
    with one.leasing() as lease:
        assert lease("relu", 0)
    with other.leasing() as lease:
        assert lease("relu", 0)
        assert not lease("relu", 0)


def test_waiting_for_a_lease_leaves_nothing_behind(study: str) -> None:
    one, other = (Study(study, "s", {"relu": "mark"}) for _ in range(2))
    with one.leasing() as first, other.leasing() as second:
        assert first("relu", 0)
        assert not any(second("relu", 0) for _ in range(5))
        assert len(rows(study, "s: in work")) == 1


def test_a_process_that_ends_while_it_is_looked_at_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    other = leases.worker()
    assert not leases.gone(other)

    def ended(*_: object, **__: object) -> str:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(leases, "_place", lambda: other["place"])
    monkeypatch.setattr(Path, "read_text", ended)
    assert leases.gone(other)


def test_a_lease_that_was_left_lapses_though_nothing_is_left_to_train(
    study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (Study(study, "s", {"relu": "mark"}) for _ in range(2))
    with one.leasing() as lease:
        assert lease("relu", 0)
        monkeypatch.setattr("leaky.trials.leases.gone", lambda worker: True)
        with other.leasing():
            pass
        assert [row.state.name for row in rows(study, "s: in work")] == ["FAIL"]


@pytest.mark.parametrize("url", ["postgresql://nobody:secret@127.0.0.1:1/none", "nothing://x", "postgresql://"])
def test_a_database_that_cannot_be_reached(url: str, mine: str) -> None:
    with pytest.raises(TaskError, match=r"^study: .* cannot be used \(.+\)$") as caught:
        leaky.compare(mine, "relu", 1, study=url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


# On a disk of 250,000 bytes, or where none can be had, with files of at most so many; what was recorded is read there too.
FULL = """
import resource, shutil, sys, leaky
from leaky.trials import Study
mine, study, copy, limit = sys.argv[1:]
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))
seen = []
for _ in range(2):
    try:
        leaky.compare(mine, ["relu", "leaky_relu(0.1)", "tanh"], 6, jobs=1, study=study,
                      progress=lambda done, total: seen.append(done))
    except ValueError as error:
        print(seen[0], seen[-1], error)
    seen.clear()
if not limit:
    shutil.copy(study, copy)
"""
DISK = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=250k none "$0" && exec "$@"']


def test_a_full_disk_is_one_line_and_loses_nothing(mine: str, tmp_path: Path) -> None:
    copy = str(tmp_path / "study.db")
    disk = tmp_path / "disk"
    disk.mkdir()
    place = [*DISK, str(disk)]
    limited = subprocess.run([*place, "true"], capture_output=True, check=False).returncode != 0
    study = copy if limited else str(disk / "study.db")
    command = [sys.executable, "-c", FULL, mine, study, copy, "limited" if limited else ""]
    done = subprocess.run(
        command if limited else [*place, *command], capture_output=True, text=True, check=False, timeout=300
    )
    first, again = (
        re.fullmatch(rf"(\d+) (\d+) study: '{re.escape(study)}' cannot be used \((.*?)\)(; .*)?", line)
        for line in done.stdout.splitlines()
    )
    assert first, done.stderr
    assert again, done.stdout
    if not limited:
        assert first[3] == "database or disk is full"
        assert first[4] == "; what it holds is kept: make room, and run again to go on"
    finished = int(first[2])
    assert 0 < finished < len(ARMS) * SEEDS
    assert int(again[1]) == finished  # readable though the disk is full
    seen: list[int] = []
    result = leaky.compare(mine, ARMS, SEEDS, jobs=1, study=copy, progress=lambda done, total: seen.append(done))
    assert seen[0] == int(again[2])
    assert numbers(result) == numbers(leaky.compare(mine, ARMS, SEEDS, jobs=1))


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


@pytest.mark.parametrize("jobs", [1, 2])
def test_cohorts_come_to_the_table_of_single_trials(
    jobs: int, mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "s.db"
    one = leaky.compare(mine, [*ARMS, "prelu"], SEEDS, cohort=False)
    together = leaky.compare(mine, [*ARMS, "prelu"], SEEDS, jobs=jobs, study=study, cohort=True)
    assert numbers(together) == numbers(one)
    monkeypatch.setattr("leaky.trials.engine.run_trial", None)  # all are there, by either way
    assert numbers(leaky.compare(mine, [*ARMS, "prelu"], SEEDS, study=study, cohort=False)) == numbers(one)


def test_two_processes_share_cohorts_and_one_is_killed(mine: str, tmp_path: Path) -> None:
    study = str(tmp_path / "s.db")
    first, second = start(mine, study, "together"), start(mine, study, "together")
    assert second.stdout is not None
    while (line := second.stdout.readline()) and int(line) < 2:
        pass
    second.kill()
    second.communicate()
    first.communicate(timeout=300)
    assert first.returncode == 0
    keys = Counter((row.user_attrs["activation"], row.user_attrs["seed"]) for row in rows(study, "compare mine"))
    assert len(keys) == len(ARMS) * SEEDS
    assert set(keys.values()) == {1}
    states = Counter(row.state.name for row in rows(study, "compare mine: in work"))
    assert states["RUNNING"] == 0
    assert states["COMPLETE"] == len(keys)
    shared, alone = leaky.compare(mine, ARMS, SEEDS, study=study), leaky.compare(mine, ARMS, SEEDS, jobs=1)
    assert numbers(shared) == numbers(alone)


def test_where_cohorts_round_otherwise_what_was_stopped_comes_to_the_same_table(mine: str, tmp_path: Path) -> None:
    file = Path(mine.removesuffix(":task"))
    file.write_text(MINE.replace("nn.Linear(4, 8), ", "nn.Linear(4, 8), nn.BatchNorm1d(8), ").replace("30", "8"))
    study = str(tmp_path / "s.db")
    whole = leaky.compare(mine, ARMS, SEEDS, cohort=True, jobs=1)
    assert "round" in whole.recipe["trained"]
    single = leaky.compare(mine, ARMS, SEEDS, jobs=1, study=study)
    assert numbers(whole)["trials"] != numbers(single)["trials"]

    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == SEEDS + 5:  # the last arm is no matter of cohorts, and finished already
            raise StoppedError

    with pytest.raises(StoppedError):
        leaky.compare(mine, ARMS, SEEDS, cohort=True, jobs=1, study=study, progress=stop)
    resumed = leaky.compare(mine, ARMS, SEEDS, cohort=True, jobs=2, study=study)
    assert numbers(resumed) == numbers(whole)
    assert numbers(leaky.compare(mine, ARMS, SEEDS, jobs=1, study=study)) == numbers(single)


def test_tunings_do_not_depend_on_cohorts(mine: str) -> None:
    task = leaky.trials.load_task(mine, 5)
    one, other = (
        leaky.tune(task, trials=24, tolerance=1e-6, confirm=False, jobs=1, cohort=cohort) for cohort in (False, True)
    )
    assert one.slope == other.slope
    assert [replace(t, seconds_per_step=0.0) for t in one.trials] == [
        replace(t, seconds_per_step=0.0) for t in other.trials
    ]


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


def test_numbers_of_a_trial_do_not_depend_on_a_floor_it_keeps(mine: str) -> None:
    from leaky.trials import load_task, run_trial

    task = load_task(mine)
    free = run_trial(task, leaky.Activation("relu"), 0)
    kept = run_trial(task, leaky.Activation("relu"), 0, [-np.inf] * 31)
    given_up = run_trial(task, leaky.Activation("relu"), 0, [-np.inf] * 5 + [2.0] * 26)
    assert [e.test_score for e in free.epochs] == [e.test_score for e in kept.epochs]
    assert given_up.stopped == 5
    assert given_up.epochs == free.epochs[:6]
