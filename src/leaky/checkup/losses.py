"""The losses that can be named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from leaky.inputs.batches import Batch
from leaky.inputs.errors import InputError

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": F.cross_entropy,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "bce": lambda output, target: F.binary_cross_entropy_with_logits(output, target.to(output.dtype)),
    "nll": F.nll_loss,
}

Loss = Callable[[Any, Batch], Tensor]


def named_loss(loss: str | Callable[[Any, Any], Any]) -> Loss:
    """Return the loss of an output for a batch.

    Raises:
        InputError: a :class:`ValueError`; there is no loss of this name; from the loss itself, the batch has no target,
            or the result is no scalar.
    """
    if not callable(loss) and loss not in (*LOSSES, "model"):
        raise InputError(f"loss: {loss!r} is unknown; expected {', '.join(LOSSES)}, model, or a function")

    def of(output: Any, batch: Batch) -> Tensor:
        if loss == "model":
            value = output["loss"] if isinstance(output, dict) else getattr(output, "loss", None)
        elif callable(loss):
            value = loss(output, batch.named or batch.target)
        elif isinstance(batch.target, Tensor):
            value = LOSSES[loss](output, batch.target)
        else:
            raise ValueError("there is no target for the loss; expected batches (x, y)")
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ValueError(f"the loss is {type(value).__name__}, not a scalar tensor")
        return value

    return of
