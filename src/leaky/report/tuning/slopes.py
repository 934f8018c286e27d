"""The score over the slope: what a tuning found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from leaky.activation import Activation
from leaky.report import words
from leaky.report.look import INK, MUTED, SMALL, canvas, describe, looks, measure, styled
from leaky.trials import Trial
from leaky.tuning import Tuning
from leaky.tuning.curve import centred
from leaky.tuning.search import scored

_TICKS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


@styled
def score_over_slope(tuning: Tuning) -> Figure:
    """Return the mean score with its 95 % band, a dot for each training, and the slopes that are as good as the best."""
    curve, metric = tuning.curve, tuning.metric
    figure = canvas(3.4)
    axes = figure.add_subplot()
    axes.set_title("Score over the slope")
    look = looks(["leaky_relu(0.01)"])["leaky_relu(0.01)"]
    slopes, values = centred(_finite(tuning.trials))
    axes.set_xlim(-0.02, 1.02)
    axes.fill_between(np.sqrt(curve.slopes), curve.low, curve.high, color=look.colour, alpha=0.15, linewidth=0)
    axes.plot(np.sqrt(curve.slopes), curve.mean, color=look.colour)
    axes.plot(np.sqrt(slopes), values, "o", color=look.colour, alpha=0.6, markersize=4, markeredgewidth=0)
    axes.axvline(tuning.slope**0.5, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    low, high = (end**0.5 for end in tuning.as_good)
    axes.plot([low, high], [0.02, 0.02], color=INK, linewidth=3, transform=axes.get_xaxis_transform(), clip_on=False)
    side, offset = ("left", 5) if tuning.slope < 0.25 else ("right", -5)  # of the dashed line, where there is room
    axes.annotate(
        "within the noise",
        (tuning.slope**0.5, 0.02),
        xycoords=axes.get_xaxis_transform(),
        xytext=(offset, 5),
        textcoords="offset points",
        ha=side,
        size=SMALL,
        color=MUTED,
    )
    measure(axes, "y", lambda value: words.brief(value, metric))
    axes.xaxis.set_major_locator(FixedLocator([tick**0.5 for tick in _TICKS]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda root, _: f"{round(root * root, 3):g}"))
    axes.set_xlabel("negative slope")
    axes.set_ylabel(words.plain(f"{metric} on data set aside"))
    return describe(figure, f"Score over the slope. {tuning.headline}")


@dataclass(frozen=True)
class Row:
    """What is told of a slope that was tried."""

    slope: float
    trainings: int
    #: of their scores, what a seed does to all slopes alike taken out
    mean: float | None
    deviation: float | None
    #: what became of it
    said: str


def rows(tuning: Tuning) -> list[Row]:
    """Return a row for each slope tried."""
    slopes, values = centred(_finite(tuning.trials))
    by_slope: dict[float, list[Trial]] = {}
    for trial in tuning.trials:
        arm = Activation.parse(trial.activation)
        if arm.name == "leaky_relu":
            by_slope.setdefault(arm.parameters[0], []).append(trial)
    curve, table = tuning.curve, []
    for slope, own in sorted(by_slope.items()):
        finite = values[slopes == slope]
        diverged, stopped = len(own) - len(finite), sum(t.stopped is not None for t in own)
        worse = curve.worse[curve.slopes.searchsorted(slope)]
        said = ["best" if slope == tuning.slope else "worse" if worse else "within the noise"]
        said += [f"{diverged} diverged"] if diverged else []
        said += [f"{stopped} given up early"] if stopped else []
        mean = float(np.mean(finite)) if len(finite) else None
        deviation = float(np.std(finite, ddof=1)) if len(finite) > 1 else None
        table.append(Row(slope, len(own), mean, deviation, ", ".join(said)))
    return table


def _finite(trials: Iterable[Trial]) -> dict[float, dict[int, float]]:
    """Return the scores by slope and seed of the trainings that did not diverge."""
    return scored({(t.activation, t.seed): t for t in trials if t.score is not None})[0]
