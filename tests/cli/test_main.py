from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer.main

from leaky import cli
from leaky.cli import main

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("leaky 0.")
    assert main(["compare", "--help"]) == 0


def test_the_bare_package_says_what_to_install(here: Path) -> None:
    code = "import sys; sys.modules['typer'] = None; from leaky.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "leaky: the command line needs typer: pip install 'leaky[torch]'\n"


def test_without_pytorch_it_says_what_to_install(here: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from leaky.__main__ import main; sys.argv = ['leaky', 'compare']; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.endswith(" needs torch: pip install 'leaky[torch]'\n")
    assert done.stderr.count("\n") == 1


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compear"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("leaky: No such command 'compear'")


def test_what_several_commands_say_of_an_option_stands_once() -> None:
    texts = Counter(option.help for command in COMMANDS.values() for option in command.params)
    shared = {text for text, count in texts.items() if count > 1}
    assert len(shared) >= 11  # that there is something to find
    for path in Path(cli.__file__).parent.glob("*.py"):
        strings = {
            node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)
        }
        assert path.name == "options.py" or not shared & strings


@pytest.mark.parametrize("arguments", [["plot", "--help"], ["--help"], [], ["bench", "--size", "3", "--seconds", "0"]])
def test_a_closed_pipe_is_the_end_and_no_error(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "leaky", *arguments]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 0
