"""The function and its derivative, beside ReLU's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from leaky.function import leaky_relu, leaky_relu_derivative
from leaky.report.look import INK, PAPER, SMALL, WIDTH, Look, canvas, describe, looks, styled

#: the range over which the function is customarily drawn
LEFT, RIGHT = -5.0, 2.0


@styled
def function_figure(negative_slope: float = 0.05) -> Figure:
    """Return the Leaky ReLU and its derivative over −5 … 2, beside ReLU's.

    Raises:
        ValueError: the slope is not finite, so that there is nothing to draw on the left.
    """
    figure = canvas(3.0, width=2 * WIDTH)
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.1})
    _value(left, negative_slope)
    _derivative(right, negative_slope)
    return describe(figure, f"{_describe_value(negative_slope)} {_describe_derivative(negative_slope)}")


@styled
def value(negative_slope: float = 0.05) -> Figure:
    """Return the left half of ``function_figure``: the function."""
    figure = canvas(2.8)
    _value(figure.add_subplot(), negative_slope)
    return describe(figure, _describe_value(negative_slope))


@styled
def derivative(negative_slope: float = 0.05) -> Figure:
    """Return the right half of ``function_figure``: the derivative."""
    figure = canvas(2.8)
    _derivative(figure.add_subplot(), negative_slope)
    return describe(figure, _describe_derivative(negative_slope))


def _describe_value(slope: float) -> str:
    return (
        f"Leaky ReLU with slope {slope:g} and ReLU over x from −5 to 2. For x > 0 both are x. For x below 0 "
        f"ReLU is 0 and Leaky ReLU is {slope:g} times x; at −5 it is {-5 * slope:g}."
    )


def _describe_derivative(slope: float) -> str:
    return (
        f"Their derivatives: 1 for x > 0; below, 0 for ReLU and {slope:g} for Leaky ReLU. Both jump at 0, where there "
        f"is no derivative and {slope:g} is used."
    )


@dataclass(frozen=True)
class _Curve:
    name: str
    look: Look
    slope: float
    #: where the two curves lie upon each other, ReLU is seen on both sides of the Leaky ReLU
    line: dict[str, Any]


def _curves(slope: float) -> tuple[_Curve, _Curve]:
    if not math.isfinite(slope):
        raise ValueError(f"negative_slope: {slope} cannot be drawn; expected a finite number")
    leaky = f"leaky_relu({slope:g})"
    look = looks(["relu", leaky])
    return (
        _Curve("ReLU", look["relu"], 0.0, {"linewidth": 5.0, "alpha": 0.4, "zorder": 1.5}),
        _Curve(f"Leaky ReLU, α = {slope:g}", look[leaky], slope, {"linewidth": 2.0}),
    )


def _value(axes: Axes, slope: float) -> None:
    _prepare(axes, "The function")
    for curve in _curves(slope):
        x = np.array([LEFT, 0.0, RIGHT])
        y = leaky_relu(x, negative_slope=curve.slope)
        axes.plot(x, y, color=curve.look.colour, **curve.line)
        _name(axes, curve, float(y[0]), above=(curve.slope == 0) == (slope > 0))
    _stretch(axes, LEFT * slope, RIGHT)


def _derivative(axes: Axes, slope: float) -> None:
    _prepare(axes, "Its derivative")
    for curve in _curves(slope):
        below, at, above = leaky_relu_derivative(np.array([-1.0, 0.0, 1.0]), negative_slope=curve.slope)
        for ends, y in (((LEFT, 0.0), below), ((0.0, RIGHT), above)):
            axes.plot(ends, (y, y), color=curve.look.colour, **curve.line)
            # A full dot where the function is at 0, an empty one where it is not.
            filling = curve.look.colour if y == at else PAPER
            axes.plot(0, y, "o", color=curve.look.colour, markerfacecolor=filling, markersize=6, zorder=3)
        _name(axes, curve, float(below), above=(curve.slope == 0) != (slope > 0))
    _stretch(axes, slope, 1.0)


def _prepare(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_xlim(LEFT, RIGHT)
    axes.xaxis.set_major_locator(MultipleLocator(1))
    axes.set_xlabel("x")
    axes.grid(True)
    for line in (axes.axhline, axes.axvline):
        line(0, color=INK, linewidth=0.8, zorder=0.9)


def _name(axes: Axes, curve: _Curve, y: float, *, above: bool) -> None:
    axes.annotate(
        curve.name,
        (LEFT, y),
        xytext=(6, 6 if above else -6),
        textcoords="offset points",
        va="bottom" if above else "top",
        color=curve.look.colour,
        size=SMALL,
    )


def _stretch(axes: Axes, low: float, high: float) -> None:
    """Show 0, ``low`` and ``high``, with room above and below for the names."""
    low, high = min(low, 0.0, high), max(low, high)
    room = 0.16 * (high - low)
    axes.set_ylim(low - room, high + room)
