from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from leaky.cli import main

MINE = """
import numpy as np
from torch import nn

import leaky


def model(activation):
    return nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 8), activation.module(), nn.Linear(8, 3))


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


y = np.arange(120) % 3
x = np.random.default_rng(0).normal(size=(120, 4)) + 2 * np.eye(4)[y]
task = leaky.Task(model, x, y, name="mi/ne", epochs=EPOCHS)
single = leaky.Task(network, x, y, name="single", epochs=EPOCHS)
tiny = leaky.Task(model, x[:3], y[:3], x, y, name="tiny", epochs=EPOCHS)
wild = leaky.Task(model, x, y, name="wild", epochs=EPOCHS, optimizer="sgd", learning_rate=1e30)
"""


@pytest.fixture
def mine(here: Path) -> Path:
    """The current folder, with a user's tasks in it."""
    (here / "mine.py").write_text(MINE.replace("EPOCHS", "1"))
    return here


def tune(*arguments: str, task: str = "task") -> int:
    # So wide a tolerance is reached by the first round.
    return main(["tune", "--task", f"mine.py:{task}", "--jobs", "1", "--tolerance", "0.9", *arguments])


def recorded(study: Path) -> int:
    with closing(sqlite3.connect(study)) as connection:
        (count,) = connection.execute("select count(*) from trial_user_attributes where key = 'trial'").fetchone()
    return int(count)


def test_table_answer_confirmation_and_report(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("--per-layer") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "mi/ne: scores on data set aside from training"
    assert [line.split()[0] for line in lines[2:7]] == ["0.01", "0.1", "0.182", "0.2", "0.3"]
    assert {line.split()[1] for line in lines[2:7]} == {"2"}
    assert sum("best" in line for line in lines[2:7]) == 1
    text = " ".join(out.split())
    assert re.search(r"On mi/ne, .* as good( within the noise)?[,.] ", text)
    assert re.search(r"By 11 trainings, it loses at most [\d.]+ points against the best slope \(90 %\)", text)
    assert "(90 %): within the tolerance of 90.0 points." in text
    assert re.search(
        r"A slope for each of the 2 sites is|58 trainings with a slope for each of the 2 sites found", text
    )
    assert "On fresh seeds and the test data: mi/ne: 10 seeds, test scores" in text
    assert lines[-1] == "Report: leaky-tune-mi-ne.html"
    assert err == ""
    assert {p.name for p in mine.iterdir()} - {"__pycache__"} == {
        "leaky-tune-mi-ne.db",
        "leaky-tune-mi-ne.html",
        "mine.py",
    }
    page = (mine / "leaky-tune-mi-ne.html").read_text()
    assert "leaky tune --task mine.py:task --jobs 1 --tolerance 0.9 --per-layer" in page
    assert "A slope for each site" in page


def test_a_study_goes_on_as_far_as_it_is_asked_to(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = mine / "leaky-tune-mi-ne.db"
    assert tune("--no-confirm") == 0
    first = capsys.readouterr().out
    assert recorded(study) == 11
    assert tune("--no-confirm") == 0
    assert capsys.readouterr().out == first
    assert recorded(study) == 11  # nothing was trained again
    assert tune("--no-confirm", "--tolerance", "1e-9", "--trials", "13") == 0
    assert "By 13 trainings" in (out := " ".join(capsys.readouterr().out.split()))
    assert "points: 13 trainings were the most." in out
    assert tune("--no-confirm", "--tolerance", "1e-9", "--time", "1e-9") == 0
    assert "points: the time was up." in " ".join(capsys.readouterr().out.split())
    assert tune("--no-confirm", "--first-seed", "100") == 0
    assert recorded(study) >= 13 + 11  # others altogether


def test_json_is_one_document_and_all_else_is_on_standard_error(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("--no-confirm", "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert document["task"] == "mi/ne"
    assert document["slope"] in (0.01, 0.1, 1 / 5.5, 0.2, 0.3)
    assert document["as_good"][0] <= document["slope"] <= document["as_good"][1]
    assert len(document["trials"]) == 11
    assert len(document["curve"]["slopes"]) == len(document["curve"]["mean"]) == len(document["curve"]["worse"])
    assert document["confirmation"] is document["layers"] is None
    assert document["headline"] in " ".join(err.split())
    assert "Report: leaky-tune-mi-ne.html" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tolerance", "0"], "--tolerance: 0.0; expected a number above 0"),
        (["--trials", "10"], "--trials: 10; expected a whole number of at least 11, which the first round takes"),
        (["--time", "0"], "--time: 0; expected a number of minutes above 0"),
        (["--first-seed", "900000"], "--first-seed: 900000; expected a whole number from 0 to 899,999"),
        (["--first-seed", "-1"], "--first-seed: -1; expected a whole number from 0 to 899,999"),
        (["--jobs", "0"], "--jobs: 0; expected at least 1"),
        (["--epochs", "0"], "--epochs: 0; expected a whole number of at least 1"),
        (["--engine", "mpi"], "--engine: 'mpi'; expected loky, or dask://HOST:PORT"),
        (["--output", "out.svg"], "--output: 'out.svg'; expected a name that ends in .html"),
        (["--output", "s.html", "--study", "s.html"], "--study: 's.html' is the output too"),
        (["--study", "mine.py"], "--study: 'mine.py' cannot be used (file is not a database)"),
        (["--trials", "many"], "Invalid value for '--trials'"),
        (
            ["--task", "mine.py:single", "--per-layer"],
            "--per-layer: the network has 1 site with a slope; expected several",
        ),
        (["--task", "mine.py:tiny"], "x: 3 samples; expected at least 4 to set a quarter aside"),
        (["--task", "mine.py:none"], "--task: 'mine.py' defines no 'none'"),
        (["--time", "1e-9"], "--task: no slope was trained without diverging, or in time; nothing can be said"),
        (["--task", "mine.py:wild"], "--task: no slope was trained without diverging"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    mine: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"leaky: {message}"), err
    assert err.count("\n") == 1
    assert not list(mine.glob("*.html"))


def test_ctrl_c_keeps_what_finished(mine: Path, terminal: Callable[..., Any]) -> None:
    # Long enough that the interrupt finds it at work, however late this process reads what it sees.
    (mine / "mine.py").write_text(MINE.replace("EPOCHS", "30"))
    shown = terminal("tune", "--task", "mine.py:task", "--jobs", "2", "--no-confirm")
    shown.read_until(r"[1-9]/200")
    os.killpg(shown.process.pid, signal.SIGINT)
    shown.read_until("Stopped. Finished trials are in leaky-tune-mi-ne.db; the same command goes on from there.")
    assert shown.process.wait(timeout=30) == 130
    assert "Traceback" not in shown.text
    assert not (mine / "leaky-tune-mi-ne.html").exists()
