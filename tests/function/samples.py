"""Numbers of every type, special ones among them, and each function beside its definition."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import leaky
from leaky import definition

INF, NAN = np.inf, np.nan
SLOPES = [0.01, 0.0, -0.0, 0.2, 1.0, 3.0, -0.5, 1e-30, 1e30, 1e-300, 1e300, INF, -INF]
ALL_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
SPECIAL = [0.0, 1.0, 5e-324, 1e-45, 1e-40, 6e-8, 1e-5, 65504.0, 65519.0, 3e38, 1e308, INF, NAN]
FLOATS = "efdg"

# every function as one of (x, slope, **kwargs), beside its definition
PAIRS: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    (leaky.leaky_relu, definition.leaky_relu),
    (leaky.leaky_relu_derivative, definition.leaky_relu_derivative),
    (
        lambda x, slope, **kw: leaky.leaky_relu_backward(x[..., ::-1], x, slope, **kw),
        lambda x, slope: definition.leaky_relu_backward(x[..., ::-1], x, slope),
    ),
]
EVERY = pytest.mark.parametrize(("function", "defined"), PAIRS, ids=["forward", "derivative", "backward"])


def assert_same(actual: Any, expected: Any) -> None:
    """Same type, shape and bits: payloads of NaNs and signs of zeros included."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    if actual.dtype == np.longdouble:  # has bytes that mean nothing
        np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected))
    else:
        kind = f"u{actual.itemsize}"
        np.testing.assert_array_equal(
            np.ascontiguousarray(actual).view(kind), np.ascontiguousarray(expected).view(kind)
        )


def sample(dtype: str) -> np.ndarray:
    """Return special values, both signs of each, among ordinary ones."""
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(dtype)
        ordinary = np.random.default_rng(0).normal(size=101).astype(dtype)
        return np.concatenate([special, -special, ordinary])
