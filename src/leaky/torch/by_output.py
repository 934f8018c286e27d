"""Leaky ReLU on any device by PyTorch's own operation, with the gradient worked out from its output.

PyTorch keeps the input for backward. The output tells as much where the slope is not below 0: it is above 0 just where
the input is, even where a tiny product underflowed to -0.0 or an infinite slope made NaN. And it costs no memory where
the next layer keeps its input anyway, as convolutions, linear and normalisation layers do. (It does where the next layer
keeps nothing, such as an addition, and something before keeps the input, such as an exponential.)
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


def forward(input: torch.Tensor, slope: float) -> torch.Tensor:
    """Return Leaky ReLU of a tensor that needs a gradient. The slope must not be below 0."""
    return _ByOutput.apply(input, slope)  # type: ignore[no-any-return, no-untyped-call]  # PyTorch's is untyped


class _ByOutput(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: torch.Tensor, slope: float) -> torch.Tensor:
        output = F.leaky_relu(input, slope)
        ctx.save_for_backward(output)
        ctx.slope = slope
        return output

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        try:
            (output,) = ctx.saved_tensors
        except RuntimeError as error:
            error.add_note(
                "leaky.torch.leaky_relu keeps its output for backward on this device; to overwrite it afterwards, use "
                "torch.nn.functional.leaky_relu there"
            )
            raise
        # Detached: it is asked for its signs alone, which do not change with the input.
        output = output.detach()
        return torch.ops.aten.leaky_relu_backward(grads[0], output, ctx.slope, True), None
