"""One way to draw whatever a statement's answer shows: lines over numbers, bars or dots by category."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from leaky.claims import Plot, Series
from leaky.report import words
from leaky.report.look import INK, MUTED, SMALL, Look, canvas, describe, logarithmic, looks, measure, name_lines, styled
from leaky.wording import minus

Looks = Mapping[str, Look]

# Letters in a line of the title.
_TITLE = 46

# The share of a row's height that its bars or dots take.
_ROW = 0.72


@styled
def draw(plot: Plot) -> Figure:
    """Return the figure of a plot."""
    look = looks([series.name for series in plot.series])
    categories = list(dict.fromkeys(x for series in plot.series for x in series.x if isinstance(x, str)))
    figure = _rows(plot, look, categories) if categories else _lines(plot, look)
    return describe(figure, plot.description)


def _lines(plot: Plot, look: Looks) -> Figure:
    figure = canvas(2.9)
    axes = figure.add_subplot()
    axes.set_title(fill(plot.title, _TITLE))
    ends = []
    for series in plot.series:
        own = look[series.name]
        x, y = np.array(series.x, float), _numbers(series.y)
        if series.low is not None and series.high is not None:
            low, high = _numbers(series.low), _numbers(series.high)
            if series.kind == "points":
                axes.vlines(x, low, high, color=own.colour, linewidth=1.4)
            else:
                axes.fill_between(x, low, high, color=own.colour, alpha=0.15, linewidth=0)
        marks = {"marker": own.marker, "markersize": 4} if len(x) <= 12 else {}
        style = {"linestyle": "none", **marks} if series.kind == "points" else {"linestyle": own.dashes, **marks}
        axes.plot(x, y, color=own.colour, **style)  # type: ignore[arg-type]  # dashes, too, are a line style
        finite = y[np.isfinite(y)]
        ends.append((float(finite[-1]) if finite.size else math.nan, series.name, own))
    if plot.mark is not None:
        axes.axhline(plot.mark, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
    if plot.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=7))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        measure(axes, "x", lambda value: minus(f"{value:g}"))
    axes.grid(False, axis="x")
    if plot.log_y:
        logarithmic(axes)
    else:
        measure(axes, "y", lambda value: minus(f"{value:g}"))
    axes.margins(x=0, y=0.08)
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    name_lines(axes, ends)
    return figure


def _rows(plot: Plot, look: Looks, categories: list[str]) -> Figure:
    """Draw a row for each category, so that its name has room, and in it the series that have it."""
    within = {category: [s for s in plot.series if category in s.x] for category in categories}
    # A series alone, or each a category of its own, need no names beside those of the rows.
    named = len(plot.series) > 1 and any([s.name for s in each] != [name] for name, each in within.items())
    most = max(len(members) for members in within.values())
    figure = canvas(1.0 + len(categories) * (0.2 + 0.15 * most) + (0.3 if named else 0))
    axes = figure.add_subplot()
    axes.set_title(fill(plot.title, _TITLE))
    if plot.log_y:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=7))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(True, axis="x")
    for row, category in enumerate(categories):
        for place, series in enumerate(within[category]):
            middle = row + _ROW * ((place + 0.5) / len(within[category]) - 0.5)
            _entry(axes, plot, series, category, middle, _ROW / len(within[category]), look[series.name])
    if not plot.log_y:
        measure(axes, "x", lambda value: minus(f"{value:g}"))
    if plot.mark is not None:
        axes.axvline(plot.mark, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
    axes.set_yticks(range(len(categories)), [words.shorten(category, 34) for category in categories])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(categories) - 0.5, -0.5)
    axes.set_xlabel(plot.y_label)
    if named:
        _legend(figure, axes, plot, look)
    return figure


def _entry(axes: Axes, plot: Plot, series: Series, category: str, y: float, height: float, look: Look) -> None:
    """Draw what a series has of a category: a bar, or a dot for each value; intervals across."""
    which = [i for i, x in enumerate(series.x) if x == category]
    values = _numbers([series.y[i] for i in which])
    if series.kind == "bars":
        start = plot.mark if plot.log_y and plot.mark is not None else 0.0
        axes.barh([y] * len(values), values - start, height=0.88 * height, left=start, color=look.colour)
    else:
        # Several values of one category are several dots, apart so that all are seen.
        spread = np.linspace(-0.3, 0.3, len(values)) * height if len(values) > 1 else np.zeros(1)
        axes.plot(values, y + spread, look.marker, color=look.colour, alpha=0.85, markersize=4, markeredgewidth=0)
        if len(values) > 1 and np.isfinite(values).any():
            axes.plot([np.nanmean(values)] * 2, [y - 0.45 * height, y + 0.45 * height], color=INK, linewidth=1.8)
    if series.low is not None and series.high is not None:
        low, high = (_numbers([ends[i] for i in which]) for ends in (series.low, series.high))
        axes.hlines([y] * len(values), low, high, color=MUTED if series.kind == "bars" else look.colour, linewidth=1.4)


def _legend(figure: Figure, axes: Axes, plot: Plot, look: Looks) -> None:
    handles = [
        axes.plot([], [], "s" if s.kind == "bars" else look[s.name].marker, color=look[s.name].colour, markersize=7)[0]
        for s in plot.series
    ]
    labels = [words.shorten(series.name) for series in plot.series]
    legend = figure.legend(
        handles, labels, loc="outside lower left", ncols=min(3, len(labels)), frameon=False, fontsize=SMALL,
        handlelength=1.0, columnspacing=1.2,
    )  # fmt: skip
    for text, series in zip(legend.get_texts(), plot.series, strict=True):
        text.set_color(look[series.name].colour)


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], float)
