"""How far a computed number may lie from the exact one: what keeps a proof true of the numbers that PyTorch computes.

The arithmetic of intervals here is done in float64 and widened, by bounds known beforehand, for two things at once: the
rounding of the network's own forward pass, in its own type, and that of the float64 arithmetic itself.

A sum of ``n`` products, added in whatever order and blocking, with or without fused multiply-adds, multiplies each
product by at most ``n`` factors ``1 + d``, ``|d| <= u`` (Higham 2002, Accuracy and Stability of Numerical Algorithms,
section 3.1). The product of such factors lies within ``(1 + u)^n - 1 <= exp(n u) - 1`` of 1, for any ``n``; hence

    |computed - exact| <= (exp(n u) - 1) * sum |w_i| |x_i|.

What is computed in a wider type and rounded at the end has fewer and smaller factors. Convolutions by Winograd's
algorithm or by Fourier transform are not such sums: PyTorch's own for processors are direct; cuDNN's may be otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Interval(NamedTuple):
    """Bounds on each element of a tensor, both float64; NaN in both where nothing is known."""

    lower: Tensor
    upper: Tensor

    @property
    def magnitude(self) -> Tensor:
        """The largest absolute value of each element."""
        return torch.maximum(self.lower.abs(), self.upper.abs())


@dataclass(frozen=True)
class Arithmetic:
    """The numbers of a floating type: its unit roundoff, its smallest normal number and its largest one."""

    unit: float
    smallest: float
    largest: float

    def growth(self, roundings: int) -> float:
        """Return how far, relatively, so many roundings and those of the float64 arithmetic may lead.

        The constants leave room for the few roundings in float64 with which the bound itself is put together.
        """
        try:
            return math.expm1((roundings + 4) * (self.unit + 2**-51))
        except OverflowError:
            return math.inf

    def outward(self, exact: Interval, roundings: int = 1, slack: Tensor | float = 0.0) -> Interval:
        """Return what holds for the computed numbers, given what holds for the exact ones and their float64 rounding.

        Args:
            exact: bounds on the results of exact arithmetic, each off by a few roundings of itself in float64.
            roundings: of each result by the network's arithmetic, relative to the result.
            slack: what may be added or lost besides, absolutely.
        """
        growth = self.growth(roundings)
        lower = exact.lower - (growth * exact.lower.abs() + slack)
        upper = exact.upper + (growth * exact.upper.abs() + slack)
        return Interval(lower, upper)

    def settled(self, bounds: Interval) -> Interval:
        """Return the bounds as far as the network's numbers can keep to them.

        They are unknown where numbers may overflow. Below the normal range numbers round coarsely or are flushed to 0,
        but never across it.
        """
        lower, upper = bounds
        lower = torch.where(lower.abs() < self.smallest, lower.sign().clamp(max=0) * self.smallest, lower)
        upper = torch.where(upper.abs() < self.smallest, upper.sign().clamp(min=0) * self.smallest, upper)
        known = (lower >= -self.largest) & (lower <= upper) & (upper <= self.largest)
        if not bool(known.all()):
            lower, upper = lower.masked_fill(~known, math.nan), upper.masked_fill(~known, math.nan)
        return Interval(lower, upper)


@lru_cache
def arithmetic(dtype: torch.dtype) -> Arithmetic:
    """Return the arithmetic of a floating type."""
    info = torch.finfo(dtype)
    return Arithmetic(info.eps / 2, info.smallest_normal, info.max)


def product_arithmetic(dtype: torch.dtype, device: torch.device, *, convolution: bool = False) -> Arithmetic:
    """Return the arithmetic of matrix products, or convolutions, where float32 may be set to be rounded to fewer bits.

    Then it is taken for bfloat16, the coarsest, also where it is TensorFloat-32. Graphics cards are so set for
    convolutions unless told otherwise.
    """
    numbers = arithmetic(dtype)
    backends: Any = torch.backends  # untyped
    products, convolutions = (
        (backends.cuda.matmul, backends.cudnn.conv)
        if device.type == "cuda"
        else (backends.mkldnn.matmul, backends.mkldnn.conv)
    )
    settings = {products.fp32_precision, *([convolutions.fp32_precision] if convolution else [])}
    if dtype == torch.float32 and not settings <= {"none", "ieee"}:
        return Arithmetic(torch.finfo(torch.bfloat16).eps / 2, numbers.smallest, numbers.largest)
    return numbers
