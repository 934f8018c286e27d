"""Every example on every page runs, and prints what stands below it."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from leaky.cli import app, main

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FOLDERS = [ROOT / "docs", ROOT / "docs" / "commands"]
SCRIPT = ROOT / "scripts" / "pages.py"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pages"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


pages = _script()


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_all_pages_are_looked_at() -> None:
    assert {page.parent for page in PAGES} == {ROOT, *FOLDERS}


@pytest.mark.parametrize("folder", [ROOT, *FOLDERS], ids=name)
def test_pages_print_what_they_say(folder: Path) -> None:
    # Those of a folder in one process: what takes longest is to import the frameworks.
    command = [sys.executable, SCRIPT, "--check", *(page for page in PAGES if page.parent == folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.stdout == ""
    assert done.returncode == 0, done.stderr


def test_every_command_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = typer.main.get_command(app).commands
    texts = [page.read_text("utf-8") for page in PAGES]
    found = {c for text in texts for b in pages.blocks(text) if b.language == "sh" for c in pages.commands(b)}
    found |= {c for text in texts for c in re.findall(r"(?<!`)`(leaky [^`]+)`", text)}
    for command in sorted(c for c in found if c.startswith("leaky ")):
        _, verb, *rest = shlex.split(command)
        if verb == "claims" and verb not in verbs:
            continue  # TODO: goes with the command's arrival
        if verb.startswith("-"):
            continue
        assert main([verb, "--help"]) == 0, command
        known = capsys.readouterr().out
        for option in (word for word in rest if word.startswith("-")):
            assert option in known, command


def test_every_reason_not_to_run_something_is_needed() -> None:
    found = [b for page in PAGES for b in pages.blocks(page.read_text("utf-8"))]
    said = [c for b in found if b.language == "sh" for c in pages.commands(b)] + [b.file for b in found if b.file]
    for pattern in pages.NOT_RUN | pages.SLOW:
        assert any(re.search(pattern, command) for command in said), pattern


def test_every_file_is_used() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in pages.blocks(text):
            if block.file and block.output is None:
                assert len(re.findall(re.escape(block.file), text)) > 1, f"{page}: {block.file}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(
        r'\]\((?!https?:|#)([^)#]+)[^)]*\)|src(?:set)?="(?!https?:)([^"]+)"', page.read_text("utf-8")
    ):
        path = next(filter(None, target))
        assert (page.parent / path).exists(), path


GOOD = """
```python
# mine.py
print("mine")
```
```sh
python mine.py && python mine.py  # twice
```
```text
mine
mine
```
```python
print(0.123456, 7)
```
```text
0.123457 7
```
```python
>>> three = 3
```
```python
>>> three + 1
4
```
"""


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ("", "", ""),
        ('print("mine")', 'print("yours")', "+yours"),
        ("0.123457 7", "0.123457 8", "+0.123456 7"),
        ("0.123457 7", "0.133 7", "+0.123456 7"),
        ("\n4\n", "\n5\n", "Expected:"),
        ("mine\nmine\n", "mine\n", "printed, and not shown:\nmine"),
        ("print(0", "1 / 0; print(0", "ZeroDivisionError"),
        ("python mine.py &&", "python yours.py &&", "CalledProcessError"),
        ("```sh", "```shell", "expected python, sh or text"),
        ("```sh\npython mine.py && python mine.py  # twice\n```\n", "", " mine\n-mine"),
    ],
)
def test_what_is_wrong_is_found(was: str, becomes: str, complaint: str, tmp_path: Path) -> None:
    assert was in GOOD
    page = tmp_path / "page.md"
    page.write_text(GOOD.replace(was, becomes, 1))
    with pages.chdir(tmp_path):
        (tmp_path / "run").mkdir()
        try:
            found = "\n".join(pages.Page(page, tmp_path / "run", quick=True).run())
        except ValueError as error:
            found = str(error)
    assert complaint in found
    assert bool(found) == bool(complaint), found


def test_in_full_the_page_is_rewritten(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(GOOD.replace("mine\nmine\n", "yours\n").replace("0.123457 7", "8"))
    (tmp_path / "run").mkdir()
    assert pages.Page(page, tmp_path / "run", quick=False).run() == []
    assert page.read_text() == GOOD.replace("0.123457 7", "0.123456 7")


@pytest.mark.parametrize(
    ("printed", "shown", "complaint"),
    [
        ("a\nb\nc\n", "a\nb\nc\n", False),
        ("a\nb\nc\n", "a\n…\n", False),
        ("a\nb\nc\n", "…\nc\n", False),
        ("a\nb\nc\n", "a\n…\nc\n", False),
        ("a\nb\nc\n", "…\nb\n…\n", False),
        ("a\nb\nc\n", "b\n…\n", True),
        ("a\nb\nc\n", "…\nb\n", True),
        ("a\nb\nc\n", "a\n…\nd\n", True),
        ("a\nb\nc\n", "a\n…\nb\n", True),
        ("3 of 4\n", "3 of 5\n", True),
        ("took 3.2 s, 4 MiB\n", "took 13 s, 40 MiB\n", False),
        ("accuracy  97.31 %\n", "accuracy 97.4 %\n", False),
        ("accuracy 90.31 %\n", "accuracy 97.4 %\n", True),
        ("−0.5\n", "0.5\n", True),
        ("leaky_relu(0.01)\n", "leaky_relu(0.1)\n", True),
    ],
)
def test_outputs_are_told_apart(printed: str, shown: str, complaint: bool) -> None:
    assert bool(pages.different(printed, shown)) == complaint


def test_a_quick_run_has_the_labels_of_a_full_one() -> None:
    shown = (
        "digits: 10 seeds, test scores\narm  accuracy, % − relu\nrelu   86.8 ± 4.0   12.4 baseline\ntanh  88.3 ± 2.3\n"
    )
    assert pages.labels(shown) == ["digits:", "relu", "tanh"]
    assert pages.unlike(shown.replace("86.8", "70.0").replace("10 seeds", "2 seeds"), shown) == ""
    assert "tanh" in pages.unlike(shown.replace("tanh", "elu"), shown)
