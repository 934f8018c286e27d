"""Proofs by interval arithmetic: what every unit does for all inputs in a range, without trying any.

A network's forward pass is run on one :class:`Ranged` tensor, which stands for all samples in range and whose operations
compute bounds instead of data. A unit whose greatest possible pre-activation is at most 0 is dead for every input in
range, which no number of samples could show.

The bounds hold for what PyTorch computes, roundings included (see :mod:`leaky.torch.bounds.rounding`), for a network
that treats each sample of a batch alone. What a network computes from parameters alone is taken as it is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from leaky.torch.bounds.ranged import Ranged, Stopped, bounds_of
from leaky.torch.bounds.rounding import Interval

__all__ = ["Bound", "Interval", "Ranged", "bounds_of", "follow", "propagate", "ranged"]

aten = torch.ops.aten


@dataclass(frozen=True)
class Bound:
    """The bounds of the pre-activations at one call of an activation.

    Args:
        operation: as PyTorch names it, such as ``aten.relu.default``.
        lower, upper: float64, of the pre-activation's shape with a batch of one sample; NaN where nothing is known.
        reason: why nothing is known where nothing is, else empty.
    """

    operation: str
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    reason: str = ""

    def dead(self, axis: int | None) -> NDArray[np.bool_]:
        """Return for each unit along the axis whether it is proved never to be active; all are one unit for None."""
        return _for_all(self.upper <= 0, axis)

    def always_on(self, axis: int | None) -> NDArray[np.bool_]:
        """Return for each unit along the axis whether it is proved always to be active, at every position."""
        return _for_all(self.lower > 0, axis)


@dataclass(frozen=True)
class Bounds:
    """What :func:`propagate` found: bounds at each call of an activation in order, and why it went no further, if so."""

    activations: tuple[Bound, ...]
    stopped: str = ""


def ranged(lower: ArrayLike | Tensor, upper: ArrayLike | Tensor, dtype: torch.dtype = torch.float32) -> Ranged:
    """Return a tensor for all values in a range, to run networks on.

    Args:
        lower: bounds of each element, the batch axis included.
        upper: the same for the other end; the two are broadcast.
        dtype: of the tensor. Values in range that are rounded to it are in range, too.

    Raises:
        ValueError: a bound is not finite, or the lower one is above the upper one.
    """
    # A copy with memory for each element: networks may overwrite their input.
    low, high = (
        torch.as_tensor(end).double().clone() for end in torch.broadcast_tensors(_tensor(lower), _tensor(upper))
    )
    low, high = low.contiguous(), high.contiguous()
    for name, end in (("lower", low), ("upper", high)):
        if not bool(end.isfinite().all()):
            raise ValueError(f"{name}: {end[~end.isfinite()][0].item()}; expected finite bounds")
    if bool((low > high).any()):
        where = low > high
        raise ValueError(
            f"lower: {low[where][0].item()} is above upper: {high[where][0].item()}; expected lower <= upper"
        )
    return Ranged(
        Interval(torch.minimum(low, low.to(dtype).double()), torch.maximum(high, high.to(dtype).double())), dtype
    )


def follow(model: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Run a network on arguments with :func:`ranged` tensors among them, as far as it can be followed.

    A ``TorchDispatchMode`` around the call sees every operation, and can ask :func:`bounds_of` for those of its inputs.

    Returns:
        Why it went no further: the network asked for values that are not known; empty if it came to the end.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operation for a whole layer
    try:
        with torch.no_grad():
            model(*args, **kwargs)
    except Stopped as stop:
        return str(stop)
    except Exception as error:
        # It may well have run on data: tensors without them cannot do all that others can.
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return ""


def propagate(
    model: nn.Module, lower: ArrayLike | Tensor, upper: ArrayLike | Tensor, shape: tuple[int, ...] | None = None
) -> Bounds:
    """Return bounds on the pre-activations at every activation, in the order of their calls, for all inputs in range.

    The network is run once, as it stands (in evaluation mode or not), on a batch of one; nothing of it is changed.

    Args:
        model: takes one floating tensor.
        lower: least inputs, a number or an array of one sample's shape.
        upper: greatest inputs.
        shape: of one sample, if lower and upper do not tell.

    Raises:
        ValueError: a bound is not finite, the lower one is above the upper one, or they do not fit the shape.
    """
    low, high = _tensor(lower), _tensor(upper)
    try:
        size = torch.broadcast_shapes(low.shape, high.shape, *([shape] if shape else []))
    except RuntimeError:
        size = None
    if size is None or (shape and size != torch.Size(shape)):
        raise ValueError(
            f"lower: shape {tuple(low.shape)}, upper: shape {tuple(high.shape)}; expected numbers or arrays of "
            f"one sample's shape{f', {tuple(shape)}' if shape else ''}"
        )
    dtypes = [p.dtype for p in model.parameters() if p.dtype.is_floating_point]
    x = ranged(low.expand(1, *size), high.expand(1, *size), dtypes[0] if dtypes else torch.float32)
    with _Recorder() as recorder:
        stopped = follow(model, x)
    return Bounds(tuple(recorder.found), stopped)


class _Recorder(TorchDispatchMode):
    """Keeps the bounds of what goes into activations."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Bound] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        x = args[0] if args and _activates(func, args, kwargs or {}) else None
        if isinstance(x, Ranged):
            lower, upper = (end.numpy(force=True).copy() for end in x.bounds)
            self.found.append(Bound(str(func), lower, upper, x.reason))
        return func(*args, **kwargs or {})


_ACTIVATIONS = {
    *("relu", "leaky_relu", "_prelu_kernel", "rrelu_with_noise", "hardtanh", "threshold", "elu", "celu"),
    *("gelu", "silu", "mish", "hardswish", "sigmoid", "tanh", "hardsigmoid"),
}


def _activates(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a call is that of an activation on its first argument, or a clamp from 0."""
    name = func.overloadpacket.__name__.removesuffix("_") if "_" in str(func) else func.overloadpacket.__name__
    if name in ("clamp", "clamp_min"):
        least = args[1] if len(args) > 1 else kwargs.get("min")
        return isinstance(least, (int, float)) and least == 0
    return name in _ACTIVATIONS


def _tensor(values: ArrayLike | Tensor) -> Tensor:
    return values.detach().double() if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values, np.float64))


def _for_all(holds: NDArray[np.bool_], axis: int | None) -> NDArray[np.bool_]:
    """Return for each index along the axis whether it holds everywhere."""
    if axis is None:
        return holds.all(keepdims=True).reshape(1)
    others = tuple(i for i in range(holds.ndim) if i != axis % holds.ndim)
    return np.asarray(holds.all(axis=others))
