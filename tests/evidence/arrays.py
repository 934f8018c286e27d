"""Arrays of every type, with whole numbers and special ones, and what the core finds in them."""

import math
from typing import Any

import ml_dtypes
import numpy as np

from leaky import _core
from leaky.evidence import Batch, batch_statistics_at

DTYPES = [np.dtype(name) for name in ("e", "f", "d")] + [np.dtype(ml_dtypes.bfloat16)]

SPECIAL = [math.nan, -math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, -1e-45, 5e-324, 6.0, -1.0, 0.1, 1.0, -3.4e38]


def core(x: np.ndarray, limits: tuple[float, float]) -> Batch:
    """Return what the core finds in an array of four dimensions."""
    assert x.flags.c_contiguous
    samples, before, units, after = x.shape
    return batch_statistics_at(x.ctypes.data, _core.TYPES[x.dtype.name], samples, before, units, after, limits)


def assert_same(actual: Batch, expected: Batch, rounding: float = 0.0) -> None:
    """``rounding`` is that of the sums, relative to the largest of them."""
    assert (actual.samples, actual.positions) == (expected.samples, expected.positions)
    np.testing.assert_array_equal(actual.counts, expected.counts)
    assert actual.extremes.tobytes() == expected.extremes.tobytes()
    largest = max(np.abs(expected.sums[np.isfinite(expected.sums)]).max(initial=0.0), 1.0)
    np.testing.assert_allclose(actual.sums, expected.sums, rtol=rounding, atol=rounding * largest)


def bits(batch: Batch) -> bytes:
    return batch.counts.tobytes() + batch.extremes.tobytes() + batch.sums.tobytes()


def whole_numbers(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


def with_special_values(x: np.ndarray, one_in: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(x.dtype)
    return np.where(random.integers(0, one_in, x.shape) == 0, random.choice(special, x.shape), x)
