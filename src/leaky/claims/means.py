"""Means over seeds, where trainings diverge and gradients vanish."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import torch

_TINY = torch.finfo(torch.float32).tiny


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean over the trainings that did not diverge; ``None`` if all did."""
    finite = [value for value in values if value is not None]
    return statistics.fmean(finite) if finite else None


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean; what is below the smallest number of float32 counts as that. Infinite if a value is."""
    logarithms = [math.log(max(value, _TINY)) for value in values]
    return math.exp(statistics.fmean(logarithms))
