"""The README's promises, held against the project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


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
