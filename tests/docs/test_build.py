"""The documentation builds without a warning, and what it takes from the code is all there."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import leaky
from leaky.checkup.rules import RULES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-n",
        "-W",
        "--keep-going",
        "-q",
        "-d",
        out / "trees",
        ROOT / "docs",
        out,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out


def text(page: Path) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page.read_text("utf-8"))).split())


def making() -> ModuleType:
    spec = importlib.util.spec_from_file_location("making", ROOT / "docs" / "making.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", ["CONTRIBUTING.md", "scripts/sanitize", "docs/architecture.md", "src/core/statistics.h"]
)
def test_files_that_are_named_are_there(name: str) -> None:
    found = re.findall(
        r"\b(?:tests|src|docs|scripts|bench|examples)/[\w/{},*.]+[\w}]", (ROOT / name).read_text("utf-8")
    )
    assert found
    for path in found:
        listed = subprocess.run(["bash", "-c", f"ls -d {path}"], cwd=ROOT, capture_output=True, check=False, text=True)
        assert listed.returncode == 0, listed.stderr


def test_every_module_is_on_the_architecture_page_and_none_that_does_not_exist(built: Path) -> None:
    page = (built / "architecture.html").read_text("utf-8")
    made = page[page.index('<section id="src-core">') :]
    headings = re.findall(r"<h2>([\w/]+)<", made)
    shown = {
        f"{folder}/{name}"
        for folder, part in zip(headings, made.split("<h2>")[1:], strict=True)
        for names in re.findall(r"<dt>(.*?)</dt>", part)
        for name in re.sub(r"<[^>]+>", "", names).split(", ")
    }
    there = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "src").rglob("*") if path.suffix in (".py", ".h", ".cpp")
    }
    assert shown == there


def test_every_module_says_what_it_is_for_in_one_sentence_of_its_own() -> None:
    said = [(f"{folder}/{name}", said) for folder, files in making().outline().items() for name, said in files]
    assert [name for name, sentence in said if not 10 < len(sentence) <= 250 or sentence[-1] not in ".:?!"] == []
    assert len({sentence for _, sentence in said}) == len(said)


def test_every_finding_has_its_remedy_on_the_guide(built: Path) -> None:
    page = text(built / "dying.html")
    for rule in RULES:
        assert f"{rule.code}: {rule.title}" in page
        assert rule.remedy[:60] in page


def test_every_option_is_on_the_page_of_its_command(built: Path) -> None:
    assert "--only-dead" in text(built / "commands" / "convert.html")
    assert "(default: 0.1)" in text(built / "commands" / "convert.html")
    assert "--range" in text(built / "commands" / "check.html")


def test_every_public_name_is_in_the_api(built: Path) -> None:
    page = (built / "api.html").read_text("utf-8")
    for name in leaky.__all__:
        assert f'id="leaky.{name}"' in page or f'id="leaky.{name}.' in page or f'id="module-leaky.{name}"' in page, name


def test_no_picture_is_put_on_a_white_sheet(built: Path) -> None:
    for page in built.rglob("*.html"):
        for image in re.findall(r"<img[^>]+\.svg[^>]*>", page.read_text("utf-8")):
            assert "dark-light" in image, page


def test_examples_are_short_and_in_the_gallery() -> None:
    gallery = (ROOT / "docs" / "gallery.md").read_text("utf-8")
    examples = sorted((ROOT / "examples").glob("*.py"))
    assert len(examples) >= 5
    for path in examples:
        assert len(path.read_text("utf-8").splitlines()) < 60, path
        assert f"{{literalinclude}} ../examples/{path.name}" in gallery
        assert f"python examples/{path.name}\n" in gallery
    assert os.sep not in "".join(re.findall(r"\.\./examples/([^\n]+)", gallery))


def test_what_is_missing_is_found(tmp_path: Path) -> None:
    maker = making()
    maker.PACKAGE, maker.CORE = tmp_path / "leaky", tmp_path / "core"
    for folder in ("leaky/part", "core"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "leaky" / "__init__.py").write_text('"""The package."""\n')
    (tmp_path / "leaky" / "part" / "one.py").write_text('"""One thing,\nin two lines. Another.\n\nAnd more.\n"""\n')
    (tmp_path / "leaky" / "part" / "mute.py").write_text("x = 1\n")
    (tmp_path / "core" / "run.h").write_text("// Runs\n// things.\n//\n// More.\n#pragma once\n")
    (tmp_path / "core" / "run.cpp").write_text('#include "run.h"\n')
    assert maker.outline() == {
        "src/core": [("run.h, run.cpp", "Runs things.")],
        "src/leaky": [("__init__.py", "The package.")],
        "src/leaky/part": [("mute.py", ""), ("one.py", "One thing, in two lines.")],
    }
