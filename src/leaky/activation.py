"""The arms of a comparison: an activation's name and parameters, as text, as a module, and with its gain."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from leaky.function import gain as leaky_gain
from leaky.wording import shown

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class _Kind:
    """What is known about one activation by name."""

    defaults: dict[str, float]
    gain: Callable[..., float]
    #: whether the parameters are written even where they are the defaults
    verbose: bool = False
    #: whether it takes any number of them, one for each site
    by_site: bool = False


def _leaky_gain(*slopes: float) -> float:
    return leaky_gain(_typical(slopes))


def _typical(slopes: Sequence[float]) -> float:
    # He's condition with slopes that differ: E[f²] = σ²(1 + E[slope²])/2.
    return slopes[0] if len(set(slopes)) == 1 else math.sqrt(sum(slope * slope for slope in slopes) / len(slopes))


def _rrelu_gain(lower: float, upper: float) -> float:
    # He's condition with a slope drawn uniformly: E[f²] = σ²(1 + E[slope²])/2.
    return leaky_gain(math.sqrt((lower * lower + lower * upper + upper * upper) / 3))


@lru_cache
def _elu_gain(alpha: float) -> float:
    return _second_moment_gain(lambda z: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))))


@lru_cache
def _gelu_gain() -> float:
    return _second_moment_gain(lambda z: z * np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in z]))


def _second_moment_gain(f: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the g for which E[f(z)²] · g² = 1 with z ~ N(0, 1): He's condition, by the trapezoidal rule."""
    z = np.linspace(-12.0, 12.0, 24_001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float(1 / math.sqrt(np.trapezoid(f(z) ** 2 * density, z)))


_KINDS = {
    "relu": _Kind({}, lambda: leaky_gain(0.0)),
    "leaky_relu": _Kind({"negative_slope": 0.01}, _leaky_gain, verbose=True, by_site=True),
    "prelu": _Kind({"init": 0.25}, leaky_gain, verbose=True),
    "rrelu": _Kind({"lower": 1 / 8, "upper": 1 / 3}, _rrelu_gain),
    # The customary gains (Glorot & Bengio 2010 for the linear region; 5/3 as in torch.nn.init.calculate_gain).
    "sigmoid": _Kind({}, lambda: 1.0),
    "tanh": _Kind({}, lambda: 5 / 3),
    "elu": _Kind({"alpha": 1.0}, _elu_gain),
    "gelu": _Kind({}, _gelu_gain),
}

_TEXT = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)


