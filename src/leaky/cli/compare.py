"""`leaky compare`."""

from __future__ import annotations

import json
import re
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from leaky.cli.output import ResultConsole, check_output, messages, progress_bar, say_what_is_kept, study_place


def compare(
    context: typer.Context,
    task: Annotated[
        str,
        typer.Option(help="digits, digits-shallow, mnist1d, mnist, deep, or a file of yours as mine.py:task."),
    ] = "digits",
    activation: Annotated[
        list[str] | None,
        typer.Option(
            help="relu, 'leaky_relu(0.1)', 'prelu(0.25)', rrelu, sigmoid, tanh, elu or gelu; may be given many times "
            "(default: seven of them)"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trials (trainings) of each activation.")] = 10,
    baseline: Annotated[str, typer.Option(help="What the others are held against.")] = "relu",
    epochs: Annotated[int | None, typer.Option(help="Instead of the task's own number.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Trials at a time. (default: one per core)")] = None,
    study: Annotated[
        str | None,
        typer.Option(help="SQLite file or postgresql://… that keeps finished trials. (default: beside the report)"),
    ] = None,
    engine: Annotated[str, typer.Option(help="Where to train: loky (this machine) or dask://HOST:PORT.")] = "loky",
    cohort: Annotated[
        bool | None,
        typer.Option(
            help="Train small networks several at a time. (default: where that is faster and changes no number)"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Report (.html) or its summary picture (.svg, .png, .pdf). (default: leaky-TASK.html)",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> int:
    """Train one network with several activations, and say which is better than ReLU, or that none is."""
    from leaky.comparison import compare as run
    from leaky.report import write_report
    from leaky.report.terminal import show
    from leaky.trials import load_task

    # Whatever a user's file prints must not end up in the result.
    with redirect_stdout(sys.stderr):
        loaded = load_task(task)
    stem = "leaky-" + re.sub(r"[^\w.-]+", "-", loaded.name)
    output = output or Path(f"{stem}.html")
    check_output(output, (".html", ".svg", ".png", ".pdf"))
    place = study_place(study, output, stem)
    say_what_is_kept(place)
    with messages(), redirect_stdout(sys.stderr), progress_bar("trials") as progress:
        comparison = run(
            loaded,
            activation or None,
            seeds,
            baseline=baseline,
            epochs=epochs,
            jobs=jobs,
            engine=engine,
            cohort=cohort,
            study=place,
            progress=progress,
        )
    # A file's name may hold bytes that are no text.
    command = shlex.join(["leaky", *context.obj]).encode(errors="backslashreplace").decode()
    write_report(comparison, output, command=command)
    if as_json:
        print(json.dumps(comparison.to_dict(), allow_nan=False))
    show(comparison, ResultConsole(stderr=as_json, highlight=False))
    kind = "Report" if output.suffix.lower() == ".html" else "Picture"
    print(f"{kind}: {output}", file=sys.stderr if as_json else sys.stdout)
    return 0
