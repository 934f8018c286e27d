"""The inverse undoes the function, and the gain keeps the mean square."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import leaky
from leaky import definition
from leaky_tests.function.samples import FLOATS, INF, assert_same, sample


@pytest.mark.parametrize("slope", [0.01, 0.5, 3.0, 1e-30, 1e30])
@pytest.mark.parametrize("dtype", FLOATS)
def test_inverse_is_as_defined(dtype: str, slope: float) -> None:
    assert_same(leaky.leaky_relu_inverse(sample(dtype), slope), definition.leaky_relu_inverse(sample(dtype), slope))


@given(x=hnp.arrays("d", 5, elements=st.floats(-1e100, 1e100)), slope=st.floats(1e-3, 1e3))
def test_inverse_undoes_leaky_relu(x: np.ndarray, slope: float) -> None:
    back = leaky.leaky_relu_inverse(leaky.leaky_relu(x, slope), slope)
    assert np.array_equal(back[x > 0], x[x > 0])
    ordinary = (x <= 0) & ((x == 0) | (np.abs(x) > 1e-290))
    np.testing.assert_allclose(back[ordinary], x[ordinary], rtol=4 * np.finfo(float).eps, atol=0)


@pytest.mark.parametrize("slope", [0, -0.5, INF, [0.1, 0.0]])
def test_inverse_wants_a_positive_finite_slope(slope: Any) -> None:
    with pytest.raises(ValueError, match=r"^negative_slope must be above 0 and finite to have an inverse, got "):
        leaky.leaky_relu_inverse([1.0, 2.0], slope)


@pytest.mark.parametrize(
    ("slope", "expected"), [(0, 1.414214), (0.01, 1.414143), (0.1, 1.407195), (0.2, 1.386750), (0.25, 1.371989)]
)
def test_gain_of_he_et_al(slope: float, expected: float) -> None:
    assert leaky.gain(slope) == pytest.approx(expected, abs=5e-7)


@given(st.floats(-100, 100))
@settings(max_examples=25)
def test_gain_keeps_the_mean_square(slope: float) -> None:
    z = np.linspace(-12, 12, 20_001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    mean_square = float(np.trapezoid(leaky.leaky_relu(z, slope) ** 2 * density, z))
    assert leaky.gain(slope) ** 2 * mean_square == pytest.approx(1, rel=1e-6)


def test_gain_at_the_ends() -> None:
    assert leaky.gain() == leaky.gain(0.01) == leaky.gain(-0.01)
    assert leaky.gain(1) == 1
    assert leaky.gain(1e300) == leaky.gain(INF) == 0
