"""Options that several commands have, each with its help in one place."""

from __future__ import annotations

from typing import Annotated

import typer

Task = Annotated[
    str, typer.Option(help="digits, digits-shallow, mnist1d, mnist, deep, or a file of yours as mine.py:task.")
]
Epochs = Annotated[int | None, typer.Option(help="Instead of the task's own number.")]
Jobs = Annotated[int | None, typer.Option(help="Trainings at a time. (default: one per core)")]
Study = Annotated[
    str | None,
    typer.Option(help="SQLite file or postgresql://… that keeps what is finished. (default: beside the report)"),
]
Engine = Annotated[str, typer.Option(help="Where to train: loky (this machine) or dask://HOST:PORT.")]
Cohort = Annotated[
    bool | None,
    typer.Option(help="Train small networks several at a time. (default: where that is faster and changes no number)"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")]
