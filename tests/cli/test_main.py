from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from leaky.cli import main


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


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compear"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("leaky: No such command 'compear'")
