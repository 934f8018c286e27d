"""Where activations flatten: at and beyond these pre-activations the derivative is at most 1 % of its largest."""

from __future__ import annotations

import math

Limits = tuple[float, float]

NOWHERE: Limits = (-math.inf, math.inf)
RECTIFIED: Limits = (0.0, math.inf)

SIGMOID: Limits = (-2 * math.atanh(math.sqrt(0.99)), 2 * math.atanh(math.sqrt(0.99)))
TANH: Limits = (-math.atanh(math.sqrt(0.99)), math.atanh(math.sqrt(0.99)))
HARDSIGMOID: Limits = (-3.0, 3.0)
HARDSWISH: Limits = (-3.0, math.inf)
LOGSIGMOID: Limits = (-math.inf, math.log(99))
SOFTSIGN: Limits = (-9.0, 9.0)
# No closed form is known. That GELU is computed by tanh changes no digit that counts.
GELU: Limits = (-3.02166, math.inf)
MISH: Limits = (-6.15874, math.inf)


def silu(rate: float = 1.0) -> Limits:
    """Return the limits of ``x * sigmoid(rate * x)``."""
    return (-6.14292 / rate, math.inf) if rate > 0 else NOWHERE


def softplus(rate: float = 1.0) -> Limits:
    """Return the limits of ``log(1 + exp(rate * x)) / rate``."""
    return (-math.log(99) / rate, math.inf) if rate > 0 else NOWHERE


def elu(alpha: float = 1.0, rate: float = 1.0) -> Limits:
    """Return the limits of x above 0 and ``alpha * (exp(rate * x) - 1)`` below."""
    steepest = alpha * rate
    if not (steepest > 0 and rate > 0):
        return NOWHERE
    # Of a small alpha it is flat from 0 down, like ReLU.
    return min(0.0, math.log(0.01 * max(1.0, steepest) / steepest) / rate), math.inf


def celu(alpha: float = 1.0) -> Limits:
    """Return the limits of x above 0 and ``alpha * (exp(x / alpha) - 1)`` below."""
    return elu(alpha, 1 / alpha) if alpha > 0 else NOWHERE
