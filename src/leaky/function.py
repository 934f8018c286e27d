"""Leaky ReLU for NumPy: a friendly layer over the ufuncs of ``leaky._core``.

::

    y = x                    where x > 0
    y = negative_slope * x   everywhere else: negative numbers, both zeros, NaN

Source: Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013; with an array of
learned slopes it is PReLU: He, Zhang, Ren, Sun, "Delving deep into rectifiers", 2015.

Common to all functions here, unless they say otherwise:

Types. float16, float32, float64, longdouble and ml_dtypes' bfloat16 keep their type, whatever the slope's: the slope is
held in float64, rounded once to the type computed in (float32 for the types of 16 bits, else the type itself; a slope
beyond float32's range becomes infinite), and the result is rounded once. Integers and bools become what NumPy's own float functions make of them:
int8 → float16, int16 → float32, int32 → float64. An array of longdouble slopes gives longdouble. A Python number gives
a NumPy scalar.

Slopes. A real number, or an array of them that broadcasts with ``x``. Negative, above 1 and infinite ones follow the
formula. At slope 0 an input of −∞ gives NaN (0 · ∞), as in PyTorch.

Warnings. None: NaN, overflow and 0 · ∞ pass silently.

Modes. The caller's flush-to-zero and rounding modes change nothing in the functions' own arithmetic. Where operands or
``out`` are of different types, NumPy's conversions between them follow the caller's modes.

Keywords. ``out`` and all further keywords are a NumPy ufunc's: ``where``, ``dtype``, ``casting``, ``order``,
``subok``. Types with ``__array_ufunc__`` (masked arrays, pandas, xarray, dask) stay what they are.

Errors. ``TypeError`` where the slope or an operand is not real (None, text, complex, objects; a bool is no slope),
``ValueError`` where the slope is NaN or a Python integer among the operands is beyond NumPy's range. NaN is not looked
for in slopes of foreign array types, which may be lazy.
"""

from __future__ import annotations

import math
import numbers
import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaky import _core
from leaky.wording import shown


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01, out: Any = None, **ufunc_kwargs: Any) -> Any:
    """Return ``x`` where ``x > 0``, ``negative_slope * x`` everywhere else.

    Args:
        x: real numbers, of any shape.
        negative_slope: a real number, or an array of them that broadcasts with ``x`` (PReLU). A scalar of any real
            type, ``np.float64`` too, counts as a Python float: float32 ``x`` stays float32.
        out: an array, or a tuple of one, to write to; may be ``x`` itself.
        **ufunc_kwargs: a ufunc's, such as ``where``, ``dtype`` or ``casting``.

    Returns:
        An array of the broadcast shape, or a NumPy scalar; of ``x``'s type if that is a float type.

    Raises:
        TypeError: ``x`` or the slope is not real, or ``out`` cannot hold the result.
        ValueError: the slope is NaN, or shapes do not broadcast.
    """
    if not ufunc_kwargs and (result := _core.plain_leaky_relu(x, negative_slope, out)) is not None:
        return result
    return _call(_core.leaky_relu, {"x": x}, negative_slope, out, ufunc_kwargs)


def leaky_relu_derivative(x: ArrayLike, negative_slope: ArrayLike = 0.01, out: Any = None, **ufunc_kwargs: Any) -> Any:
    """Return the derivative of :func:`leaky_relu` at ``x``: 1 where ``x > 0``, ``negative_slope`` everywhere else.

    At 0 there is no derivative; the slope is returned, as in PyTorch (JAX returns 1). At NaN, too, it is the slope.
    Arguments, types and errors are those of :func:`leaky_relu`.
    """
    if not ufunc_kwargs and (result := _core.plain_leaky_relu_derivative(x, negative_slope, out)) is not None:
        return result
    return _call(_core.leaky_relu_derivative, {"x": x}, negative_slope, out, ufunc_kwargs)


def leaky_relu_backward(
    grad_output: ArrayLike, x: ArrayLike, negative_slope: ArrayLike = 0.01, out: Any = None, **ufunc_kwargs: Any
) -> Any:
    """Return the gradient by ``x``: ``grad_output`` where ``x > 0``, ``negative_slope * grad_output`` everywhere else.

    ``grad_output`` is the gradient by the output of :func:`leaky_relu`, ``x`` that function's input (not its output);
    they broadcast, and promote to a common type. All else is as in :func:`leaky_relu`.
    """
    if (
        not ufunc_kwargs
        and (result := _core.plain_leaky_relu_backward(grad_output, x, negative_slope, out)) is not None
    ):
        return result
    operands = {"grad_output": grad_output, "x": x}
    return _call(_core.leaky_relu_backward, operands, negative_slope, out, ufunc_kwargs)


