"""`leaky claims`."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from leaky.cli import options
from leaky.cli.commands import written
from leaky.cli.output import ResultConsole, check_output, say_what_is_kept, study_place, work_bar


def claims(
    context: typer.Context,
    statements: Annotated[
        list[str] | None, typer.Argument(help="Which, such as S7 S12. (default: all)", metavar="[S7 …]")
    ] = None,
    jobs: options.Jobs = None,
    study: options.Study = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Report (.html).", show_default=True)] = Path(
        "leaky-claims.html"
    ),
    as_json: options.AsJson = False,
) -> int:
    """Put what is said of Leaky ReLU to the test, statement by statement."""
    from leaky.claims import run
    from leaky.claims.registry import chosen
    from leaky.report import write_report
    from leaky.report.claims.terminal import show_claims

    chosen(statements or None)  # what is not known is said before anything else
    check_output(output, (".html",))
    place = study_place(study, output, output.stem)
    say_what_is_kept(place)
    with redirect_stdout(sys.stderr), work_bar() as progress:
        found = run(statements or None, study=place, jobs=jobs, progress=progress)
    write_report(found, output, command=written(context.obj))
    if as_json:
        print(json.dumps(found.to_dict(), allow_nan=False))
    show_claims(found, ResultConsole(stderr=as_json, highlight=False))
    print(f"Report: {output}", file=sys.stderr if as_json else sys.stdout)
    return 0
