"""Where the samples and the units of a tensor lie, told in a way that no reshaping changes.

A label ``(count, stride)`` says which of ``count`` samples, or units, an element belongs to: with the elements numbered
in the order of the axes, the last the fastest, it is ``number // stride % count``. Views that keep that order, such as
flattening, keep the label: in ``(N, C, H, W)`` and in ``(N, C * H * W)`` alike the channels are ``(C, H * W)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

Label = tuple[int, int]


def stride(shape: Sequence[int], axis: int) -> int:
    """Return how far apart neighbours along an axis are numbered."""
    return math.prod(shape[axis + 1 :])


def along(shape: Sequence[int], axis: int) -> Label:
    """Return the label of what lies along a whole axis."""
    return shape[axis], stride(shape, axis)


def _axes(label: Label, shape: Sequence[int]) -> tuple[int, int, int] | None:
    """Return the first and the last axis that a label of more than one covers, and its stride in steps of the last."""
    count, step = label
    covered = []
    below = 1
    for axis in range(len(shape) - 1, -1, -1):
        above = below * shape[axis]
        if shape[axis] > 1 and below < count * step and above > step:
            covered.append((axis, below, above))
        below = above
    if not covered:
        return None
    last, low, above = covered[0]
    first, below, high = covered[-1]
    if step % low or above % step or count * step % below or high % (count * step):
        return None  # the axes cut across it
    return first, last, step // low


def carried(label: Label | None, old: Sequence[int], new: Sequence[int]) -> Label | None:
    """Return the label after axes have changed their sizes; None if the label's own did."""
    if label is None or old == new:
        return label
    if label[0] == 1:
        return _single(label, old, new, range(len(new)))
    axes = _axes(label, old)
    if axes is None:
        return None
    first, last, inner = axes
    if tuple(old[first : last + 1]) != tuple(new[first : last + 1]):
        return None
    return label[0], stride(new, last) * inner


def permuted(label: Label | None, shape: Sequence[int], order: Sequence[int]) -> Label | None:
    """Return the label after a permutation of the axes; None if that has torn it apart."""
    if label is None:
        return None
    new = [shape[axis] for axis in order]
    if label[0] == 1:
        return _single(label, shape, new, [list(order).index(axis) for axis in range(len(shape))])
    axes = _axes(label, shape)
    if axes is None:
        return None
    first, last, inner = axes
    places = [list(order).index(axis) for axis in range(first, last + 1) if shape[axis] > 1]
    for one, other in pairwise(places):
        if other < one or any(new[between] > 1 for between in range(one + 1, other)):
            return None
    return label[0], stride(new, places[-1]) * inner


def _single(label: Label, old: Sequence[int], new: Sequence[int], places: Sequence[int]) -> Label:
    """Follow the label of one sample, or of one unit: any stride is true, but its axis should be found again."""
    for axis in range(len(old)):
        if old[axis] == 1 and stride(old, axis) == label[1] and new[places[axis]] == 1:
            return 1, stride(new, places[axis])
    return 1, 1


@dataclass(frozen=True, slots=True)
class Layout:
    """How to look at a tensor so that its samples lie on axis 0, and its units on an axis of their own."""

    #: the shape to view it in, or None if it is fine as it is
    view: tuple[int, ...] | None
    #: axis of the samples in that view
    samples: int
    #: axis of the units once the samples are on axis 0; None if it is not known
    axis: int | None

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the tensor so laid out."""
        if self.view is not None:
            tensor = tensor.reshape(self.view)
        return tensor.movedim(self.samples, 0) if self.samples else tensor


def layout(shape: Sequence[int], samples: Label, units: Label | None) -> Layout:
    """Return the layout that the labels amount to: the tensor's own axes, if they will do."""
    if shape and samples == along(shape, 0):
        if units is None:
            return Layout(None, 0, None)
        for axis in range(1, len(shape)):
            if along(shape, axis) == units:
                return Layout(None, 0, axis)
    total = math.prod(shape)
    if samples[0] == 1:  # of one member, any stride is true
        samples = 1, total
    if units is not None and not _nested(samples, units, total):
        units = (1, 1) if units[0] == 1 else None
    labels = [(samples, True)] if units is None else [(samples, True), (units, False)]
    labels.sort(key=lambda pair: pair[0][0] * pair[0][1], reverse=True)
    view: list[int] = []
    places: dict[bool, int] = {}
    for (count, step), of_samples in labels:
        if total > count * step:
            view.append(total // (count * step))
        places[of_samples] = len(view)
        view.append(count)
        total = step
    if total > 1:
        view.append(total)
    at = places[True]
    if units is None:
        return Layout(tuple(view), at, None)
    return Layout(tuple(view), at, places[False] + (places[False] < at))


def _nested(samples: Label, units: Label, total: int) -> bool:
    """Say whether all members of one label lie within each member of the other, so that each can have its axis."""
    outer, inner = sorted((samples, units), key=lambda label: label[0] * label[1], reverse=True)
    return outer[1] % (inner[0] * inner[1]) == 0 and total % (outer[0] * outer[1]) == 0
