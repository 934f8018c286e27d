"""`leaky bench`."""

from __future__ import annotations

import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from leaky.cli import options
from leaky.cli.output import ResultConsole, check_output, progress_bar


def bench(
    size: Annotated[
        list[str] | None,
        typer.Option(help="Numbers of elements: 1000, 64Ki, 16Mi; may be given many times. (default: 3 to 64Mi)"),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float16, bfloat16, float32 or float64.")] = "float32",
    slope: options.Slope = 0.01,
    seconds: Annotated[float, typer.Option(help="For each size, each way; five rounds are made at least.")] = 2.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Picture of it to write (.svg, .png, .pdf).")
    ] = None,
    as_json: options.AsJson = False,
) -> int:
    """Time the function against its peers that are installed, and say where it loses."""
    from leaky.benchmark import DEFAULT_SIZES
    from leaky.benchmark import bench as run
    from leaky.report import save
    from leaky.report.benchmark.terminal import show

    sizes = sorted({_elements(text) for text in size}) if size else DEFAULT_SIZES
    if output:
        check_output(output, (".svg", ".png", ".pdf"))
    with redirect_stdout(sys.stderr), progress_bar("sizes") as progress:
        benchmark = run(sizes, dtype, slope, seconds=seconds, progress=progress)
    if output:
        from leaky.report.benchmark.figure import speed_figure

        save(speed_figure(benchmark), output)
    if as_json:
        print(json.dumps(benchmark.to_dict(), allow_nan=False))
    else:
        show(benchmark, ResultConsole(highlight=False))
    if output:
        print(f"Picture: {output}", file=sys.stderr if as_json else sys.stdout)
    return 0


def _elements(text: str) -> int:
    """Read a number of elements: 1000, 64Ki, 16 Mi."""
    match = re.fullmatch(r"([0-9]{1,15}) ?(Ki|Mi|Gi|)", text.strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f"--size: {text!r}; expected a number of elements like 1000, 64Ki or 16Mi")
    return int(match[1]) << {"": 0, "ki": 10, "mi": 20, "gi": 30}[match[2].lower()]
