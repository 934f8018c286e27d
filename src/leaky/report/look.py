"""How every figure looks: colours, markers, lines, type, and one look for each activation wherever it is drawn."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator
from scipy.optimize import isotonic_regression

from leaky.report import words

P = ParamSpec("P")
R = TypeVar("R")

#: every colour: its name as a CSS variable, then how it is on white paper and on a dark screen. All stand out from
#: their background by at least 4.5 : 1, so that words can be written in them.
COLOURS = {
    "ink": ("#1f2328", "#e6edf3"),
    "muted": ("#59636e", "#9aa5b1"),
    "grid": ("#dfe3e8", "#30363d"),
    "paper": ("#ffffff", "#0f1318"),
    "arm-0": ("#4f5863", "#c3ccd6"),
    "arm-1": ("#0b6bb8", "#62b3f5"),
    "arm-2": ("#00775a", "#35c79f"),
    "arm-3": ("#a35a00", "#f2a93b"),
    "arm-4": ("#a8407f", "#f08cc6"),
    "arm-5": ("#b3261e", "#ff8f85"),
    "arm-6": ("#5b45c0", "#ab9dff"),
    "arm-7": ("#696900", "#c9c650"),
    "arm-8": ("#00707d", "#46c8d8"),
    "arm-9": ("#794b20", "#d3a57a"),
}
LIGHT = {name: light for name, (light, _) in COLOURS.items()}
INK, MUTED, GRID, PAPER = (LIGHT[name] for name in ("ink", "muted", "grid", "paper"))

#: the one colour that is drawn as an image (the more dead units, the less transparent): it must do on light and dark
DEAD = "#e0562b"

#: inches; narrow enough that ten-point type is legible when the figure is scaled down to a phone
WIDTH = 4.8
SIZE, SMALL = 10.0, 9.0

_RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": SIZE,
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.facecolor": PAPER,
    "font.size": SIZE,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",  # text stays text, in the font of the page
    "text.color": INK,
    "text.parse_math": False,  # a $ in a name is a dollar
    "xtick.color": MUTED,
    "xtick.labelsize": SMALL,
    "xtick.major.size": 3,
    "ytick.color": MUTED,
    "ytick.labelsize": SMALL,
    "ytick.major.size": 3,
}


@dataclass(frozen=True)
class Look:
    """How one activation is drawn in every figure; marker and dashes tell it apart where there is no colour."""

    colour: str
    marker: str
    dashes: str | tuple[int, tuple[float, ...]]


_MARKERS = ("o", "s", "^", "D", "v", "P", "p", "h", "<", ">", "8", "*")
_SOLID, _LONG, _SHORT = "-", (0, (6.0, 2.0)), (0, (2.0, 1.5))
_DASHES = (_SOLID, _SOLID, _LONG, _SHORT, (0, (6.0, 2.0, 1.5, 2.0)), _LONG, _SHORT, _SOLID)

#: the looks that are kept for the activations met most, by name and by kind; any other takes the first that is free
_KEPT = {
    "relu": 0,
    "leaky_relu(0.01)": 1,
    "leaky_relu(0.1)": 2,
    "leaky_relu(0.2)": 3,
    "prelu": 4,
    "prelu(0.25)": 4,
    "sigmoid": 5,
    "tanh": 6,
    "elu": 7,
    "gelu": 8,
    "rrelu": 9,
}


def looks(activations: Sequence[str]) -> dict[str, Look]:
    """Return the look of each activation: no two alike, and the common ones the same in every comparison."""
    kept = {a: _KEPT[a] for a in activations if a in _KEPT}
    colours = sum(name.startswith("arm-") for name in COLOURS)
    free = iter([slot for slot in range(colours + len(activations)) if slot not in kept.values()])
    slots = {a: kept[a] if a in kept else next(free) for a in activations}
    return {
        a: Look(LIGHT[f"arm-{slot % colours}"], _MARKERS[slot % len(_MARKERS)], _DASHES[slot % len(_DASHES)])
        for a, slot in slots.items()
    }


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style, whatever the user's matplotlibrc says, and leave that as it was."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Return the function, run in our style."""

    @functools.wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with style():
            return draw(*args, **kwargs)

    return in_style


def canvas(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure, its size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def describe(figure: Figure, description: str) -> Figure:
    """Return the figure with a description for those who cannot see it; it becomes the label of the SVG."""
    figure.set_label(words.plain(description))
    return figure


def measure(axes: Axes, which: str, write: Callable[[float], str]) -> None:
    """Put a few round numbers on the ``x`` or ``y`` axis, with lines across."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.grid(True)


def epochs(axes: Axes, last: int, label: str = "epoch") -> None:
    """Count epochs from birth on the x axis."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlim(0, max(last, 1))


def logarithmic(axes: Axes) -> None:
    """Make the y axis logarithmic, with numbers in words where they are of daily size, and powers of ten elsewhere."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = np.log10(high / low)
    locator: Locator
    if decades < 1:
        locator = MaxNLocator(5, steps=[1, 2, 5, 10])
    else:
        locator = LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,), numticks=7)
    axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _decade(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(True, axis="y")


def _decade(value: float) -> str:
    if 1e-3 <= value <= 1e4:
        return f"{value:g}"
    if value <= 0:  # a locator may offer what lies below the axis
        return ""
    digits, exponent = f"{value:.1e}".split("e")
    factor = "" if digits == "1.0" else f"{float(digits):g}·"
    return factor + words.power(int(exponent))


def name_lines(axes: Axes, ends: Sequence[tuple[float, str, Look]], height: float | None = None) -> None:
    """Write each line's name to the right of the axes, at the height where it ends, or as near as the others allow.

    ``ends`` holds the y value at which each line ends (NaN if it has none), its name and its look. ``height`` is that of
    the axes in inches, if they have not the figure for themselves. Call it when the limits are final.
    """
    if not ends:
        return
    # A line without a single value is named all the same, at the bottom.
    bottom = min(axes.get_ylim())
    ends = sorted(((y if np.isfinite(y) else bottom, name, look) for y, name, look in ends), key=lambda end: end[0])
    to_axes = axes.transScale + axes.transLimits
    wanted = np.clip([to_axes.transform((axes.get_xlim()[1], y))[1] for y, _, _ in ends], 0, 1)
    if height is None:
        figure = axes.get_figure()
        assert isinstance(figure, Figure)
        height = 0.8 * figure.get_figheight()
    gap = 1.35 * SMALL / 72 / height
    # The heights nearest to those wanted, in the same order and no less than a gap apart.
    steps = gap * np.arange(len(ends))
    heights = np.clip(isotonic_regression(wanted - steps).x, 0, max(0, 1 - steps[-1])) + steps
    for (_, name, look), start, height in zip(ends, wanted, heights, strict=True):
        axes.plot(
            [1.0, 1.05],
            [start, height],
            color=look.colour,
            linewidth=0.8,
            marker=look.marker,
            markevery=[1],
            markersize=4,
            transform=axes.transAxes,
            clip_on=False,
            scalex=False,
            scaley=False,
        )
        axes.text(
            1.075, height, words.shorten(name), color=look.colour, size=SMALL, va="center", transform=axes.transAxes
        )
