from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaky.claims import growth
from leaky.cli import main


@pytest.fixture
def small(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, and an experiment of two layers."""
    monkeypatch.setattr(growth, "_DEPTH", 4)
    monkeypatch.setattr(growth, "_SEEDS", 1)
    monkeypatch.setattr(growth, "_SAMPLES", 16)
    return here


def test_a_line_each_and_a_report(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "S1", "s10"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[0] == "S1"
    assert lines[1].rstrip().endswith("defined")
    assert lines[2].rstrip().endswith("does not hold here")  # in four layers nothing grows by a hundred
    assert "Of 1 statement that was tested, 1 does not hold here." in lines
    assert lines[-1] == "Report: leaky-claims.html"
    assert sorted(path.name for path in small.iterdir()) == ["leaky-claims.db", "leaky-claims.html"]
    page = (small / "leaky-claims.html").read_text("utf-8")
    assert "leaky claims S1 s10" in page


def test_again_from_the_record(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["claims", "S10", "--study", "c.db", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(growth, "_sizes", None)  # measuring again would fail
    assert main(["claims", "S10", "--study", "c.db", "--json", "-o", "other.html"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == first
    assert "Report: other.html" in err
    (claim,) = first["claims"]
    assert claim["verdict"] == "does not hold here"
    assert claim["numbers"]["exponent of the input, tanh"] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["S99"], "leaky: statements: 'S99'; expected S1 to S22"),
        (["S1", "x\x1b[1m"], "leaky: statements: 'x\\x1b[1m'; expected S1 to S22"),
        (["S1", "-o", "a.pdf"], "leaky: --output: 'a.pdf'; expected a name that ends in .html"),
        (["S1", "-o", "a/b.html"], "leaky: --output: the folder 'a' is not there"),
        (["S1", "--study", "leaky-claims.html"], "leaky: --study: 'leaky-claims.html' is the output too; expected"),
        (["S1", "--jobs", "0"], "leaky: --jobs: 0; expected at least 1"),
    ],
)
def test_errors(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    assert main(["claims", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(complaint)
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_interrupted(small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was finished before is kept, and it is said where."""

    def interrupted(*_: Any) -> list[float]:
        os.kill(os.getpid(), signal.SIGINT)
        return []

    assert main(["claims", "S1"]) == 0
    monkeypatch.setattr(growth, "_sizes", interrupted)
    capsys.readouterr()
    assert main(["claims", "S1", "S10"]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["Stopped. Finished trials are in leaky-claims.db; the same command goes on from there."]


def test_progress_on_a_terminal(here: Path, terminal: Callable[..., Any]) -> None:
    session = terminal("claims", "S10", "-o", str(here / "c.html"))
    session.read_until(r"S10 .*%.*left")
    session.read_until(r"Report: ")
    assert session.process.wait(timeout=60) == 0