def sign_mask(x: ArrayLike) -> NDArray[np.uint8]:
    """Return one bit per element of ``x``, 1 where ``x > 0``: all that backward needs to know of the input.

    Args:
        x: real numbers, of any shape.

    Returns:
        uint8 of shape (ceil(x.size / 8),): the elements in C order, the first in the lowest bit, the last byte filled
        up with 0. The same as ``np.packbits(x > 0, bitorder="little")``.

    Raises:
        TypeError: ``x`` is not real, or a masked array.
    """
    array = _bare_array("x", x)
    native = array.dtype.newbyteorder("=")
    if (code := _kernels_type(native)) is None:
        return np.packbits(array > 0, bitorder="little")
    array = np.require(array, native, ["C", "A"])
    mask = np.empty(-(-array.size // 8), np.uint8)
    _core.mask(array.ctypes.data, mask.ctypes.data, array.size, code)
    return mask


def leaky_relu_backward_from_mask(
    grad_output: ArrayLike, mask: NDArray[np.uint8], negative_slope: float = 0.01, *, out: Any = None
) -> Any:
    """Return :func:`leaky_relu_backward`, given not the input ``x`` itself but ``sign_mask(x)``.

    Args:
        grad_output: the gradient by the output of :func:`leaky_relu`, in ``x``'s shape.
        mask: uint8 of shape (ceil(grad_output.size / 8),), as :func:`sign_mask` gives it.
        negative_slope: one real number.
        out: an array of ``grad_output``'s shape to write to; may be ``grad_output`` itself, and overlap it or the mask.

    Raises:
        TypeError: an argument is not of the type said here, or a masked array.
        ValueError: the mask or ``out`` has not the shape said here, or the slope is NaN.
    """
    slope = real_slope(negative_slope)
    grad = _bare_array("grad_output", grad_output)
    _check_mask(mask, grad.size)
    if out is not None and (not isinstance(out, np.ndarray) or out.shape != grad.shape):
        raise ValueError(f"out must be an array of shape {grad.shape}, got {shown(out)}")
    if (code := _kernels_type(grad.dtype)) is None:
        signs = np.unpackbits(mask, count=grad.size, bitorder="little").reshape(grad.shape)
        return leaky_relu_backward(grad, signs, slope, out)
    # A strided gradient is copied once: then the kernel can work in the copy.
    plain = np.require(grad, requirements=["C", "A"])
    result = out if out is not None and _can_hold(out, plain, mask) else np.empty_like(plain)
    mask = np.ascontiguousarray(mask)
    _core.backward_from_mask(plain.ctypes.data, mask.ctypes.data, result.ctypes.data, grad.size, code, slope)
    if out is None:
        return result if result.ndim else result[()]
    if out is not result:
        np.copyto(out, result)
    return out


def set_num_threads(n: int) -> None:
    """Share runs over large arrays among ``n`` threads, the calling one included. No result depends on it.

    At first it is ``LEAKY_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the number of cores this process may use.

    Raises:
        TypeError: ``n`` is not an integer.
        ValueError: it is below 1.
    """
    if isinstance(n, bool) or not isinstance(n, numbers.Integral):
        raise TypeError(f"n must be a number of threads, got {shown(n)}")
    if n < 1:
        raise ValueError(f"n must be a number of threads above 0, got {shown(n)}")
    _core.set_num_threads(int(n))


def get_num_threads() -> int:
    """Return among how many threads runs over large arrays are shared."""
    return _core.get_num_threads()


def leaky_relu_inverse(y: ArrayLike, negative_slope: ArrayLike = 0.01) -> Any:
    """Return the ``x`` of which ``y`` is the Leaky ReLU: ``y`` where ``y > 0``, ``y / negative_slope`` everywhere else.

    Exact where ``y > 0`` and at both zeros. Elsewhere it is the quotient, correctly rounded in the type computed in:
    within rounding of the ``x`` that ``y`` came from, and no nearer, since ``negative_slope * x`` was rounded itself.
    What underflowed to -0.0 on the way comes back as -0.0. A positive slope so small or large that the type computed in
    rounds it to 0 or infinity divides as such.

    Types are those of :func:`leaky_relu`.

    Raises:
        TypeError: ``y`` or the slope is not real.
        ValueError: the slope is not above 0 and finite, so that there is no inverse.
    """
    slope = _slope(negative_slope)
    if not np.all((slope > 0) & (slope < np.inf)):
        raise ValueError(f"negative_slope must be above 0 and finite to have an inverse, got {shown(negative_slope)}")
    return _call(_core.leaky_relu_inverse, {"y": y}, slope, None, {})


def gain(negative_slope: float = 0.01) -> float:
    """Return the gain for initialisation that keeps the variance through Leaky ReLU: sqrt(2 / (1 + negative_slope²)).

    Weights of standard deviation gain / sqrt(fan_in) keep the mean square of a layer's input (He et al. 2015, eq. 15).

    Raises:
        TypeError: the slope is not a real number.
        ValueError: it is NaN.
    """
    slope = real_slope(negative_slope)
    return math.sqrt(2.0 / (1.0 + slope * slope))


def real_slope(negative_slope: Any) -> float:
    """Return one slope as a float, or raise: ``TypeError`` if it is not a real number, ``ValueError`` if it is NaN."""
    if isinstance(negative_slope, np.ndarray) and negative_slope.ndim == 0:
        negative_slope = negative_slope[()]
    is_real = isinstance(negative_slope, numbers.Real) or (
        isinstance(negative_slope, np.generic) and _is_bfloat16(negative_slope.dtype)
    )
    if isinstance(negative_slope, bool) or not is_real:
        raise TypeError(f"negative_slope must be a real number, got {shown(negative_slope)}")
    try:
        slope = float(negative_slope)
    except OverflowError:
        raise ValueError("negative_slope must be within the range of float64, got a number beyond it") from None
    if math.isnan(slope):
        raise ValueError("negative_slope must be a real number, got NaN")
    return slope


def _call(ufunc: np.ufunc, operands: dict[str, Any], negative_slope: Any, out: Any, kwargs: dict[str, Any]) -> Any:
    checked = [_operand(name, value) for name, value in operands.items()]
    if kwargs.get("dtype") is not None and "signature" not in kwargs:
        # To a ufunc, dtype is the output's type alone, which the inputs may then not reach. The slope's is the loop's.
        dtype = kwargs.pop("dtype")
        slopes = np.longdouble if np.empty(0, dtype).dtype == np.longdouble else np.float64
        kwargs["signature"] = (*[dtype] * len(checked), slopes, dtype)
    return ufunc(*checked, _slope(negative_slope), out=out, **kwargs)


def _operand(name: str, value: Any) -> Any:
    """Return ``value`` unchanged, or as an array if it is a sequence, once it is known to be real."""
    array = _as_array(name, value)
    if not _has_kind(array, "biuf"):
        if isinstance(array, np.ndarray) and any(isinstance(v, int) and not -(2**63) <= v < 2**64 for v in array.flat):
            raise ValueError(f"{name} must hold integers within the range of int64, or floats, got one beyond it")
        raise TypeError(f"{name} must hold real numbers, got {shown(value)}")
    # A Python number stays one: it takes on the type of the other operands.
    return value if isinstance(value, bool | int | float) else array


def _bare_array(name: str, value: Any) -> NDArray[Any]:
    """Return the operand as a plain array, once it is known that nothing is lost by that."""
    ma = sys.modules.get("numpy.ma")  # which NumPy imports where it is used
    if ma is not None and isinstance(value, ma.MaskedArray):
        raise TypeError(
            f"{name} must be an array without masked elements, for which there are no bits, got a masked array"
        )
    return np.asarray(_operand(name, value))


def _slope(negative_slope: Any) -> Any:
    """Return the slope as a float, or as the array of slopes that it is."""
    slopes = _as_array("negative_slope", negative_slope)
    if getattr(slopes, "ndim", 1) == 0:
        return real_slope(negative_slope)
    if not _has_kind(slopes, "iuf"):
        raise TypeError(f"negative_slope must hold real numbers, got {shown(negative_slope)}")
    if isinstance(slopes, np.ndarray) and np.isnan(slopes).any():
        raise ValueError("negative_slope must hold real numbers, got an array with NaN")
    return slopes


def _as_array(name: str, value: Any) -> Any:
    if hasattr(value, "__array_ufunc__") or hasattr(value, "__array__"):
        return value
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{name} must be an array of real numbers, got {shown(value)}") from None


def _has_kind(array: Any, kinds: str) -> bool:
    """Say whether the array's type is one of these kinds; types that are not NumPy's are left for the ufunc to judge."""
    dtype = getattr(array, "dtype", None)
    return dtype.kind in kinds or _is_bfloat16(dtype) if isinstance(dtype, np.dtype) else True


def _kernels_type(dtype: np.dtype[Any]) -> int | None:
    """Return the number by which the core's kernels know the type, or None if there are none for it."""
    return _core.TYPES.get(dtype.name) if dtype.isnative else None


def _can_hold(out: NDArray[Any], grad: NDArray[Any], mask: NDArray[np.uint8]) -> bool:
    """Say whether a kernel can write its result for ``grad`` and ``mask`` straight to ``out``."""
    if out.dtype != grad.dtype or not (out.flags.carray and out.dtype.isnative):
        return False
    return (out is grad or not np.may_share_memory(out, grad)) and not np.may_share_memory(out, mask)


def _check_mask(mask: Any, count: int) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8:
        raise TypeError(f"mask must be an array of uint8, got {shown(mask)}")
    if mask.shape != (-(-count // 8),):
        raise ValueError(f"mask must be of shape ({-(-count // 8)},) for {count} elements, got {mask.shape}")


def _is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Say whether it is ml_dtypes' bfloat16, and see to it that the ufuncs know it then.

    Who has such an array has loaded ml_dtypes: it is not for us to import.
    """
    ml_dtypes = sys.modules.get("ml_dtypes")
    if ml_dtypes is None or dtype != ml_dtypes.bfloat16:
        return False
    _core.register_bfloat16(dtype)
    return True
