"""A tuning on a terminal: the slopes that were tried, the answer, and how it held."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leaky.report import words
from leaky.report.comparison import terminal
from leaky.report.tuning.slopes import rows
from leaky.tuning import Tuning


def show_tuning(tuning: Tuning, console: Console) -> None:
    """Print the table of slopes, the headline, and the confirmation."""
    metric = "accuracy, %" if tuning.metric == "accuracy" else "R²"
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("slope", "seeds", metric):
        table.add_column(heading, justify="right")
    table.add_column("")
    told = rows(tuning)
    for row in told:
        score = words.spread(row.mean, row.deviation, tuning.metric).removesuffix(" %")
        style = "bold" if row.slope == tuning.slope else ""
        table.add_row(f"{row.slope:.3g}", str(row.trainings), score, Text(row.said, style=style))
    console.print(Text(words.plain(f"{tuning.task}: scores on data set aside from training"), style="bold"))
    console.print(table)
    legend = ["± standard deviation; what a seed does to all slopes alike is taken out"]
    if any(row.said.startswith("worse") for row in told):
        legend.append("worse: by a smooth curve through the scores of all slopes, at 5 % for all")
    console.print(Text("\n".join(legend), style="dim"))
    console.print()
    console.print(Text(words.plain(tuning.headline), style="bold"))
    console.print(Text(tuning.bound))
    if tuning.layers is not None:
        console.print(Text(f"\n{tuning.layers.headline}"))
        if len(set(tuning.layers.slopes)) > 1:
            console.print(
                Text(f"These slopes, in order: {', '.join(f'{slope:.2g}' for slope in tuning.layers.slopes)}")
            )
    if tuning.confirmation is not None:
        console.print(Text("\nOn fresh seeds and the test data:"))
        terminal.show(tuning.confirmation, console)
