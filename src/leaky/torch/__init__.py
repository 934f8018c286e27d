"""Leaky ReLU for PyTorch: today PyTorch's own operation, behind arguments that are checked."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from leaky.function import real_slope

__all__ = ["LeakyReLU", "leaky_relu"]


def leaky_relu(
    input: torch.Tensor,  # noqa: A002 - PyTorch's own name
    negative_slope: float = 0.01,
    inplace: bool = False,
) -> torch.Tensor:
    """Return ``input`` where ``input > 0``, ``negative_slope * input`` everywhere else (Maas et al. 2013).

    Args:
        input: a tensor of a floating type, of any shape; the result has both.
        negative_slope: one real number. For slopes that are learned, see ``torch.nn.PReLU``.
        inplace: overwrite ``input``. PyTorch then refuses the backward pass if the slope is negative.

    Raises:
        TypeError: the slope is not a real number.
        ValueError: the slope is NaN.
    """
    return F.leaky_relu(input, real_slope(negative_slope), inplace)


class LeakyReLU(torch.nn.LeakyReLU):
    """:func:`leaky_relu` as a module: a ``torch.nn.LeakyReLU`` in all things, with its arguments checked.

    Raises:
        TypeError: ``negative_slope`` is not a real number.
        ValueError: ``negative_slope`` is NaN.
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(real_slope(negative_slope), inplace)
