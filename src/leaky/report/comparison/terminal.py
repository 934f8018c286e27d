"""A comparison on a terminal: a table that fits 80 columns, and the verdict in words."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leaky.comparison import Comparison, Verdict
from leaky.report import words
from leaky.report.comparison.tally import Arm, arms, rectifies

_STYLE = {"better": "green", "worse": "red", "no difference shown": ""}


def show(comparison: Comparison, console: Console) -> None:
    """Print the table, the headline, and what it would take to know more."""
    console.print(_table(comparison))
    for line in _legend(comparison):
        console.print(Text(line, style="dim"))
    console.print()
    console.print(Text(words.plain(comparison.headline), style="bold"))
    advised: dict[str, list[str]] = {}
    for verdict in comparison.verdicts:
        advised.setdefault(verdict.advice, []).append(verdict.activation)
    for advice, activations in advised.items():
        if advice:
            console.print(Text(words.plain(f"{words.listing(activations)}: {advice}")))


def _legend(comparison: Comparison) -> list[str]:
    bound = words.share(comparison.firing_bound)
    several = len(comparison.verdicts) > 1
    told = f"; intervals are for one arm alone, verdicts for all {len(comparison.verdicts)} (Holm)" if several else ""
    return [
        f"± standard deviation{told}",
        f"dead: silent on all {comparison.samples:,} training samples (95 %: active on at most {bound})",
        "a dead ReLU unit gets no gradient, a dead leaky unit still does",
    ]


def _table(comparison: Comparison) -> Table:
    metric = "accuracy, %" if comparison.metric == "accuracy" else "R²"
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", title_justify="left")
    seeds = words.counted(len(comparison.seeds), "seed")
    table.title = Text(words.plain(f"{comparison.task}: {seeds}, test scores"), style="bold")
    table.add_column("activation", no_wrap=True)
    against = comparison.baseline if len(comparison.baseline) <= 7 else "baseline"
    for heading in (metric, f"− {against}", "95 % interval", "dead, %"):
        table.add_column(Text(words.plain(heading)), justify="right", no_wrap=True)
    table.add_column("verdict")
    verdicts = {v.activation: v for v in comparison.verdicts}
    for arm in arms(comparison):
        table.add_row(*_row(comparison, arm, verdicts.get(arm.activation)))
    return table


def _row(comparison: Comparison, arm: Arm, verdict: Verdict | None) -> list[Text | str]:
    metric = comparison.metric
    name = Text(words.shorten(arm.activation))
    score = words.spread(arm.mean, arm.deviation, metric).removesuffix(" %") if arm.scores else "diverged"
    dead = words.share(arm.dead).removesuffix(" %") if rectifies(arm.activation) else words.NOTHING
    if verdict is None:
        return [name, score, "", "", dead, "baseline"]
    ends = [words.difference(end, metric, unit=False) for end in (verdict.low, verdict.high)]
    interval = " to ".join(ends) if verdict.low is not None else words.NOTHING
    word = f"{verdict.word} ({verdict.diverged} diverged)" if verdict.diverged else verdict.word
    difference = words.difference(verdict.difference, metric, unit=False)
    return [name, score, difference, interval, dead, Text(word, style=_STYLE[verdict.word])]
