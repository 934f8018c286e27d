"""The statistics of one batch of pre-activations, wherever the tensor is. All evidence of PyTorch comes through here."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from leaky.evidence import Batch, batch_statistics_of

#: takes pre-activations, the samples on axis 0, the axis of their units (None: one unit) and the site's limits
Statistics = Callable[[Tensor, int | None, tuple[float, float]], Batch]


def statistics(tensor: Tensor, axis: int | None, limits: tuple[float, float]) -> Batch:
    """Return the statistics of a floating tensor with the samples on axis 0, the units on ``axis`` (None: one unit)."""
    tensor = tensor.detach()
    if not tensor.is_cpu:
        return on_device(tensor, axis, limits)
    if tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()  # exact for bfloat16
    return batch_statistics_of(tensor.resolve_neg().numpy(), axis, limits)


def on_device(tensor: Tensor, axis: int | None, limits: tuple[float, float]) -> Batch:
    """Return the statistics as the tensor's own device works them out; its sums are rounded in its own order."""
    wide = torch.float32 if tensor.device.type == "mps" else torch.float64
    units = 1 if axis is None else tensor.shape[axis]
    rows = tensor[..., None] if axis is None else tensor.movedim(axis, -1)
    rows = rows.reshape(len(tensor), -1, units)
    finite = rows.isfinite()
    number = rows.to(wide).where(finite, 0.0)
    over = (0, 1)

    def extreme(missing: float) -> Tensor:
        kept = rows.where(finite, missing)
        return (kept.amin(dim=over) if missing > 0 else kept.amax(dim=over)).to(wide)

    counts = [
        (rows > 0).any(dim=1).sum(dim=0),
        *(mask.sum(dim=over) for mask in (rows > 0, rows <= limits[0], rows >= limits[1], ~finite)),
    ]
    sums = [part.sum(dim=over) for part in (number, number * number, number.clamp(max=limits[1]).clamp(min=0))]
    extremes = [extreme(math.inf), extreme(-math.inf)]
    return Batch(len(tensor), rows.shape[0] * rows.shape[1], *(_numpy(each) for each in (counts, extremes, sums)))


def _numpy(rows: list[Tensor]) -> np.ndarray:
    stacked = torch.stack(rows).cpu().numpy()
    return stacked if stacked.dtype == np.int64 else stacked.astype(np.float64)
