"""Lines: how each arm learns from epoch to epoch, and how its gradient fares from layer to layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from leaky.comparison.result import Comparison
from leaky.report import words
from leaky.report.comparison.tally import Arm, Array, arms, over_epochs, quartiles, table
from leaky.report.look import Look, canvas, describe, epochs, logarithmic, looks, measure, name_lines, styled
from leaky.trials.record import Epoch


@styled
def scores(comparison: Comparison) -> Figure:
    """Return the test score over the epochs: median and middle half of the seeds of each arm."""
    figure, axes = _axes(comparison, f"Test {words.plain(comparison.metric)}")
    ends = _learning(axes, comparison, lambda epoch: epoch.test_score)
    measure(axes, "y", lambda value: words.brief(value, comparison.metric))
    name_lines(axes, ends)
    return describe(figure, f"Test {comparison.metric} after each epoch, one line for each activation.")


@styled
def losses(comparison: Comparison) -> Figure:
    """Return the training loss over the epochs, on a logarithmic scale where every loss is positive."""
    figure, axes = _axes(comparison, "Training loss")
    ends = _learning(axes, comparison, lambda epoch: epoch.train_loss)
    if 0 < axes.dataLim.y0 < np.inf:  # the lowest that is drawn
        logarithmic(axes)
    else:
        measure(axes, "y", words.number)
    name_lines(axes, ends)
    return describe(figure, "Loss on the training set after each epoch, one line for each activation.")


@styled
def gradients(comparison: Comparison, *, after: bool) -> Figure:
    """Return the norm of the gradient by depth, at birth or after training; both have the same y axis.

    A norm of 0, which a logarithmic axis does not have, is drawn on its lower edge.
    """
    everyone = arms(comparison)
    both = {later: {arm.activation: _by_depth(arm, after=later) for arm in everyone} for later in (False, True)}
    figure, axes = _axes(comparison, "After training" if after else "At birth")
    positive = [v for lines in both.values() for line in lines.values() for v in line if v > 0]
    low, high = (min(positive), max(positive)) if positive else (0.1, 1.0)
    floor = low / 3
    axes.set_ylim(floor, high * 3)
    logarithmic(axes)
    depth = max(line.size for line in both[after].values())
    # The way the gradient goes: from the last layer back to the first, where the lines part and are named.
    axes.set_xlim(max(depth, 2), 1)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("weight layer, from the output back to the input")
    ends = []
    for activation, look in looks(comparison.activations).items():
        line = np.maximum(both[after][activation], floor)
        x = np.arange(line.size, 0, -1.0)
        ends.append(_line(axes, x, line[::-1], activation, look))
    name_lines(axes, ends)
    when = "after training" if after else "before training"
    return describe(figure, f"Gradient norm of each weight layer {when}, one line for each activation.")


def _by_depth(arm: Arm, *, after: bool) -> Array:
    """Return the median gradient norm of each weight layer."""
    trials = arm.finished if after else arm.trials
    layers = len(arm.trials[0].layers)
    if not trials:
        return np.full(layers, np.nan)
    middle: Array = quartiles(table([t.epochs[-1 if after else 0].gradient for t in trials]))[1]
    return middle


def _axes(comparison: Comparison, title: str) -> tuple[Figure, Axes]:
    figure = canvas(max(3.0, 1.0 + 0.2 * len(comparison.activations)))
    axes = figure.add_subplot()
    axes.set_title(title)
    return figure, axes


def _learning(
    axes: Axes, comparison: Comparison, value: Callable[[Epoch], float | None]
) -> list[tuple[float, str, Look]]:
    """Draw a line and a band for each arm; return where each line ends, its name and its look."""
    ends = []
    look = looks(comparison.activations)
    for arm in arms(comparison):
        low, middle, high = quartiles(over_epochs(arm.trials, value))
        x = np.arange(float(middle.size))
        axes.fill_between(x, low, high, color=look[arm.activation].colour, alpha=0.13, linewidth=0)
        ends.append(_line(axes, x, middle, arm.activation, look[arm.activation]))
        for trial in arm.trials:
            # A cross where a seed leaves the others.
            if trial.diverged is not None and (y := value(trial.epochs[-1])) is not None:
                axes.plot(len(trial.epochs) - 1, y, "x", color=look[arm.activation].colour, clip_on=False)
    epochs(axes, max(len(trial.epochs) for trial in comparison.trials) - 1)
    return ends


def _line(axes: Axes, x: Array, y: Array, name: str, look: Look) -> tuple[float, str, Look]:
    """Draw a line with a marker here and there; return where it ends, its name and its look."""
    axes.plot(
        x, y, color=look.colour, linestyle=look.dashes, marker=look.marker, markersize=4, markevery=max(1, x.size // 6)
    )
    seen = y[np.isfinite(y)]
    return (float(seen[-1]) if seen.size else np.nan), name if seen.size else f"{name}: none", look
