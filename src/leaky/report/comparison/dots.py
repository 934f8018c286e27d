"""A dot for each seed: final scores, and differences to the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaky.comparison.result import Comparison, Verdict
from leaky.report import words
from leaky.report.comparison.tally import Array, arms
from leaky.report.look import INK, MUTED, PAPER, SMALL, Look, canvas, describe, looks, measure, styled

Window = tuple[float, float]
Looks = Mapping[str, Look]


@styled
def scores(comparison: Comparison) -> Figure:
    """Return the final test score of every seed, a row for each arm, with means."""
    figure = canvas(height(len(comparison.activations)))
    draw_scores(figure.add_subplot(), comparison)
    said = " ".join(f"{a.activation}: {words.score(a.mean, comparison.metric)}." for a in arms(comparison))
    return describe(figure, f"Final test {comparison.metric} of every seed, by activation. Means: {said}")


@styled
def differences(comparison: Comparison) -> Figure:
    """Return each arm's difference to the baseline: a dot for every pair of seeds, the mean, its 95 % interval."""
    figure = canvas(height(len(comparison.verdicts)))
    axes = figure.add_subplot()
    axes.set_title(f"Difference to {words.shorten(comparison.baseline)}")
    look = looks(comparison.activations)
    pairs = _pairs(comparison)
    rows(axes, pairs, look)
    window = _window([[v.low, v.high, *pairs[v.activation]] for v in comparison.verdicts], keep=[0.0])
    for row, verdict in enumerate(comparison.verdicts):
        _seeds(axes, row, pairs[verdict.activation], look[verdict.activation], window)
        _interval(axes, row, verdict, window)
        beside(axes, row, words.difference(verdict.difference, comparison.metric), verdict.word)
    axes.axvline(0, color=INK, linewidth=1, zorder=1.5)
    _limit(axes, window)
    measure(axes, "x", lambda value: words.brief(value, comparison.metric, signed=True))
    if comparison.metric == "accuracy":
        axes.set_xlabel("percentage points")
    said = " ".join(f"{v.activation}: {v.word}." for v in comparison.verdicts)
    return describe(figure, f"Differences in test {comparison.metric} to {comparison.baseline}, paired by seed. {said}")


def draw_scores(axes: Axes, comparison: Comparison, notes: Mapping[str, str] | None = None) -> None:
    """Draw the final scores on the axes, beside each row its mean, and below that the arm's note."""
    axes.set_title(f"Final test {words.shorten(comparison.metric)}")
    look = looks(comparison.activations)
    everyone = arms(comparison)
    rows(axes, comparison.activations, look)
    baseline = next(arm for arm in everyone if arm.activation == comparison.baseline)
    window = _window([list(arm.scores.values()) for arm in everyone], keep=list(baseline.scores.values()))
    for row, arm in enumerate(everyone):
        _seeds(axes, row, list(arm.scores.values()), look[arm.activation], window)
        for y in row + _offsets(arm.diverged):
            _at_the_edge(axes, y, "x", look[arm.activation])
        if arm.mean is not None:
            axes.plot([arm.mean] * 2, [row - 0.32, row + 0.32], color=INK, linewidth=1.8, zorder=3)
        lost = f"× {arm.diverged} diverged" if arm.diverged else ""
        note = ", ".join(filter(None, [(notes or {}).get(arm.activation), lost]))
        beside(axes, row, words.score(arm.mean, comparison.metric), note)
    if baseline.mean is not None:
        axes.axvline(baseline.mean, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
    _limit(axes, window)
    measure(axes, "x", lambda value: words.brief(value, comparison.metric))


def height(count: int) -> float:
    """Return the height in inches of a figure with so many rows."""
    return 0.85 + 0.4 * count


def _pairs(comparison: Comparison) -> dict[str, list[float]]:
    """Return each arm's differences to the baseline, on the seeds where both finished."""
    final = {arm.activation: arm.scores for arm in arms(comparison)}
    base = final[comparison.baseline]
    return {
        v.activation: [score - base[seed] for seed, score in final[v.activation].items() if seed in base]
        for v in comparison.verdicts
    }


def rows(axes: Axes, names: Iterable[str], look: Looks) -> None:
    """Make a row for each arm, the first on top, its name on the left."""
    names = list(names)
    axes.set_yticks(range(len(names)), [words.shorten(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.spines["left"].set_visible(False)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(look[name].colour)


def _window(groups: Sequence[Sequence[float | None]], keep: Sequence[float]) -> Window:
    """Return the limits of x: around all values, unless whole arms lie so far below that they would squeeze the rest.

    ``keep`` holds values that must be seen.
    """
    spans = sorted((min(g), max(g)) for group in groups if (g := [v for v in group if v is not None]))
    wanted = [(min(keep), max(keep))] if keep else []
    if not spans + wanted:
        return 0.0, 1.0
    low, high = _hull(spans + wanted)
    for count in range(1, len(spans) - 2):
        lowest, highest = _hull(spans[count:] + wanted)
        if max(top for _, top in spans[:count]) < lowest and 4 * (highest - lowest) < high - low:
            low, high = lowest, highest
    # One value alone has no width.
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _hull(spans: Sequence[Window]) -> Window:
    return min(low for low, _ in spans), max(high for _, high in spans)


def _limit(axes: Axes, window: Window) -> None:
    axes.set_xlim(*window)
    axes.autoscale(False)


def _seeds(axes: Axes, row: int, values: Sequence[float], look: Look, window: Window) -> None:
    """Draw a dot for each seed, and an arrowhead at the edge for each that lies further to the left."""
    for x, y in zip(values, row + _offsets(len(values)), strict=True):
        if x < window[0]:
            _at_the_edge(axes, y, 8, look)  # matplotlib's CARETLEFTBASE
        else:
            axes.plot(x, y, look.marker, color=look.colour, alpha=0.75, markersize=4.5, markeredgewidth=0)


def _offsets(count: int) -> Array:
    """Return heights that keep dots apart: evenly spread however many there are, and the same every time."""
    return np.asarray(0.44 * ((np.arange(count) * 0.6180339887 + 0.5) % 1 - 0.5), float)


def _at_the_edge(axes: Axes, y: float, marker: str | int, look: Look) -> None:
    axes.plot(
        0.012, y, marker=marker, color=look.colour, markersize=5.5, clip_on=False, transform=axes.get_yaxis_transform()
    )


def _interval(axes: Axes, row: int, verdict: Verdict, window: Window) -> None:
    """Draw the mean difference, and its interval where there is one."""
    if verdict.low is not None and verdict.high is not None:
        axes.plot([verdict.low, verdict.high], [row, row], color=INK, linewidth=1.8, zorder=3)
    if verdict.difference is not None and verdict.difference >= window[0]:
        axes.plot(
            verdict.difference, row, "D", color=INK, markerfacecolor=PAPER, markersize=6, markeredgewidth=1.5, zorder=4
        )


def beside(axes: Axes, row: int, text: str, below: str = "") -> None:
    """Write to the right of a row, in one line or two."""
    for line, shift, colour in ((text, 0.02 if not below else -0.17, INK), (below, 0.2, MUTED)):
        axes.text(1.03, row + shift, line, color=colour, size=SMALL, va="center", transform=axes.get_yaxis_transform())
