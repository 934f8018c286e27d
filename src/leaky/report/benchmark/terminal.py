"""A benchmark on a terminal: ratios first, in a table for each way, in 80 columns."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leaky.benchmark import Benchmark
from leaky.benchmark.peers import WAYS
from leaky.report import words
from leaky.report.benchmark.figure import subject

# Sizes in one table: as many as 80 columns hold beside the names.
_COLUMNS = 7


def show(benchmark: Benchmark, console: Console) -> None:
    """Print what was measured where, and a table of ratios for each way."""
    console.print(Text(subject(benchmark), style="bold"))
    versions = {"Python", *benchmark.machine} - {"processor", "instruction set", "threads", "cores"}
    console.print(Text(", ".join(f"{name} {benchmark.machine[name]}" for name in sorted(versions, key=str.lower))))
    console.print(Text("Medians of interleaved runs. Above 1, leaky is faster; below, the peer is.", style="dim"))
    for way in benchmark.ways:
        for start in range(0, len(benchmark.sizes), _COLUMNS):
            console.print()
            console.print(_table(benchmark, way, benchmark.sizes[start : start + _COLUMNS]))


def _table(benchmark: Benchmark, way: str, sizes: list[int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", title_justify="left")
    table.title = Text(f"{way} ({WAYS[way]})", style="bold")
    ours, *peers = benchmark.peers(way)
    table.add_column("times as fast as …", overflow="fold")
    for size in sizes:
        table.add_column(words.elements(size), justify="right")
    for peer in peers:
        found = [benchmark.timing(way, peer, size) for size in sizes]
        cells = [
            Text(words.ratio(t.ratio), style="red" if t.high < 1 else "") if t else Text(words.NOTHING) for t in found
        ]
        table.add_row(peer, *cells)
    own = [t for size in sizes if (t := benchmark.timing(way, ours, size))]
    table.add_row(f"time of {ours}", *(words.duration(t.seconds) for t in own), style="dim")
    return table
