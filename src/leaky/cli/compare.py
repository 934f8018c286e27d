"""`leaky compare`."""

from __future__ import annotations

import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from leaky.cli import options
from leaky.cli.commands import written
from leaky.cli.output import ResultConsole, check_output, messages, progress_bar, say_what_is_kept, study_place


def compare(
    context: typer.Context,
    task: options.Task = "digits",
    activation: Annotated[
        list[str] | None,
        typer.Option(
            help="relu, 'leaky_relu(0.1)', 'prelu(0.25)', rrelu, sigmoid, tanh, elu or gelu; may be given many times "
            "(default: seven of them)"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trials (trainings) of each activation.")] = 10,
    baseline: Annotated[str, typer.Option(help="What the others are held against.")] = "relu",
    epochs: options.Epochs = None,
    jobs: options.Jobs = None,
    study: options.Study = None,
    engine: options.Engine = "loky",
    cohort: options.Cohort = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Report (.html) or its summary picture (.svg, .png, .pdf). (default: leaky-TASK.html)",
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> int:
    """Train one network with several activations, and say which is better than ReLU, or that none is."""
    from leaky.comparison import compare as run
    from leaky.report import write_report
    from leaky.report.comparison.terminal import show
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
    write_report(comparison, output, command=written(context.obj))
    if as_json:
        print(json.dumps(comparison.to_dict(), allow_nan=False))
    show(comparison, ResultConsole(stderr=as_json, highlight=False))
    kind = "Report" if output.suffix.lower() == ".html" else "Picture"
    print(f"{kind}: {output}", file=sys.stderr if as_json else sys.stdout)
    return 0
