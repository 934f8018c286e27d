"""Bad input gets one line that names the argument, the value and what was expected."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import leaky
from leaky import _core

NAN = np.nan
UNARY = [leaky.leaky_relu, leaky.leaky_relu_derivative]
CALLS = {
    "forward": lambda x, slope: leaky.leaky_relu(x, slope),
    "derivative": lambda x, slope: leaky.leaky_relu_derivative(x, slope),
    "backward": lambda x, slope: leaky.leaky_relu_backward(1.0, x, slope),
    "gain": lambda x, slope: leaky.gain(slope),
    "inverse": lambda x, slope: leaky.leaky_relu_inverse(x, slope),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("slope", "error", "message"),
    [
        (NAN, ValueError, "must be a real number, got NaN"),
        (np.float32(NAN), ValueError, "must be a real number, got NaN"),
        (10**400, ValueError, "must be within the range of float64, got a number beyond it"),
        (None, TypeError, "must be a real number, got None"),
        ("0.1", TypeError, "must be a real number, got '0.1'"),
        (0.1j, TypeError, "must be a real number, got 0.1j"),
        (True, TypeError, "must be a real number, got True"),
        (Decimal("0.1"), TypeError, r"must be a real number, got Decimal\('0.1'\)"),
    ],
)
def test_bad_slopes(call: str, slope: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^negative_slope {message}$"):
        CALLS[call](np.ones(3), slope)


@pytest.mark.parametrize("call", [name for name in CALLS if name != "gain"])
@pytest.mark.parametrize(
    ("slopes", "error", "message"),
    [
        ([0.1, NAN, 0.2], ValueError, "negative_slope must hold real numbers, got an array with NaN"),
        ([0.1, 1j], TypeError, r"negative_slope must hold real numbers, got \[0.1, 1j\]"),
        (np.array([True]), TypeError, "negative_slope must hold real numbers, got an array of bool"),
        (["a", "b"], TypeError, r"negative_slope must hold real numbers, got \['a', 'b'\]"),
        ([[1], [1, 2]], ValueError, r"negative_slope must be an array of real numbers, got \[\[1\], \[1, 2\]\]"),
    ],
)
def test_bad_arrays_of_slopes(call: str, slopes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        CALLS[call](np.ones(3), slopes)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (None, TypeError, "must hold real numbers, got None"),
        ("text", TypeError, "must hold real numbers, got 'text'"),
        (1j, TypeError, "must hold real numbers, got 1j"),
        (np.ones(2, complex), TypeError, "must hold real numbers, got an array of complex128"),
        (np.array([1.0, None]), TypeError, "must hold real numbers, got an array of object"),
        (np.array(["a"]), TypeError, "must hold real numbers, got an array of <U1"),
        (np.array(["2020"], "M8[Y]"), TypeError, r"must hold real numbers, got an array of datetime64\[Y\]"),
        (10**30, ValueError, "must hold integers within the range of int64, or floats, got one beyond it"),
        (-(10**400), ValueError, "must hold integers within the range of int64, or floats, got one beyond it"),
        ([0.5, 2**64], ValueError, "must hold integers within the range of int64, or floats, got one beyond it"),
        ([[1], [1, 2]], ValueError, r"must be an array of real numbers, got \[\[1\], \[1, 2\]\]"),
    ],
)
def test_bad_operands(x: Any, error: type[Exception], message: str) -> None:
    for function in UNARY:
        with pytest.raises(error, match=f"^x {message}$"):
            function(x)
    with pytest.raises(error, match=f"^y {message}$"):
        leaky.leaky_relu_inverse(x)
    with pytest.raises(error, match=f"^x {message}$"):
        leaky.leaky_relu_backward(1.0, x)
    with pytest.raises(error, match=f"^grad_output {message}$"):
        leaky.leaky_relu_backward(x, 1.0)


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"could not be broadcast together with shapes \(3,\) \(2,\)"):
        leaky.leaky_relu(np.ones(3), [0.1, 0.2])


@pytest.mark.parametrize("ufunc", [_core.leaky_relu, _core.leaky_relu_derivative, _core.leaky_relu_inverse])
def test_the_core_has_no_loop_for_complex(ufunc: np.ufunc) -> None:
    with pytest.raises(TypeError, match="not supported for the input types"):
        ufunc(1j, 0.1)
