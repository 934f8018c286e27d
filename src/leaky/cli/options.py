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
Slope = Annotated[float, typer.Option(help="Negative slope of the Leaky ReLU.")]
Network = Annotated[str | None, typer.Option("--model", help="For weights: the network, as file.py:factory.")]
Batch = Annotated[int | None, typer.Option(help="Samples in a batch. (default: 8 to 1024, by the size of a sample)")]
Trust = Annotated[bool, typer.Option("--trust", help="Run the named files although they are not on the import path.")]
MaxMemory = Annotated[str | None, typer.Option(help="For what is read, such as 4GiB. (default: half of the machine's)")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")]
