"""A tuning on a terminal: the slopes that were tried, the answer, and how it held."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leaky.report import terminal, words
from leaky.report.slopes import rows
from leaky.tuning import Tuning


def show_tuning(tuning: Tuning, console: Console) -> None:
    """Print the table of slopes, the headline, and the confirmation."""
    metric = "accuracy, %" if tuning.metric == "accuracy" else "R²"
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("slope", "seeds", metric):
        table.add_column(heading, justify="right")
    table.add_column("")
    for slope, seeds, mean, deviation, said in rows(tuning):
        score = words.spread(mean, deviation, tuning.metric).removesuffix(" %")
        table.add_row(f"{slope:.3g}", str(seeds), score, Text(said, style="bold" if slope == tuning.slope else ""))
    console.print(Text(words.plain(f"{tuning.task}: scores on data set aside from training"), style="bold"))
    console.print(table)
    console.print()
    console.print(Text(words.plain(tuning.headline), style="bold"))
    console.print(Text(tuning.bound))
    if tuning.confirmation is not None:
        console.print(Text("\nOn fresh seeds and the test data:"))
        terminal.show(tuning.confirmation, console)
