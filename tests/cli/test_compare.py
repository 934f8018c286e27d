from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaky.cli import main

LEAKY = [sys.executable, "-m", "leaky"]

MINE = """
import numpy as np
from torch import nn

import leaky


def model(activation):
    return nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))


y = np.arange(120) % 3
x = np.random.default_rng(0).normal(size=(120, 4)) + 2 * np.eye(4)[y]
task = leaky.Task(model, x, y, name="mi/ne", epochs=EPOCHS)
"""


@pytest.fixture
def mine(here: Path) -> Path:
    """The current folder, with a user's task in it."""
    (here / "mine.py").write_text(MINE.replace("EPOCHS", "2"))
    return here


def compare(*arguments: str) -> int:
    return main(["compare", "--task", "mine.py:task", "--seeds", "3", "--jobs", "1", *arguments])


def test_table_verdict_and_report(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("--activation", "leaky_relu(0.1)", "--activation", "tanh") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:5]] == ["relu", "leaky_relu(0.1)", "tanh"]
    assert "On mi/ne, " in out
    assert lines[-1] == "Report: leaky-mi-ne.html"
    assert err == ""
    assert sorted(p.name for p in mine.iterdir()) == ["leaky-mi-ne.db", "leaky-mi-ne.html", "mine.py"]


