"""Speed: how many times as fast as each peer the function is, over the number of elements."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from leaky.benchmark import Benchmark
from leaky.report import words
from leaky.report.look import INK, MUTED, SIZE, SMALL, WIDTH, Look, canvas, describe, looks, name_lines, styled


@styled
def speed_figure(benchmark: Benchmark) -> Figure:
    """Return one panel for each way that was timed: ratios over sizes, a line for each peer, both logarithmic."""
    ways = benchmark.ways
    figure = canvas(0.5 + sum(_height(benchmark, way) for way in ways), width=1.5 * WIDTH)
    panels = figure.subplots(
        len(ways), 1, squeeze=False, sharex=True, height_ratios=[_height(benchmark, w) for w in ways]
    )
    look = looks(list(dict.fromkeys(peer for way in ways for peer in benchmark.peers(way))))
    for axes, way in zip(panels[:, 0], ways, strict=True):
        _draw(axes, benchmark, way, look)
    panels[-1, 0].set_xlabel("elements")
    figure.suptitle(subject(benchmark), x=0.01, ha="left", size=SIZE, color=MUTED)
    said = " ".join(
        f"{way}, {peer}: {timing.ratio:.2g} at {words.elements(timing.size)}."
        for way in ways
        for peer in benchmark.peers(way)[1:]
        if (timing := benchmark.timing(way, peer, benchmark.sizes[-1]))
    )
    return describe(figure, f"How many times as fast as its peers leaky is, by size. {said}")


def subject(benchmark: Benchmark) -> str:
    """Write what was timed, and on what."""
    machine = benchmark.machine
    return (
        f"{benchmark.dtype}, slope {benchmark.negative_slope:g}; {machine['processor']}, "
        f"{machine['instruction set']}, {machine['threads']}"
    )


def _height(benchmark: Benchmark, way: str) -> float:
    return max(2.6, 0.9 + 0.2 * len(benchmark.peers(way)))


def _draw(axes: Axes, benchmark: Benchmark, way: str, look: dict[str, Look]) -> None:
    ours, *peers = benchmark.peers(way)
    axes.set_title(f"{way[0].upper()}{way[1:]}: times as fast as …")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.axhline(1, color=INK, linewidth=1.2)
    axes.annotate(ours, (benchmark.sizes[0], 1), (2, 3), textcoords="offset points", size=SMALL, color=INK)
    ends = []
    for peer in peers:
        found = [t for size in benchmark.sizes if (t := benchmark.timing(way, peer, size))]
        sizes, ratios = [t.size for t in found], [t.ratio for t in found]
        axes.fill_between(
            sizes, [t.low for t in found], [t.high for t in found], color=look[peer].colour, alpha=0.13, linewidth=0
        )
        axes.plot(
            sizes,
            ratios,
            color=look[peer].colour,
            linestyle=look[peer].dashes,
            marker=look[peer].marker,
            markersize=4,
        )
        ends.append((ratios[-1], peer, look[peer]))
    axes.set_xlim(benchmark.sizes[0], max(benchmark.sizes[-1], 2 * benchmark.sizes[0]))
    axes.xaxis.set_major_locator(FixedLocator(benchmark.sizes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: words.elements(int(size))))
    axes.xaxis.set_minor_locator(NullLocator())
    _ratios(axes)
    name_lines(axes, ends, height=_height(benchmark, way) - 0.6)


def _ratios(axes: Axes) -> None:
    """Mark round ratios on the y axis, at least from a half to twice."""
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.5), max(high, 2))
    low, high = axes.get_ylim()
    steps = (1.0, 2.0, 5.0) if high / low < 30 else (1.0,)
    marks = np.outer(10.0 ** np.arange(-3, 6), steps).ravel()
    axes.yaxis.set_major_locator(FixedLocator(marks[(low <= marks) & (marks <= high)].tolist()))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} ×"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(True, axis="y")