@dataclass(frozen=True)
class Activation:
    """An activation function by name, with its parameters.

    Args:
        name: ``relu``, ``leaky_relu``, ``prelu``, ``rrelu``, ``sigmoid``, ``tanh``, ``elu`` or ``gelu``.
        parameters: its numbers; missing ones take PyTorch's defaults (negative slope 0.01; PReLU's first slope 0.25;
            RReLU's bounds 1/8 and 1/3; ELU's α 1). Of several slopes, ``leaky_relu(0.1, 0.2)``, each is that of one site,
            in the order in which ``torch.nn.Module.modules`` comes to them.

    Raises:
        ValueError: unknown name, too many parameters, or a parameter that is NaN.

    >>> Activation("leaky_relu"), str(Activation.parse("prelu(0.1)"))
    (Activation('leaky_relu(0.01)'), 'prelu(0.1)')
    """

    name: str
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        kind = _KINDS.get(self.name)
        if kind is None:
            raise ValueError(f"activation: {self.name!r} is unknown; expected one of {', '.join(_KINDS)}")
        given = tuple(float(p) + 0.0 for p in self.parameters)  # −0 becomes 0: equal arms have equal texts
        names = tuple(kind.defaults)
        if len(given) > len(names) and not kind.by_site:
            takes = f"at most {len(names)} ({', '.join(names)})" if names else "none"
            raise ValueError(f"activation: {self.name} was given {len(given)} parameters; it takes {takes}")
        for name, value in zip(names * len(given) if kind.by_site else names, given, strict=False):
            if math.isnan(value):
                raise ValueError(f"activation: {self.name}'s {name} is nan; expected a number")
        object.__setattr__(self, "parameters", given + tuple(kind.defaults.values())[len(given) :])
        if self.name == "rrelu" and self.parameters[0] > self.parameters[1]:
            raise ValueError(f"activation: rrelu's bounds are {self.parameters}; expected lower ≤ upper")

    @classmethod
    def parse(cls, text: str | Activation) -> Activation:
        """Return the activation that a text such as ``leaky_relu(0.1)`` names.

        Raises:
            ValueError: the text is not ``name`` or ``name(number, …)``, or names none known.
            TypeError: it is no text.
        """
        if isinstance(text, Activation):
            return text
        if not isinstance(text, str):
            raise TypeError(
                f"activation: {shown(text)}; expected a name such as leaky_relu(0.1), or a leaky.Activation"
            )
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"activation: {text!r} is not understood; expected a name such as relu or leaky_relu(0.1)")
        name, inside = match[1], (match[2] or "").strip()
        try:
            return cls(name, tuple(float(p) for p in inside.split(",")) if inside else ())
        except ValueError as error:
            if "could not convert" not in str(error):
                raise
            message = f"activation: {text!r} has a parameter that is not a number; expected such as leaky_relu(0.1)"
            raise ValueError(message) from None

    def __str__(self) -> str:
        kind = _KINDS[self.name]
        if not kind.defaults or (not kind.verbose and self.parameters == tuple(kind.defaults.values())):
            return self.name
        return f"{self.name}({', '.join(repr(p).removesuffix('.0') for p in self.parameters)})"

    def __repr__(self) -> str:
        return f"Activation({str(self)!r})"

    @property
    def gain(self) -> float:
        """The factor on 1/√fan_in by which random weights keep the signal's size from layer to layer.

        √(2 / (1 + slope²)) for the rectifiers (He et al. 2015, eq. 10 and 15); for ELU and GELU the same condition
        by numerical integration (for GELU it holds at size 1 only, and depth drifts away from it); for sigmoid and tanh
        the customary 1 and 5/3.
        """
        return _KINDS[self.name].gain(*self.parameters)

    @property
    def typical(self) -> Activation:
        """The same; of several slopes, one with their gain: it stands in until each site is given its own."""
        if not _KINDS[self.name].by_site or len(self.parameters) == 1:
            return self
        return Activation(self.name, (_typical(self.parameters),))

    @property
    def slope_warning(self) -> str | None:
        """One line if a slope on negative inputs lies outside 0 … 1, where the function is no leak any more."""
        if self.name in ("leaky_relu", "prelu", "rrelu") and not all(0 <= p <= 1 for p in self.parameters):
            return f"{self}: a negative slope outside 0 … 1 is unusual, and training with it may diverge"
        return None

    @property
    def rectifies(self) -> bool:
        """Whether the function switches at 0, so that a unit can be dead; sigmoid and tanh do not."""
        return self.name not in ("sigmoid", "tanh")

    def module(self) -> torch.nn.Module:
        """Return a new PyTorch module that applies the activation, marked as a site of this arm (needs PyTorch).

        Raises:
            ValueError: there are several slopes; which one is meant only the whole network can tell.
        """
        if self is not self.typical:
            raise ValueError(f"activation: {self} has {len(self.parameters)} slopes; a module takes one")
        from torch import nn

        from leaky.torch import LeakyReLU

        makers: dict[str, Callable[..., nn.Module]] = {
            "relu": nn.ReLU,
            "leaky_relu": LeakyReLU,
            "prelu": lambda init: nn.PReLU(init=init),
            "rrelu": nn.RReLU,
            "sigmoid": nn.Sigmoid,
            "tanh": nn.Tanh,
            "elu": nn.ELU,
            "gelu": nn.GELU,
        }
        module = makers[self.name](*self.parameters)
        # A plain attribute, so that it survives deepcopy and pickle: measurements look for it.
        module.leaky_activation = str(self)  # type: ignore[assignment]  # modules declare tensors and modules
        return module
