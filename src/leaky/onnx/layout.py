"""Where the samples are in what comes out of a run, and pre-activations put in order by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: What comes out for a site: its pre-activation; or, from a body, those of each time that the body was run
Output = NDArray[Any] | list[NDArray[Any]]


@dataclass(frozen=True)
class Layout:
    """Where the samples are: the axis, or None if all that comes out of a run is one sample's.

    From a body, axis 0 counts the times that it was run, and the others come after it.
    """

    axis: int | None = None
    #: it cannot be told, unless there is but one sample in a run
    odd: bool = False


def shape_of(output: Output) -> tuple[int, ...] | None:
    """Return the shape of an output; None if a body's differ from time to time."""
    if not isinstance(output, list):
        return output.shape
    shapes = {array.shape for array in output}
    return (len(output), *shapes.pop()) if len(shapes) == 1 else None


def layout_of(one: tuple[int, ...] | None, two: tuple[int, ...] | None) -> Layout:
    """Return the layout by the shapes of an output for one sample and for two."""
    if one is None or two is None or len(one) != len(two):
        return Layout(odd=True)
    differing = [axis for axis, (single, double) in enumerate(zip(one, two, strict=True)) if single != double]
    if not differing:
        return Layout()
    axis = differing[0]
    return Layout(axis) if len(differing) == 1 and two[axis] == 2 * one[axis] else Layout(odd=True)


def guessed(output: Output, samples: int) -> Layout:
    """Return the layout of an output that has not been seen for one sample and for two: the first axis, if it fits."""
    shape, first = shape_of(output), int(isinstance(output, list))
    if samples == 1 or shape is None or len(shape) <= first or shape[first] % samples:
        return Layout()
    return Layout(first)


def arranged(output: Output, axis: int | None, layout: Layout, samples: int) -> tuple[NDArray[Any], int | None]:
    """Return a pre-activation with the samples on axis 0, and the axis of its units.

    Args:
        output: of a run.
        axis: of the units in the pre-activation, counted from the end if negative; None if it is not known.
        layout: where its samples are.
        samples: in the run.
    """
    shape = shape_of(output)
    if layout.axis is None or shape is None or len(shape) <= layout.axis or shape[layout.axis] % samples:
        return _as_one_sample(output if isinstance(output, list) else [output], axis)
    x, before = (np.stack(output), 1) if isinstance(output, list) else (output, 0)
    units = None if axis is None else _from_front(axis, x.ndim - before)
    units = None if units is None else units + before
    order = [layout.axis, *(each for each in range(x.ndim) if each != layout.axis)]
    x = x.transpose(order)
    units = None if units in (None, layout.axis) else order.index(units)
    if len(x) != samples:  # the samples' positions are on their axis, one sample's after the other's
        x = x.reshape(samples, -1, *x.shape[1:])
        units = None if units is None else units + 1
    return x, units


def _as_one_sample(arrays: list[NDArray[Any]], axis: int | None) -> tuple[NDArray[Any], int | None]:
    places = [None if axis is None else _from_front(axis, array.ndim) for array in arrays]
    if len(arrays) == 1:
        (x,), (units,) = arrays, places
        if x.ndim and len(x) == 1 and units != 0:
            return x, units
        return x[None], None if units is None else units + 1
    rows = [np.moveaxis(x, place, 0) for x, place in zip(arrays, places, strict=True) if place is not None]
    if len({len(row) for row in rows}) == 1 and len(rows) == len(arrays):
        return np.concatenate([row.reshape(len(row), -1) for row in rows], axis=1)[None], 1
    return np.concatenate([array.ravel() for array in arrays])[None], None


def _from_front(axis: int, rank: int) -> int | None:
    return axis % rank if -rank <= axis < rank else None
