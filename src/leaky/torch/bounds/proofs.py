"""What follows for the units of a network from bounds on its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from leaky.evidence import Batch, Evidence, Floats, Site
from leaky.torch.bounds.drawn import RandomUnknown
from leaky.torch.bounds.ranged import Ranged, Stopped
from leaky.torch.bounds.rounding import Interval

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Proof:
    """What is proved of the units at one site, for every input in range. Arrays have one entry for each unit."""

    site: Site
    #: bounds on the pre-activation at all its positions; -inf and inf where nothing is known
    lower: Floats
    upper: Floats

    @property
    def dead(self) -> Bools:
        """Units that are never active."""
        return np.asarray(self.upper <= 0)

    @property
    def always_on(self) -> Bools:
        """Units that are always active, at every position."""
        return np.asarray(self.lower > 0)


@dataclass(frozen=True)
class Proofs:
    """What :func:`prove` found, by the names of the sites in the order of their calls."""

    sites: dict[str, Proof]
    #: why nothing is known of some units, or the forward pass could not be followed to its end; empty if all is known
    notes: tuple[str, ...] = ()


def ranged(lower: ArrayLike | Tensor, upper: ArrayLike | Tensor, dtype: torch.dtype = torch.float32) -> Ranged:
    """Return a tensor for all values in a range, to call a network with.

    Args:
        lower: the least value of each element, the axis of samples included.
        upper: the greatest ones; the two are broadcast.
        dtype: of the tensor. Values in range that are rounded to it are in range, too.

    Raises:
        ValueError: a bound is not finite, or the lower one is above the upper one.
    """
    # Memory for each element: networks may overwrite their input.
    low, high = (
        end.clone(memory_format=torch.contiguous_format)
        for end in torch.broadcast_tensors(_tensor(lower), _tensor(upper))
    )
    for name, end in (("lower", low), ("upper", high)):
        if not bool(end.isfinite().all()):
            raise ValueError(f"{name}: {end[~end.isfinite()][0].item()}; expected finite numbers")
    if bool((above := low > high).any()):
        raise ValueError(
            f"lower: {low[above][0].item()}, above upper: {high[above][0].item()}; expected lower <= upper"
        )
    bounds = torch.minimum(low, low.to(dtype).double()), torch.maximum(high, high.to(dtype).double())
    return Ranged(Interval(*bounds), dtype)


def prove(model: nn.Module, *args: Any, **kwargs: Any) -> Proofs:
    """Return what is proved of the units at each of a network's sites, whatever the inputs in range.

    The network runs once, in evaluation mode, and is afterwards as it was; the memory that this takes is about four
    times a forward pass's. Sites are those of :func:`leaky.torch.watch.watch`, with the same names if there are
    as many samples, or at least more than one.

    Args:
        model: as it is called, or within torch.compile, DataParallel or DistributedDataParallel.
        *args: what it is called with: :func:`ranged` tensors among them, wherever data may vary.
        **kwargs: the same.
    """
    from leaky.torch.watch import undisturbed, unwrapped, watch

    reasons: dict[str, None] = {}

    def extremes(x: Tensor, axis: int | None, limits: tuple[float, float]) -> Batch:
        if isinstance(x, Ranged) and x.reason:
            reasons[x.reason] = None
        return _extremes(x, axis)

    inner = unwrapped(model)
    with undisturbed(inner), RandomUnknown(), watch(inner, statistics=extremes) as seen:
        stopped = _followed(inner, *args, **kwargs)
    notes = [*reasons, *([f"the forward pass could be followed no further: {stopped}"] if stopped else [])]
    return Proofs({name: _proof(site, evidence) for name, (site, evidence) in seen.sites.items()}, tuple(notes))


def follow(model: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Call a network with :func:`ranged` tensors, as far as it can be followed.

    A ``TorchDispatchMode`` around the call sees every operation, and can ask :func:`bounds_of` for those of its inputs.

    Returns:
        Why it went no further, such as a branch that depends on values; empty if it came to the end.
    """
    with RandomUnknown():
        return _followed(model, *args, **kwargs)


def _followed(model: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    try:
        with torch.no_grad():
            model(*args, **kwargs)
    except Stopped as stop:
        return str(stop)
    except Exception as error:  # noqa: BLE001 - of any kind that the network's code comes to
        # It may well have run on data: tensors that have none cannot do all that others can.
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


def _extremes(x: Tensor, axis: int | None) -> Batch:
    """Return bounds in the form of statistics: the least and the greatest values that there may be."""
    lower, upper = (end.numpy(force=True) for end in (x.bounds if isinstance(x, Ranged) else (x.double(), x.double())))
    axis = None if axis is None else axis % x.ndim
    others = tuple(i for i in range(x.ndim) if i != axis)
    units = 1 if axis is None else x.shape[axis]
    known = ~np.isnan(lower).any(axis=others).reshape(units)
    smallest = np.where(known, lower.min(axis=others).reshape(units), -math.inf)
    largest = np.where(known, upper.max(axis=others).reshape(units), math.inf)
    return Batch(
        len(x), x.numel() // units, np.zeros((5, units), np.int64), np.stack([smallest, largest]), np.zeros((3, units))
    )


def _proof(site: Site, evidence: Evidence) -> Proof:
    return Proof(site, evidence.smallest, evidence.largest)


def _tensor(values: ArrayLike | Tensor) -> Tensor:
    return values.detach().double() if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values, np.float64))
