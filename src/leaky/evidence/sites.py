"""What an activation of a network is: its name, its units, and where its derivative is 0."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: the negative slope of a rectifier that has one, or one for each unit; NaN where a unit has several
Slope = float | tuple[float, ...] | None

#: what a site is the same by in another pass, process or check of its network
Identity = tuple[Hashable, ...]


@dataclass(frozen=True)
class Site:
    """One call of an activation in a forward pass."""

    #: unique in its network: the path of the module, with [1] for its second call in one pass
    name: str
    #: relu, relu6, leaky_relu, prelu, rrelu, hardtanh, threshold, sigmoid, tanh, ...
    kind: str
    #: as it is written: nn.ReLU, relu, clamp(min=0), maximum(x, 0); or the ONNX operator
    form: str
    #: path of the innermost module in whose forward the call is made; "" is the network itself
    module: str
    #: number of units; 1 if their axis could not be told
    units: int
    #: axis of the units in the pre-activation, the batch being axis 0; None if it could not be told
    axis: int | None
    #: of the pre-activation of one sample
    shape: tuple[int, ...]
    slope: Slope = None
    #: at or beyond which pre-activations the derivative is 0 or negligible
    limits: tuple[float, float] = (-math.inf, math.inf)
    #: path of the layer with weights that feeds it, through layers without
    fed_by: str | None = None
    #: whether the pre-activation is that layer's output and nothing else, such as a sum; None if that is not known
    alone: bool | None = None
    #: file and line of a call that is no module's
    source: str | None = None
    #: False for a maximum with 0 that is no activation, being fed from no weights: listed apart
    judged: bool = True
    #: why it is not judged, or why the axis is unknown
    note: str = ""
    #: what it is known by in whatever order sites are met, its name without a number first; (): its name says it all
    key: Identity = field(default=(), repr=False)

    @property
    def identity(self) -> Identity:
        """What it is known by; names will not do, for they are given as sites are met."""
        return self.key or (self.name,)

    def named(self, taken: Container[str]) -> Site:
        """Return it with its name, or with another number if that is taken."""
        return self if self.name not in taken else replace(self, name=unused(str(self.identity[0]), taken))


def unused(name: str, taken: Container[str]) -> str:
    """Return the name, with a number if it is taken."""
    numbered = (f"{name}[{number}]" for number in itertools.count(1))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def slopes_of_units(slopes: NDArray[Any], axis: int | None) -> tuple[float, ...]:
    """Return the negative slope of each unit; NaN for a unit that has another one at another position.

    Args:
        slopes: one for each pre-activation, in the same layout.
        axis: of the units; None for one unit.
    """
    others = tuple(each for each in range(slopes.ndim) if axis is None or each != axis % slopes.ndim)
    least, most = slopes.min(others), slopes.max(others)
    return tuple(np.where(least == most, least, np.nan).astype(np.float64).ravel().tolist())
