"""Leaky ReLU, its derivative, its backward pass and its inverse, written down once in plain NumPy.

Readable and slow: the oracle that every kernel and adapter is tested against, bit for bit. It shares no code with them.

Types: float16 is computed in float32, every other float type in itself; integers and bools become the float type that
NumPy's own float functions give them. The slope is held in float64 (in longdouble for longdouble), rounded once to the
type computed in, and the result is rounded once to the type stored in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> Floats:
    """Return ``x`` where ``x > 0``, ``negative_slope * x`` everywhere else: negative numbers, both zeros, NaN."""
    storage, (x,), slope = _prepare([x], negative_slope)
    with np.errstate(all="ignore"):
        return np.where(x > 0, x, x * slope).astype(storage)


def leaky_relu_derivative(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> Floats:
    """Return 1 where ``x > 0``, ``negative_slope`` everywhere else, at 0 too, as PyTorch does."""
    storage, (x,), slope = _prepare([x], negative_slope)
    with np.errstate(all="ignore"):
        return np.where(x > 0, x.dtype.type(1), slope).astype(storage)


def leaky_relu_backward(grad_output: ArrayLike, x: ArrayLike, negative_slope: ArrayLike = 0.01) -> Floats:
    """Return ``grad_output`` where ``x > 0``, ``negative_slope * grad_output`` everywhere else."""
    storage, (grad_output, x), slope = _prepare([grad_output, x], negative_slope)
    with np.errstate(all="ignore"):
        return np.where(x > 0, grad_output, grad_output * slope).astype(storage)


def leaky_relu_inverse(y: ArrayLike, negative_slope: ArrayLike = 0.01) -> Floats:
    """Return ``y`` where ``y > 0``, ``y / negative_slope`` everywhere else. An inverse where the slope is positive."""
    storage, (y,), slope = _prepare([y], negative_slope)
    with np.errstate(all="ignore"):
        return np.where(y > 0, y, y / slope).astype(storage)


def _prepare(operands: list[ArrayLike], negative_slope: ArrayLike) -> tuple[np.dtype[Any], list[Floats], Floats]:
    """Return the type to store in, and the operands and the slope in the type to compute in."""
    arrays = [np.asarray(operand) for operand in operands]
    storage = np.result_type(*[_float_type(array.dtype) for array in arrays])
    compute = np.dtype(np.float32) if storage == np.float16 else storage
    held = np.result_type(np.float64, compute)
    with np.errstate(all="ignore"):  # a slope beyond float32's range becomes infinite
        slope = np.asarray(negative_slope, dtype=held).astype(compute)
        return storage, [array.astype(compute) for array in arrays], slope


def _float_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of ``np.sqrt``'s result: int8 → float16, int16 → float32, int32 → float64, floats unchanged."""
    result: np.dtype[Any] = np.sqrt.resolve_dtypes((dtype, None))[1]
    if not np.issubdtype(result, np.floating):
        raise TypeError(f"Leaky ReLU is defined for real numbers, not for {dtype}")
    return result
