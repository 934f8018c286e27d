from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from leaky import flat

erf = np.vectorize(math.erf)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + erf(x / math.sqrt(2))) / 2


def elu(alpha: float, rate: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(x > 0, x, alpha * np.expm1(rate * np.minimum(x, 0)))


CURVES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], flat.Limits]] = {
    "sigmoid": (sigmoid, flat.SIGMOID),
    "tanh": (np.tanh, flat.TANH),
    "logsigmoid": (lambda x: -np.log1p(np.exp(-x)), flat.LOGSIGMOID),
    "softsign": (lambda x: x / (1 + np.abs(x)), flat.SOFTSIGN),
    "gelu": (gelu, flat.GELU),
    "mish": (lambda x: x * np.tanh(np.log1p(np.exp(x))), flat.MISH),
    "silu": (lambda x: x * sigmoid(x), flat.silu()),
    "quick gelu": (lambda x: x * sigmoid(1.702 * x), flat.silu(1.702)),
    "softplus": (lambda x: np.log1p(np.exp(x)), flat.softplus()),
    "softplus, steep": (lambda x: np.log1p(np.exp(3 * x)) / 3, flat.softplus(3)),
    "elu": (elu(1), flat.elu()),
    "elu, small": (elu(0.1), flat.elu(0.1)),
    "elu, large": (elu(4, 2), flat.elu(4, 2)),
    "celu": (elu(2, 0.5), flat.celu(2)),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_derivative_is_a_hundredth_of_its_largest(name: str) -> None:
    function, limits = CURVES[name]
    x = np.linspace(-12, 12, 240_001)
    slopes = np.abs(np.diff(function(x)) / np.diff(x))
    x, largest = (x[:-1] + x[1:]) / 2, slopes.max()
    for end in filter(math.isfinite, limits):
        assert np.interp(end, x, slopes) == pytest.approx(0.01 * largest, rel=1e-3)
    beyond = (x < limits[0]) | (x > limits[1])
    assert slopes[beyond].max() <= 0.0101 * largest
    assert beyond.any()


def test_hard_curves_are_level_beyond_their_limits() -> None:
    assert ((-3, 3), (-3, math.inf), (0, math.inf)) == (flat.HARDSIGMOID, flat.HARDSWISH, flat.RECTIFIED)


@pytest.mark.parametrize("alpha", [1e-3, 1e-9, 0.009999])
def test_elu_of_a_small_alpha_is_flat_from_0_down_and_no_further(alpha: float) -> None:
    assert flat.elu(alpha) == flat.RECTIFIED


def test_odd_shapes_are_flat_nowhere() -> None:
    for limits in (flat.elu(0), flat.elu(-1), flat.elu(1, -1), flat.celu(-1), flat.silu(-1), flat.softplus(-1)):
        assert limits == flat.NOWHERE
