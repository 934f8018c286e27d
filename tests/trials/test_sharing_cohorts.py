"""Cohorts come to the table of single trials, shared and resumed ones too."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import leaky
import leaky.trials
from leaky_tests.trials.shared import ARMS, MINE, SEEDS, numbers, rows, start


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
