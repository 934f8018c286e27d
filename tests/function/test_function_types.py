"""The types that the functions return, for every type of numbers and slopes."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import leaky
from leaky import definition
from leaky_tests.function.samples import FLOATS, assert_same


@pytest.mark.parametrize("slope", [0.01, np.float64(0.01), np.longdouble(0.01), np.array(0.01), 1, Fraction(1, 100)])
@pytest.mark.parametrize("dtype", "?bBhHiIqQ" + FLOATS)
def test_a_scalar_slope_does_not_change_the_type(dtype: str, slope: Any) -> None:
    x = np.array([0, 1, 1]).astype(dtype)
    expected = definition.leaky_relu(x, float(slope))
    assert expected.dtype == np.sqrt(x).dtype
    assert_same(leaky.leaky_relu(x, slope), expected)
    assert_same(leaky.leaky_relu_derivative(x, slope), definition.leaky_relu_derivative(x, float(slope)))
    assert_same(leaky.leaky_relu_backward(x, x, slope), definition.leaky_relu_backward(x, x, float(slope)))


def test_negative_integers() -> None:
    assert_same(leaky.leaky_relu(np.array([-3, 3], np.int8), 0.5), np.array([-1.5, 3], np.float16))


@pytest.mark.parametrize(("x", "expected"), [(-3.0, np.float64(-1.5)), (-3, np.float64(-1.5)), (True, np.float16(1))])
def test_python_numbers_give_numpy_scalars(x: Any, expected: Any) -> None:
    result = leaky.leaky_relu(x, 0.5)
    assert isinstance(result, np.generic)
    assert_same(result, expected)


def test_a_python_number_takes_the_other_operands_type() -> None:
    x = np.array([-1.0, 1.0], np.float32)
    assert_same(leaky.leaky_relu_backward(2.0, x, 0.5), np.array([1, 2], np.float32))


def test_lists() -> None:
    assert leaky.leaky_relu([[-1, 2], [3, -4]], [0.5, 0.25]).tolist() == [[-0.5, 2], [3, -1]]
