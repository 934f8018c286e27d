"""The statistics of one batch of pre-activations, wherever the tensor is. All evidence of PyTorch comes through here."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from leaky.evidence import Batch, batch_statistics_of


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

    def count(mask: Tensor) -> Tensor:
        return mask.sum(dim=over)

    def extreme(missing: float) -> Tensor:
        kept = rows.where(finite, missing)
        return (kept.amin(dim=over) if missing > 0 else kept.amax(dim=over)).to(wide)

    return Batch(
        samples=len(tensor),
        positions=rows.shape[0] * rows.shape[1],
        active_samples=_numpy((rows > 0).any(dim=1).sum(dim=0)),
        active_positions=_numpy(count(rows > 0)),
        low=_numpy(count(rows <= limits[0])),
        high=_numpy(count(rows >= limits[1])),
        nonfinite=_numpy(count(~finite)),
        smallest=_numpy(extreme(math.inf)).astype(np.float64),
        largest=_numpy(extreme(-math.inf)).astype(np.float64),
        total=_numpy(number.sum(dim=over)).astype(np.float64),
        total_squares=_numpy((number * number).sum(dim=over)).astype(np.float64),
        total_positive=_numpy(number.clamp(min=0).sum(dim=over)).astype(np.float64),
    )


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
