from __future__ import annotations

import sqlite3
import threading
import warnings
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
    Study(tmp_path / "a.db", "s", {"relu": "mark"}).add(trial)
    assert Study(tmp_path / "a.db", "s", {"relu": "mark"}).finished() == {("relu", 4): trial}


def test_other_fingerprints_are_kept_apart(tmp_path: Path, trial: Trial) -> None:
    Study(tmp_path / "a.db", "s", {"relu": "old"}).add(trial)
    study = Study(tmp_path / "a.db", "s", {"relu": "new"})
    assert study.finished() == {}
    assert study.others() == 1
    study.add(replace(trial, seed=5))
    assert list(Study(tmp_path / "a.db", "s", {"relu": "old"}).finished()) == [("relu", 4)]


def test_it_is_an_optuna_study_in_which_a_diverged_trial_cannot_win(tmp_path: Path, trial: Trial) -> None:
    study = Study(tmp_path / "a.db", "s", {"relu": "mark"})
    study.add(replace(trial, diverged=2, seed=1))
    study.add(trial)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    loaded = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'a.db'}")
    assert [t.state.name for t in loaded.trials] == ["FAIL", "COMPLETE"]
    assert loaded.best_value == trial.score
    assert loaded.best_trial.user_attrs["activation"] == "relu"
    assert Study(tmp_path / "a.db", "s", {"relu": "mark"}).finished()["relu", 1].score is None


def test_a_file_that_is_no_study_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and precious\n" * 50)
    before = path.read_bytes()
    with pytest.raises(TaskError) as error:
        Study(path, "s", {"relu": "mark"})
    assert str(error.value) == f"study: '{path}' cannot be used (file is not a database)"
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"study: the folder .* is not there"):
        Study(tmp_path / "none" / "a.db", "s", {"relu": "mark"})


def test_a_trial_is_added_whole_or_not_at_all(tmp_path: Path, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever a trial consists of in the database, no other connection may ever see a part of it.
    path = tmp_path / "a.db"
    study = Study(path, "s", {"relu": "mark"})
    seen = set()

    def look(*_: object) -> None:
        with sqlite3.connect(path) as connection:
            counts = [connection.execute(f"select count(*) from {table}").fetchone()[0] for table in tables]
        connection.close()
        seen.add(tuple(counts))

    tables = ("trials", "trial_values", "trial_user_attributes", "trial_intermediate_values")
    from sqlalchemy import event

    study.add(replace(trial, seed=3))
    engine = study._open()._storage._backend.engine  # type: ignore[attr-defined]
    event.listen(engine, "after_cursor_execute", look)
    study.add(trial)
    event.remove(engine, "after_cursor_execute", look)
    look()
    assert seen == {(1, 1, 4, 4), (2, 2, 8, 8)}


def test_nothing_is_written_before_the_first_trial(tmp_path: Path) -> None:
    study = Study(tmp_path / "a.db", "s", {"relu": "mark"})
    assert study.finished() == {}
    assert study.others() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_trial_that_another_run_recorded_is_not_recorded_twice(tmp_path: Path, trial: Trial) -> None:
    first, second = (Study(tmp_path / "a.db", "s", {"relu": "mark"}) for _ in range(2))
    first.add(trial)
    second.add(replace(trial, seconds_per_step=9.0))
    assert second.finished() == {("relu", 4): trial}
    assert second.others() == 0


def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "precious.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table mine (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(TaskError, match="is a database, but no optuna study"):
        Study(path, "s", {"relu": "mark"})
    assert path.read_bytes() == before


def test_two_threads_at_a_study_leave_log_and_warnings_as_they_were() -> None:
    study, inside, over = Study(None, "s", {}), threading.Event(), threading.Event()

    def other() -> None:
        with study._errors():
            inside.set()
            over.wait()

    before = optuna.logging.get_verbosity(), list(warnings.filters)
    thread = threading.Thread(target=other)
    with study._errors():
        thread.start()
        inside.wait()
    over.set()
    thread.join()
    assert (optuna.logging.get_verbosity(), list(warnings.filters)) == before
