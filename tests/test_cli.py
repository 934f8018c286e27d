from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
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
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with a user's task in it, as the current one."""
    (tmp_path / "mine.py").write_text(MINE.replace("EPOCHS", "2"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def compare(*arguments: str) -> int:
    return main(["compare", "--task", "mine.py:task", "--seeds", "3", "--jobs", "1", *arguments])


def test_table_verdict_and_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("--activation", "leaky_relu(0.1)", "--activation", "tanh") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:5]] == ["relu", "leaky_relu(0.1)", "tanh"]
    assert "On mi/ne, " in out
    assert lines[-1] == "Report: leaky-mi-ne.html"
    assert err == ""
    assert sorted(p.name for p in here.iterdir()) == ["leaky-mi-ne.db", "leaky-mi-ne.html", "mine.py"]


def test_running_it_again_resumes_and_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare("--activation", "tanh")
    first = capsys.readouterr().out
    compare("--activation", "tanh")
    out, err = capsys.readouterr()
    assert out == first
    assert err == "6 of 6 trials are finished in leaky-mi-ne.db; none is run again.\n"


def test_json_is_one_document_and_all_else_is_on_standard_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
def test_a_picture_instead_of_the_report(here: Path, suffix: str) -> None:
    assert compare("--activation", "tanh", "-o", f"out.{suffix}") == 0
    assert (here / f"out.{suffix}").read_bytes()[:4] in (b"<?xm", b"<svg", b"\x89PNG", b"%PDF")
    assert (here / "leaky-mi-ne.db").exists()


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_plot(here: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "--slope", "0.2", "-o", f"f.{suffix}"]) == 0
    assert capsys.readouterr().out == f"Picture: f.{suffix}\n"
    assert (here / f"f.{suffix}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["compare", "--task", "digit"],
            "leaky: task: 'digit' is unknown; expected digits, digits-shallow, mnist1d, or a file",
        ),
        (["compare", "--task", "none.py:task"], "leaky: task: 'none.py' is not there; expected a Python file"),
        (["compare", "--activation", "rel"], "leaky: activation: 'rel' is unknown; expected one of relu, leaky_relu"),
        (["compare", "--activation", "leaky_relu(nan)"], "leaky: activation: leaky_relu's negative_slope is nan"),
        (["compare", "--baseline", "rel"], "leaky: activation: 'rel' is unknown"),
        (["compare", "--seeds", "0"], "leaky: seeds: 0; expected"),
        (["compare", "--seeds", "many"], "leaky: Invalid value for '--seeds'"),
        (["compare", "--epochs", "0"], "leaky: epochs: 0; expected a whole number of at least 1"),
        (["compare", "--jobs", "0"], "leaky: jobs: 0; expected at least 1"),
        (["compare", "--output", "out.txt"], "leaky: --output: 'out.txt'; expected a name that ends in .html"),
        (["compare", "--output", "none/out.html"], "leaky: --output: the folder 'none' is not there"),
        (["compare", "--study", "none/out.db"], "leaky: study: the folder 'none' is not there"),
        (["compare", "--study", "mine.py"], "leaky: study: 'mine.py' cannot be used (file is not a database)"),
        (["compare", "--what"], "leaky: No such option: --what"),
        (["compear"], "leaky: No such command 'compear'"),
        (["plot", "--slope", "nan"], "leaky: --slope: nan; expected a number from −1,000 to 1,000"),
        (["compare", "--output", "s.html", "--study", "s.html"], "leaky: --study: 's.html' is the output too"),
        (["compare", "--study", "."], "leaky: study: '.' cannot be written"),
        (["plot", "--slope", "steep"], "leaky: Invalid value for '--slope'"),
        (["plot", "-o", "out.gif"], "leaky: --output: 'out.gif'; expected a name that ends in .svg, .png, .pdf"),
    ],
)
def test_bad_input_is_one_line_and_code_2_and_writes_nothing(
    here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert [p.name for p in here.iterdir()] == ["mine.py"] or {p.name for p in here.iterdir()} == {
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
def test_a_users_mistakes(here: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.py").write_text((here / "mine.py").read_text().replace(old, new))
    assert compare() == 2
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert err.count("\n") == 1
    assert not list(here.glob("leaky-*"))


def test_control_characters_of_a_name_do_not_reach_the_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (here / "mine.py").read_text().replace("mi/ne", "\\x1b[31mred\\x07")
    (here / "mine.py").write_text(text)
    assert compare("--activation", "tanh") == 0
    out, _ = capsys.readouterr()
    assert "\x1b" not in out
    assert "\x07" not in out


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("leaky 0.")
    assert main(["compare", "--help"]) == 0


def test_the_bare_package_says_what_to_install(here: Path) -> None:
    code = "import sys; sys.modules['typer'] = None; from leaky.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "leaky: the command line needs typer, which is not installed; "
        "install leaky with its extra 'torch': pip install '.[torch]' in its source folder\n"
    )


def test_without_pytorch_it_says_what_to_install(here: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from leaky.__main__ import main; sys.argv = ['leaky', 'compare']; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "needs torch, which is not installed" in done.stderr
    assert done.stderr.count("\n") == 1


class Terminal:
    """The command in a terminal of its own, 80 columns wide."""

    def __init__(self, *arguments: str) -> None:
        self.leader, follower = pty.openpty()
        environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
        self.process = subprocess.Popen(
            [*LEAKY, *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment,
            start_new_session=True,
        )
        os.close(follower)
        self.text = ""

    def read_until(self, pattern: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, f"{pattern!r} did not come up in:\n{self.text}"
            if select.select([self.leader], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.leader, 65536).decode()
                except OSError:  # the other end is closed
                    assert re.search(pattern, self.text), self.text
                    return


def test_on_a_terminal_there_is_progress_and_ctrl_c_keeps_what_finished(here: Path) -> None:
    # Long enough that the interrupt finds it at work, however late this process reads what it sees.
    (here / "mine.py").write_text(MINE.replace("EPOCHS", "150"))
    arguments = ["compare", "--task", "mine.py:task", "--seeds", "4", "--jobs", "2", "--activation", "tanh"]
    terminal = Terminal(*arguments)
    terminal.read_until(r"[1-6]/8")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.read_until("Stopped. Finished trials are in leaky-mi-ne.db; the same command goes on from there.")
    assert terminal.process.wait(timeout=30) == 130
    assert "Traceback" not in terminal.text
    assert not (here / "leaky-mi-ne.html").exists()

    done = subprocess.run([*LEAKY, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0
    found = re.match(r"(\d) of 8 trials are finished in leaky-mi-ne.db; running the other (\d).\n$", done.stderr)
    assert found is not None, done.stderr
    assert int(found[1]) + int(found[2]) == 8
    assert int(found[1]) >= 1


def test_in_a_pipe_there_is_no_progress_and_no_colour(here: Path) -> None:
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
    assert str(here) not in done.stdout


def test_the_report_says_how_to_repeat_it(here: Path) -> None:
    assert compare("--activation", "leaky_relu(0.3)") == 0
    assert (
        "leaky compare --task mine.py:task --seeds 3 --jobs 1 --activation &#39;leaky_relu(0.3)&#39;"
        in (here / "leaky-mi-ne.html").read_text()
    )


def test_what_a_users_file_prints_is_no_part_of_the_result(here: Path) -> None:
    text = (
        (here / "mine.py").read_text().replace("def model(activation):", "def model(activation):\n    print('hello')")
    )
    (here / "mine.py").write_text("print('hello')\n" + text)
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


def test_a_pipe_that_is_closed_early_is_no_error(here: Path) -> None:
    command = f"{sys.executable} -m leaky compare --task mine.py:task --seeds 2 --jobs 1 --activation tanh"
    script = f"set -o pipefail; {command} | true; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "0\n"
    assert done.stderr == ""


def test_a_terminal_without_the_characters(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    command = [*LEAKY, "compare", "--task", "mine.py:task", "--seeds", "2", "--jobs", "1", "--activation", "tanh"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0
    assert "Report: leaky-mi-ne.html" in done.stdout


def test_a_file_that_leaves_by_itself(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.py").write_text("import sys\nsys.exit(0)\n")
    assert compare() == 2
    assert capsys.readouterr().err == "leaky: task: 'mine.py' failed: SystemExit: 0 (mine.py, line 2)\n"


@pytest.mark.parametrize("name", ["a?b", "x#%41", "ü ber"])
def test_file_names_are_taken_as_they_are(here: Path, name: str) -> None:
    assert compare("--activation", "tanh", "-o", f"{name}.html", "--study", f"{name}.db") == 0
    assert {p.name for p in here.iterdir()} - {"__pycache__"} == {"mine.py", f"{name}.html", f"{name}.db"}


CHECKED = """
import numpy as np
import torch
from torch import nn


def network():
    print("hello")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        model[0].bias[2] = DEAD
    return model


def loader():
    return [np.random.default_rng(n).normal(size=(50, 4)) for n in range(4)]
"""


@pytest.fixture
def checked(here: Path) -> Path:
    """A user's network with a dead unit, and data for it, in the current folder."""
    (here / "net.py").write_text(CHECKED.replace("DEAD", "-100"))
    (here / "alive.py").write_text(CHECKED.replace("DEAD", "0"))
    rng = np.random.default_rng(0)
    np.savez(here / "d.npz", x=rng.normal(size=(300, 4)), y=rng.integers(3, size=300))
    return here


def check(*arguments: str) -> int:
    return main(["check", *arguments, "--trust"])


def test_check_finds_the_dead_unit(checked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("net.py:network", "--data", "d.npz", "--prove") == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[:4] == ["1", "8", "1", "0"]
    assert "L002 units proved dead · 1: 2" in out
    assert "Cause: bias too low for the weights (−100)" in out
    assert err == "hello\n"
    assert not list(checked.glob("*.html"))


def test_check_that_finds_nothing_exits_0(checked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("alive.py:network", "--data", "alive.py:loader", "--loss", "model") == 2
    assert check("alive.py:network", "--data", "alive.py:loader") == 0
    assert "0 of 8 units at 1 site are dead on 200 samples; 0 problems" in capsys.readouterr().out


def test_check_as_json_with_report(checked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["net.py:network", "-d", "d.npz", "--loss", "cross_entropy", "--range", "-9", "9", "--batch", "7"]
    assert check(*arguments, "--json", "--output", "r.html") == 1
    out, err = capsys.readouterr()
    document = json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert document["samples"] == 300
    assert document["input_range"] == [-9, 9]
    assert document["sites"][0]["proved_dead"] == [2]
    assert len(document["sites"][0]["evidence"]["gradient"]) == 8
    assert document["findings"][0]["code"] == "L002"
    assert "Report: r.html" in err
    assert "leaky check net.py:network -d d.npz" in (checked / "r.html").read_text()


def test_check_before_training(checked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("net.py:network", "--data", "d.npz", "--untrained") == 1
    assert "L004 units dead at birth" in capsys.readouterr().out


def test_check_of_networks_at_birth(checked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = (
        "from torch import nn\n\ndef born():\n    parts = [p for _ in range(8) for p in (nn.Linear(2, 2), nn.ReLU())]\n"
    )
    (checked / "born.py").write_text(narrow + "    return nn.Sequential(nn.Linear(4, 2), *parts)\n")
    assert check("born.py:born", "--data", "d.npz", "--at-birth", "20") == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith("Born dead, of 20 networks on 300 samples")
    assert [line.split()[0] for line in out.splitlines()[2:6]] == ["0", "0.01", "0.1", "0.2"]
    assert " 0.0 (0.0–" in out.splitlines()[3]
    assert err == ""
    assert check("born.py:born", "--data", "d.npz", "--at-birth", "20", "--json") == 0
    births = json.loads(capsys.readouterr().out)["births"]
    assert births[0]["unit"]["value"] > births[1]["unit"]["value"] == 0
    assert check("born.py:born", "--data", "d.npz", "--at-birth", "0") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.py:network"], "leaky: Missing option '--data'"),
        (["none.py:network", "--data", "d.npz"], "leaky: model: 'none.py' is not there"),
        (["net.py:network", "--data", "none.npz"], "leaky: data: 'none.npz' is not there"),
        (["net.py:network", "--data", "d.npz", "--loss", "huber"], "leaky: loss: 'huber' is unknown; expected"),
        (["net.py:network", "--data", "d.npz", "--batch", "0"], "leaky: batch_size: 0; expected a whole number"),
        (["net.py:network", "--data", "d.npz", "--range", "1", "0"], "leaky: input_range: (1.0, 0.0); expected"),
        (["net.py:network", "--data", "d.npz", "-o", "r.svg"], "leaky: --output: 'r.svg'; expected a name"),
        (["net.py:network", "--data", "d.npz", "--max-memory", "much"], "leaky: max_memory: 'much'; expected"),
    ],
)
def test_check_of_bad_input(
    checked: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    err = err.removeprefix("hello\n")
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_check_runs_no_file_that_is_not_trusted(checked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Not this process's import path, on which other tests put folders.
    command = [*LEAKY, "check", "net.py:network", "--data", "d.npz"]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--trust" in done.stderr


def test_check_shows_progress_on_a_terminal(checked: Path) -> None:
    slow = (
        CHECKED.replace("DEAD", "0")
        + "\n\ndef slow():\n    import time\n\n    for each in loader() * 20:\n        time.sleep(0.2)\n        yield each\n"
    )
    (checked / "slow.py").write_text(slow)
    terminal = Terminal("check", "slow.py:network", "--data", "slow.py:slow", "--trust")
    terminal.read_until(r"batches.*[2-9]/")
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.process.wait(timeout=30) == 130
    assert "Traceback" not in terminal.text


def test_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "bench.svg"
    assert main(["bench", "--size", "3", "--size", "1Ki", "--seconds", "0", "-o", str(picture)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "np.where" in out
    assert out.splitlines()[-1] == f"Picture: {picture}"
    assert picture.read_text().startswith("<svg")
    assert main(["bench", "--size", "3", "--dtype", "float16", "--seconds", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "float16"


@pytest.mark.parametrize("size", ["", "-1", "0", "3x", "1.5Mi", "99999999999999Gi"])
def test_bench_says_what_a_size_is(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", f"--size={size}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "size" in line
    assert "expected" in line
