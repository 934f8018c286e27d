from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from leaky import Activation, Task
from leaky.trials import Study, TaskError, Trial, run_trial


@pytest.fixture
def trial(make_task: Callable[..., Task]) -> Trial:
    return run_trial(make_task(), Activation("relu"), 4)


def test_what_was_added_is_found_again(tmp_path: Path, trial: Trial) -> None:
    Study(tmp_path / "a.db", "s", "mark").add(trial)
    assert Study(tmp_path / "a.db", "s", "mark").finished() == {("relu", 4): trial}


def test_other_fingerprints_are_kept_apart(tmp_path: Path, trial: Trial) -> None:
    Study(tmp_path / "a.db", "s", "old").add(trial)
    study = Study(tmp_path / "a.db", "s", "new")
    assert study.finished() == {}
    assert study.others() == 1
    study.add(replace(trial, seed=5))
    assert list(Study(tmp_path / "a.db", "s", "old").finished()) == [("relu", 4)]


def test_it_is_an_optuna_study_in_which_a_diverged_trial_cannot_win(tmp_path: Path, trial: Trial) -> None:
    study = Study(tmp_path / "a.db", "s", "mark")
    study.add(replace(trial, diverged=2, seed=1))
    study.add(trial)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    loaded = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'a.db'}")
    assert [t.state.name for t in loaded.trials] == ["FAIL", "COMPLETE"]
    assert loaded.best_value == trial.score
    assert loaded.best_trial.user_attrs["activation"] == "relu"
    assert Study(tmp_path / "a.db", "s", "mark").finished()["relu", 1].score is None


def test_a_file_that_is_no_study_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and precious\n" * 50)
    before = path.read_bytes()
    with pytest.raises(TaskError) as error:
        Study(path, "s", "mark")
    assert str(error.value) == f"study: '{path}' cannot be used as a study's file (file is not a database)"
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"unable to open database file"):
        Study(tmp_path / "none" / "a.db", "s", "mark")


def test_a_trial_is_added_whole_or_not_at_all(tmp_path: Path, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever a trial consists of in the database, no other connection may ever see a part of it.
    path = tmp_path / "a.db"
    study = Study(path, "s", "mark")
    seen = set()

    def look(*_: object) -> None:
        with sqlite3.connect(path) as connection:
            counts = [connection.execute(f"select count(*) from {table}").fetchone()[0] for table in tables]
        connection.close()
        seen.add(tuple(counts))

    tables = ("trials", "trial_values", "trial_user_attributes", "trial_intermediate_values")
    from sqlalchemy import event

    engine = study._study._storage._backend.engine  # type: ignore[attr-defined]
    event.listen(engine, "after_cursor_execute", look)
    study.add(trial)
    event.remove(engine, "after_cursor_execute", look)
    look()
    assert seen == {(0, 0, 0, 0), (1, 1, 4, 4)}
