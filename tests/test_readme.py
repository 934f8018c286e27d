"""The README's promises, held against the project."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import leaky
from leaky.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


PAGES = sorted((ROOT / "docs").glob("*.md"))


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_two_commands_stand_there() -> None:
    shell = "".join(blocks("sh"))
    assert "pip install '.[torch]' && leaky compare\n" in shell
    assert "pip install '.[all,test]' && pytest\n" in shell


def test_every_extra_named_exists() -> None:
    named = {e for extras in re.findall(r"'\.\[([\w,]+)\]'", README) for e in extras.split(",")}
    assert named <= set(PROJECT["optional-dependencies"])


def test_the_python_version_is_the_one_required() -> None:
    assert f"Python {PROJECT['requires-python'].removeprefix('>=')}" in README


def test_every_command_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    shell = "".join(blocks("sh") + [b for page in PAGES for b in blocks("sh", page.read_text("utf-8"))])
    commands = re.findall(r"leaky (\w+)((?: +(?!&&)[^\n#&|`]+)?)", shell)
    assert commands
    for verb, rest in commands:
        assert main([verb, "--help"]) == 0
        known = capsys.readouterr().out
        for option in (word for word in shlex.split(rest) if word.startswith("-")):
            assert option in known, f"leaky {verb} {option}"


def test_the_example_of_ones_own_network_works(tmp_path: Path) -> None:
    (source,) = (block for block in blocks("python") if "leaky.Task" in block)
    (tmp_path / "mine.py").write_text(source)
    command = [sys.executable, "-m", "leaky", "compare", "--task", "mine.py:task", "--seeds", "2", "--epochs", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "leaky-mine.html").exists()
    assert len(source.strip().splitlines()) <= 12


def outcome(command: str, folder: Path, *, code: int) -> list[str]:
    """Run a command of the README beside the network that it shows; return the lines that it prints, on both streams."""
    (source,) = (block for block in blocks("python") if "def network" in block)
    (folder / "net.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == code, done.stderr
    return [line.rstrip() for line in (done.stderr + done.stdout).splitlines()]


def line_of(verb: str) -> str:
    (command,) = (line for line in "".join(blocks("sh")).splitlines() if line.startswith(f"leaky {verb}"))
    return command


def printed(beginning: str) -> list[str]:
    (block,) = (block for block in blocks("text") if block.startswith(beginning))
    return block.splitlines()


def test_the_check_prints_what_it_says(tmp_path: Path) -> None:
    shown, expected = outcome(line_of("check"), tmp_path, code=1), printed("site units")
    assert shown[: len(expected)] == expected
    assert shown[-1:] == ["Report: report.html"]


def test_the_conversion_prints_what_it_says_and_so_does_the_check_of_it(tmp_path: Path) -> None:
    shown = outcome(line_of("convert"), tmp_path, code=0)
    assert (tmp_path / "cured.pt").exists()
    assert shown == printed("site was")
    (command,) = (line.strip() for line in shown if line.startswith("  leaky check"))
    expected = printed("cured.pt: ")
    assert outcome(command, tmp_path, code=0)[: len(expected)] == expected


def test_the_network_that_does_not_learn_is_cured(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "curing.md").read_text("utf-8")
    (source,), (printed,) = blocks("python", page), blocks("text", page)
    (tmp_path / "curing.py").write_text(source)
    done = subprocess.run(
        [sys.executable, tmp_path / "curing.py"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.splitlines()[:2] == printed.splitlines()[:2]
    # Fifty layers deep, sums that are rounded otherwise on another machine make another training.
    relu, leaks = (int(share) for share in re.findall(r"(\d+)%", done.stdout))
    assert relu < 45
    assert leaks > relu + 10


def test_the_other_examples_print_what_they_say(tmp_path: Path) -> None:
    for block in blocks("python"):
        if "leaky.Task" in block or ">>>" in block:
            continue
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True, timeout=120)
    for session in (block for block in blocks("python") if ">>>" in block):
        test = doctest.DocTestParser().get_doctest(session, {"leaky": leaky}, "README.md", "README.md", 0)
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r'\]\((?!https?:|#)([^)]+)\)|src(?:set)?="(?!https?:)([^"]+)"', page.read_text("utf-8")):
        path = next(filter(None, target))
        assert (page.parent / path).exists(), path
