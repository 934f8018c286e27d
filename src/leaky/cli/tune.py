"""`leaky tune`."""

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


def tune(
    context: typer.Context,
    task: options.Task = "digits",
    tolerance: Annotated[
        float, typer.Option(help="Stop when the slope found loses at most so much against the best (0.01: a point).")
    ] = 0.01,
    trials: Annotated[int, typer.Option(help="Trainings of the search at most.")] = 200,
    time: Annotated[float | None, typer.Option(help="Minutes of the search at most.", metavar="MINUTES")] = None,
    confirm: Annotated[
        bool, typer.Option(help="Train the slope found, 0.01, ReLU and PReLU on ten fresh seeds.")
    ] = True,
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Then try a slope for each site, too.")] = False,
    first_seed: Annotated[int, typer.Option(help="Of the search's trainings: another one repeats it on others.")] = 0,
    epochs: options.Epochs = None,
    jobs: options.Jobs = None,
    study: options.Study = None,
    engine: options.Engine = "loky",
    cohort: options.Cohort = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Report (.html). (default: leaky-tune-TASK.html)")
    ] = None,
    as_json: options.AsJson = False,
) -> int:
    """Find the slope that suits a network, with an interval, by the fewest trainings that can tell."""
    from leaky.report import write_report
    from leaky.report.tuning.terminal import show_tuning
    from leaky.trials import load_task
    from leaky.tuning import tune as run

    if time is not None and not time > 0:
        raise ValueError(f"--time: {time:g}; expected a number of minutes above 0")
    # Whatever a user's file prints must not end up in the result.
    with redirect_stdout(sys.stderr):
        loaded = load_task(task)
    stem = "leaky-tune-" + re.sub(r"[^\w.-]+", "-", loaded.name)
    output = output or Path(f"{stem}.html")
    check_output(output, (".html",))
    place = study_place(study, output, stem)
    say_what_is_kept(place)
    with messages(), redirect_stdout(sys.stderr), progress_bar("trainings") as progress:
        tuning = run(
            loaded,
            tolerance=tolerance,
            trials=trials,
            seconds=None if time is None else 60 * time,
            confirm=confirm,
            per_layer=per_layer,
            first_seed=first_seed,
            epochs=epochs,
            jobs=jobs,
            engine=engine,
            cohort=cohort,
            study=place,
            progress=progress,
        )
    write_report(tuning, output, command=written(context.obj))
    if as_json:
        print(json.dumps(tuning.to_dict(), allow_nan=False))
    show_tuning(tuning, ResultConsole(stderr=as_json, highlight=False))
    print(f"Report: {output}", file=sys.stderr if as_json else sys.stdout)
    return 0
