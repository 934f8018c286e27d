from __future__ import annotations

from pathlib import Path

import pytest

from leaky.cli import main


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_plot(here: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "--slope", "0.2", "-o", f"f.{suffix}"]) == 0
    assert capsys.readouterr().out == f"Picture: f.{suffix}\n"
    assert (here / f"f.{suffix}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slope", "nan"], "leaky: --slope: nan; expected a number from −1,000 to 1,000"),
        (["--slope", "steep"], "leaky: Invalid value for '--slope'"),
        (["-o", "out.gif"], "leaky: --output: 'out.gif'; expected a name that ends in .svg, .png, .pdf"),
    ],
)
def test_bad_input(here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
    assert not list(here.iterdir())