def test_running_it_again_resumes_and_says_so(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare("--activation", "tanh")
    first = capsys.readouterr().out
    compare("--activation", "tanh")
    out, err = capsys.readouterr()
    assert out == first
    assert err == "6 of 6 trials are finished in leaky-mi-ne.db; none is run again.\n"


def test_json_is_one_document_and_all_else_is_on_standard_error(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("--activation", "tanh", "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert document["activations"] == ["relu", "tanh"]
    assert document["verdicts"][0]["word"] in ("better", "worse", "no difference shown")
    assert len(document["trials"]) == 6
    assert 0 <= document["trials"][0]["score"] <= 1
    assert "Report: leaky-mi-ne.html" in err
    assert document["headline"].split(".")[0] in err.replace("\n", " ")


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_a_picture_instead_of_the_report(mine: Path, suffix: str) -> None:
    assert compare("--activation", "tanh", "-o", f"out.{suffix}") == 0
    assert (mine / f"out.{suffix}").read_bytes()[:4] in (b"<?xm", b"<svg", b"\x89PNG", b"%PDF")
    assert (mine / "leaky-mi-ne.db").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["compare", "--task", "digit"],
            "leaky: --task: 'digit' is unknown; expected digits, digits-shallow, mnist1d, mnist, deep, or a file",
        ),
        (["compare", "--task", "none.py:task"], "leaky: --task: 'none.py' is not there; expected a Python file"),
        (["compare", "--activation", "rel"], "leaky: --activation: 'rel' is unknown; expected one of relu, leaky_relu"),
        (["compare", "--activation", "leaky_relu(nan)"], "leaky: --activation: leaky_relu's negative_slope is nan"),
        (["compare", "--baseline", "rel"], "leaky: --baseline: 'rel' is unknown"),
        (["compare", "--seeds", "0"], "leaky: --seeds: 0; expected"),
        (["compare", "--seeds", "many"], "leaky: Invalid value for '--seeds'"),
        (["compare", "--epochs", "0"], "leaky: --epochs: 0; expected a whole number of at least 1"),
        (["compare", "--jobs", "0"], "leaky: --jobs: 0; expected at least 1"),
        (["compare", "--output", "out.txt"], "leaky: --output: 'out.txt'; expected a name that ends in .html"),
        (["compare", "--output", "none/out.html"], "leaky: --output: the folder 'none' is not there"),
        (["compare", "--study", "none/out.db"], "leaky: --study: the folder 'none' is not there"),
        (["compare", "--study", "mine.py"], "leaky: --study: 'mine.py' cannot be used (file is not a database)"),
        (["compare", "--what"], "leaky: No such option: --what"),
        (["compare", "--output", "s.html", "--study", "s.html"], "leaky: --study: 's.html' is the output too"),
        (["compare", "--study", "."], "leaky: --study: '.' cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_code_2_and_writes_nothing(
    mine: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert [p.name for p in mine.iterdir()] == ["mine.py"] or {p.name for p in mine.iterdir()} == {
        "mine.py",
        "__pycache__",
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(model, x, y,", "(model, x, y[1:],", "y: 119 targets for the 120 samples of x; expected one for each"),
        ("(model, x, y,", "(model, x[:0], y[:0],", r"x: no data \(shape \(0, 4\)\); expected at least one sample"),
        ("(model, x, y,", "(model, x * np.nan, y,", r"x: nan at index \(0, 0\); expected finite numbers"),
        ("import numpy", "import nunpy", r"ModuleNotFoundError: No module named 'nunpy' \(mine.py, line 2\)"),
        (
            "nn.Linear(8, 3)",
            "nn.Linear(9, 3)",
            "the network with relu failed: RuntimeError: mat1 and mat2 shapes cannot be",
        ),
    ],
)
def test_a_users_mistakes(mine: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (mine / "mine.py").write_text((mine / "mine.py").read_text().replace(old, new))
    assert compare() == 2
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert err.count("\n") == 1
    assert not list(mine.glob("leaky-*"))


def test_cohorts_on_request(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("--cohort", "--json") == 0
    together = json.loads(capsys.readouterr().out)
    assert compare("--no-cohort", "--json", "--study", "other.db") == 0
    alone = json.loads(capsys.readouterr().out)
    assert together["verdicts"] == alone["verdicts"]
    text = (mine / "mine.py").read_text().replace("nn.Linear(8, 3)", "nn.Dropout(), nn.Linear(8, 3)")
    (mine / "mine.py").write_text(text)
    assert compare("--cohort") == 2
    assert capsys.readouterr().err == (
        "leaky: --cohort: not possible for this network: it draws random numbers in training\n"
    )


def test_control_characters_of_a_name_do_not_reach_the_terminal(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (mine / "mine.py").read_text().replace("mi/ne", "\\x1b[31mred\\x07")
    (mine / "mine.py").write_text(text)
    assert compare("--activation", "tanh") == 0
    out, _ = capsys.readouterr()
    assert "\x1b" not in out
    assert "\x07" not in out


def test_on_a_terminal_there_is_progress_and_ctrl_c_keeps_what_finished(
    mine: Path, terminal: Callable[..., Any]
) -> None:
    # Long enough that the interrupt finds it at work, however late this process reads what it sees.
    (mine / "mine.py").write_text(MINE.replace("EPOCHS", "150"))
    arguments = ["compare", "--task", "mine.py:task", "--seeds", "4", "--jobs", "2", "--activation", "tanh"]
    shown = terminal(*arguments)
    shown.read_until(r"[1-6]/8")
    os.killpg(shown.process.pid, signal.SIGINT)
    shown.read_until("Stopped. Finished trials are in leaky-mi-ne.db; the same command goes on from there.")
    assert shown.process.wait(timeout=30) == 130
    assert "Traceback" not in shown.text
    assert not (mine / "leaky-mi-ne.html").exists()

    done = subprocess.run([*LEAKY, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0
    found = re.match(r"(\d) of 8 trials are finished in leaky-mi-ne.db; running the other (\d).\n$", done.stderr)
    assert found is not None, done.stderr
    assert int(found[1]) + int(found[2]) == 8
    assert int(found[1]) >= 1


def test_in_a_pipe_there_is_no_progress_and_no_colour(mine: Path) -> None:
    done = subprocess.run(
        [*LEAKY, "compare", "--task", "mine.py:task", "--seeds", "2", "--activation", "tanh"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert str(mine) not in done.stdout


def test_the_report_says_how_to_repeat_it(mine: Path) -> None:
    assert compare("--activation", "leaky_relu(0.3)") == 0
    assert (
        "leaky compare --task mine.py:task --seeds 3 --jobs 1 --activation &#39;leaky_relu(0.3)&#39;"
        in (mine / "leaky-mi-ne.html").read_text()
    )


def test_what_a_users_file_prints_is_no_part_of_the_result(mine: Path) -> None:
    text = (
        (mine / "mine.py").read_text().replace("def model(activation):", "def model(activation):\n    print('hello')")
    )
    (mine / "mine.py").write_text("print('hello')\n" + text)
    done = subprocess.run(
        [*LEAKY, "compare", "--task", "mine.py:task", "--seeds", "2", "--activation", "tanh", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["activations"] == ["relu", "tanh"]
    assert "hello" in done.stderr


def test_a_pipe_that_is_closed_early_is_no_error(mine: Path) -> None:
    command = f"{sys.executable} -m leaky compare --task mine.py:task --seeds 2 --jobs 1 --activation tanh"
    script = f"set -o pipefail; {command} | true; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "0\n"
    assert done.stderr == ""


def test_a_terminal_without_the_characters(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    command = [*LEAKY, "compare", "--task", "mine.py:task", "--seeds", "2", "--jobs", "1", "--activation", "tanh"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0
    assert "Report: leaky-mi-ne.html" in done.stdout


def test_a_file_that_leaves_by_itself(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine / "mine.py").write_text("import sys\nsys.exit(0)\n")
    assert compare() == 2
    assert capsys.readouterr().err == "leaky: --task: 'mine.py' failed: SystemExit: 0 (mine.py, line 2)\n"


@pytest.mark.parametrize("name", ["a?b", "x#%41", "ü ber"])
def test_file_names_are_taken_as_they_are(mine: Path, name: str) -> None:
    assert compare("--activation", "tanh", "-o", f"{name}.html", "--study", f"{name}.db") == 0
    assert {p.name for p in mine.iterdir()} - {"__pycache__"} == {"mine.py", f"{name}.html", f"{name}.db"}


OWN_RELU = """
import numpy as np
import torch.nn.functional as F
from torch import nn

import leaky


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(20, 64), nn.Linear(64, 2)

    def forward(self, x):
        return self.outer(F.relu(self.inner(x)))


x = np.random.default_rng(0).normal(size=(400, 20))
task = leaky.Task(Net, x, (x[:, 0] * x[:, 1] > 0).astype(int), name="own", epochs=2)
"""


def test_a_network_that_says_relu_in_its_own_way(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "own.py").write_text(OWN_RELU)
    assert main(["compare", "--task", "own.py:task", "--seeds", "2", "--jobs", "2", "-o", "r.html"]) == 0
    out, err = capsys.readouterr()
    rows = [line.split()[0] for line in out.splitlines()[2:6]]
    assert rows == ["relu", "leaky_relu(0.01)", "leaky_relu(0.1)", "leaky_relu(0.2)"]
    assert "Without prelu(0.25), sigmoid and tanh: the network says ReLU in its own way" in err
    assert "relu()" in (here / "r.html").read_text()
    assert main(["compare", "--task", "own.py:task", "--activation", "tanh"]) == 2
    assert "expected relu, leaky_relu or prelu, or a factory that takes" in capsys.readouterr().err
