"""`leaky plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leaky.cli import options
from leaky.cli.output import check_output

# The largest slope that is drawn: beyond, nothing but a vertical line would be seen.
_STEEPEST = 1000


def plot(
    slope: options.Slope = 0.05,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write (.svg, .png, .pdf).")] = Path(
        "leaky-relu.svg"
    ),
) -> int:
    """Draw Leaky ReLU and its derivative beside ReLU."""
    from leaky.report import function_figure, save

    if not abs(slope) <= _STEEPEST:
        raise ValueError(f"--slope: {slope}; expected a number from −{_STEEPEST:,} to {_STEEPEST:,}")
    check_output(output, (".svg", ".png", ".pdf"))
    save(function_figure(slope), output)
    print(f"Picture: {output}")
    return 0
