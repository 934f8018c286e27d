"""Leaky ReLU for PyTorch: what ``torch.nn.functional.leaky_relu`` returns, bit for bit, sooner and with less memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from leaky.extras import needed_by

with needed_by("leaky.torch"):
    import torch
    import torch.nn.functional as F
    from torch import Tensor
    from torch.compiler import is_dynamo_compiling
    from torch.jit import is_scripting  # type: ignore[attr-defined]  # public, but not in its __all__

from leaky.function import real_slope
from leaky.torch import by_mask, by_output, threads
from leaky.torch.slopes import KeepsSlopes, SlopeWarning, slopes, warmed

if TYPE_CHECKING:
    from leaky.torch.monitor import Monitor
    from leaky.torch.slope_schedule import SlopeSchedule

__all__ = ["LeakyReLU", "Monitor", "SlopeSchedule", "SlopeWarning", "leaky_relu", "slopes"]

# Bytes below which PyTorch's own op is the faster one, by measurement: the output comes from memory that is still in
# the caches, and the Python around ours takes longer than what it saves. Above, fresh memory is what costs.
_SMALL = 1 << 23

threads.borrow()

_FLOAT32_MAX = torch.finfo(torch.float32).max


def leaky_relu(
    input: Tensor,
    negative_slope: float = 0.01,
    inplace: bool = False,
) -> Tensor:
    """Return ``input`` where ``input > 0``, ``negative_slope * input`` everywhere else (Maas et al. 2013).

    Values, gradients of any order and layout are those of ``torch.nn.functional.leaky_relu``. What differs is what is
    kept for backward, where PyTorch keeps the input:

    - Dense CPU tensors of 8 MiB and more, of float16, bfloat16, float32 and float64, go through leaky's own core,
      which keeps one bit per element. The input may be overwritten after the call.
    - Tensors as large on other devices keep the output, if the slope is not negative. That costs no memory where the
      next layer keeps it too, as convolutions, linear and normalisation layers do. But the output must then not be
      overwritten before backward, as by ``Dropout(inplace=True)`` or ``+=``: backward would raise an error.
    - Smaller tensors, layouts with gaps, subclasses, and all that is compiled, exported, scripted, traced, transformed
      (``torch.func``, forward mode) or seen by a mode, take PyTorch's own operation: they fuse and export as ever. (A
      mode that watches a checkpointed forward must watch its backward too: both have to go the same way.)

    Args:
        input: a tensor of a floating type, of any shape; the result has both.
        negative_slope: one real number. For slopes that are learned, see ``torch.nn.PReLU``.
        inplace: overwrite ``input`` and return it. Negative slopes can then be differentiated too, which PyTorch itself
            refuses (and which forward mode and TorchScript still do).

    Raises:
        TypeError: the slope is not a real number.
        ValueError: the slope is NaN.
        RuntimeError: PyTorch's own, for what it refuses: other types, in place on a leaf that requires a gradient.
    """
    # This runs for the smallest of tensors too: what is asked first costs least, and rules out most. TorchScript must
    # be able to parse it, and does not compile what is_scripting() keeps from it. (While torch.jit traces, numel() would
    # give a tensor; nbytes is a number.)
    if not is_scripting():
        if type(negative_slope) is not float or negative_slope != negative_slope:  # noqa: PLR0124 - is NaN
            negative_slope = real_slope(negative_slope)
        if type(input) is Tensor and not is_dynamo_compiling() and input.nbytes >= _SMALL:
            result = _large(input, negative_slope, inplace)
            if result is not None:
                return result
        if inplace and negative_slope < 0 and torch.is_grad_enabled() and input.requires_grad:
            # PyTorch would take the gradient from the output, whose sign no longer tells.
            return input.copy_(F.leaky_relu(input.clone(), negative_slope))
    return F.leaky_relu(input, negative_slope, inplace)


def _large(input: Tensor, slope: float, inplace: bool) -> Tensor | None:
    """Return the result in the way that keeps less, or None if PyTorch's own is to be taken."""
    keeps = torch.is_grad_enabled() and input.requires_grad
    if inplace and ((keeps and (input.is_leaf or input._is_view())) or input.is_inference()):
        return None  # mostly forbidden, which PyTorch says best, and before anything is overwritten
    if _FLOAT32_MAX < abs(slope) < math.inf:
        return None  # forbidden but for float64
    if by_mask.suits(input):
        return by_mask.forward(input, slope, inplace)
    if keeps and not inplace and slope >= 0 and not input.is_cpu and not by_mask.observed():
        return by_output.forward(input, slope)
    return None


class LeakyReLU(KeepsSlopes, torch.nn.LeakyReLU):
    """:func:`leaky_relu` as a module: a ``torch.nn.LeakyReLU`` in all else.

    Its slope travels in the metadata of the ``state_dict``; loading weights that were made for another gives a
    :class:`SlopeWarning`.

    Raises:
        TypeError: ``negative_slope`` is not a real number.
        ValueError: ``negative_slope`` is NaN.
    """

    __constants__ = ["inplace", "negative_slope", "leaky_warming"]  # noqa: RUF012 - for TorchScript, as PyTorch has it

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(real_slope(negative_slope), inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Return :func:`leaky_relu` of the input."""
        if self.leaky_warming and not is_scripting():
            result = warmed(input, self.negative_slope, self.inplace)
            if result is not None:
                return result
        return leaky_relu(input, self.negative_slope, self.inplace)


def __getattr__(name: str) -> Any:
    # What the function has no use for is loaded when it is asked for.
    if name == "Monitor":
        from leaky.torch.monitor import Monitor

        return Monitor
    if name == "SlopeSchedule":
        from leaky.torch.slope_schedule import SlopeSchedule

        return SlopeSchedule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
