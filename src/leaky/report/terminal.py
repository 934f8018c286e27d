"""A comparison on a terminal: a table that fits 80 columns, and the verdict in words."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leaky import wording
from leaky.activation import Activation
from leaky.comparison import Comparison, Verdict
from leaky.wording import plain

_STYLE = {"better": "green", "worse": "red", "no difference shown": ""}


def show(comparison: Comparison, console: Console) -> None:
    """Print the table, the headline, and what it would take to know more."""
    console.print(_table(comparison))
    console.print(
        Text(
            f"dead: active on none of {comparison.samples:,} training samples; a dead leaky unit still learns.",
            style="dim",
        )
    )
    console.print()
    console.print(Text(plain(comparison.headline), style="bold"))
    for line in _advice(comparison):
        console.print(Text(plain(line)))


def _advice(comparison: Comparison) -> list[str]:
    """Return what it would take to know more, the numbers of seeds together in one line."""
    seeds = [f"{v.activation} {v.seeds_needed}" for v in comparison.verdicts if v.seeds_needed]
    others = [f"{v.activation}: {v.advice}" for v in comparison.verdicts if v.advice and not v.seeds_needed]
    return [f"Seeds it would take to show differences of these sizes: {', '.join(seeds)}."] * bool(seeds) + others


def _table(comparison: Comparison) -> Table:
    metric = "accuracy, %" if comparison.metric == "accuracy" else "R²"
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", title_justify="left")
    table.title = Text(plain(f"{comparison.task}: {len(comparison.seeds)} seeds, test scores"), style="bold")
    table.add_column("activation", overflow="fold")
    for heading in (metric, f"− {comparison.baseline}", "95 % interval", "dead, %"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    verdicts = {v.activation: v for v in comparison.verdicts}
    for activation in comparison.activations:
        table.add_row(*_row(comparison, activation, verdicts.get(activation)))
    return table


def _row(comparison: Comparison, activation: str, verdict: Verdict | None) -> list[Text | str]:
    trials = comparison.arms[activation]
    scores = [t.score for t in trials if t.score is not None]
    scale, digits = (100, 1) if comparison.metric == "accuracy" else (1, 3)
    spread = f" ± {scale * np.std(scores, ddof=1):.{digits}f}" if len(scores) > 1 else ""
    score = f"{scale * np.mean(scores):.{digits}f}{spread}" if scores else "diverged"
    dead = [t.dead_share for t in trials if t.dead_share is not None]
    shown = f"{100 * np.mean(dead):.1f}" if dead and Activation.parse(activation).rectifies else "–"
    if verdict is None:
        return [activation, score, "", "", shown, "baseline"]

    def signed(value: float | None) -> str:
        return wording.difference(value, comparison.metric, unit=False)

    interval = f"{signed(verdict.low)} to {signed(verdict.high)}" if verdict.low is not None else "–"
    word = f"{verdict.word} ({verdict.diverged} diverged)" if verdict.diverged else verdict.word
    return [activation, score, signed(verdict.difference), interval, shown, Text(word, style=_STYLE[verdict.word])]
