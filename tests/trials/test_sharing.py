"""Several processes on one study: each trial is run once, the table is that of one process, and a full disk loses nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import leaky
import leaky.trials
from leaky.trials import TaskError
from leaky_tests.trials.shared import ARMS, SEEDS, numbers, rows, start


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
