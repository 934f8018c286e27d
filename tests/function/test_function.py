"""The functions against the definition, bit for bit: all halves, special values, any layout, slope and length."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import leaky
from leaky import definition
from leaky_tests.function.samples import ALL_HALVES, EVERY, FLOATS, SLOPES, SPECIAL, assert_same, sample


@EVERY
@pytest.mark.parametrize("slope", SLOPES)
def test_all_halves(function: Callable[..., Any], defined: Callable[..., Any], slope: float) -> None:
    # Not the signalling NaNs: whether NumPy's own conversion makes them quiet depends on the machine.
    halves = ALL_HALVES[~np.isnan(ALL_HALVES) | (ALL_HALVES.view(np.uint16) & 0x200 != 0)]
    assert_same(function(halves, slope), defined(halves, slope))


@EVERY
@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values(function: Callable[..., Any], defined: Callable[..., Any], dtype: str, slope: float) -> None:
    assert_same(function(sample(dtype), slope), defined(sample(dtype), slope))


SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=9)


@st.composite
def strided(draw: st.DrawFn) -> np.ndarray:
    """Draw an array of any float type, contiguous or not: stepped, reversed, transposed, broadcast, unaligned, swapped."""
    dtype = np.dtype(draw(st.sampled_from(FLOATS)))
    width = {2: 16, 4: 32}.get(dtype.itemsize, 64)
    values = st.one_of(
        st.floats(width=width, allow_nan=True),
        st.sampled_from([v for value in np.array(SPECIAL[:2] + SPECIAL[-2:]) for v in (value, -value)]),
    )
    array = draw(hnp.arrays(dtype, draw(SHAPES), elements=values))
    array = array[draw(hnp.basic_indices(array.shape, min_dims=1, allow_newaxis=True))]
    layout = draw(st.sampled_from(["as is", "transposed", "broadcast", "unaligned", "swapped"]))
    if layout == "transposed":
        return array.T
    if layout == "broadcast":
        return np.broadcast_to(array, (3, *array.shape))
    if layout == "unaligned":
        buffer = np.zeros(array.nbytes + 1, np.uint8)
        unaligned = buffer[1:].view(dtype).reshape(array.shape)
        unaligned[...] = array
        return unaligned
    return array.astype(dtype.newbyteorder()) if layout == "swapped" else array


@EVERY
@given(x=strided(), slope=st.floats(allow_nan=False))
def test_any_layout_any_slope(
    function: Callable[..., Any], defined: Callable[..., Any], x: np.ndarray, slope: float
) -> None:
    assert_same(function(x, slope), defined(x, slope))


@given(data=st.data())
@pytest.mark.parametrize("slope_dtype", ["e", "f", "d", "i"])
def test_slopes_broadcast(data: st.DataObject, slope_dtype: str) -> None:
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, min_dims=1, max_dims=3, max_side=5)).input_shapes
    x = data.draw(hnp.arrays(data.draw(st.sampled_from("efd")), shapes[0]))
    elements = None if slope_dtype == "i" else {"allow_nan": False}
    slopes = data.draw(hnp.arrays(slope_dtype, shapes[1], elements=elements))
    assert_same(leaky.leaky_relu(x, slopes), definition.leaky_relu(x, slopes))


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_operand_has_its_own_stride(dtype: str) -> None:
    grad, x, out = np.resize(sample(dtype), 300)[::3], np.resize(sample(dtype), 200)[::-2], np.empty(500, dtype)[::5]
    slopes = np.linspace(-1, 2, 700)[::7]
    leaky.leaky_relu_backward(grad, x, slopes, out=out)
    assert_same(out, definition.leaky_relu_backward(grad, x, slopes))
    leaky.leaky_relu_derivative(x, slopes, out=out)
    assert_same(out, definition.leaky_relu_derivative(x, slopes))
    leaky.leaky_relu(x, slopes, out=out)
    assert_same(out, definition.leaky_relu(x, slopes))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 8191, 8192, 8193, 100_000])
@pytest.mark.parametrize("dtype", FLOATS)
def test_any_length(count: int, dtype: str) -> None:
    x = np.resize(sample(dtype), count)
    assert_same(leaky.leaky_relu(x, 0.1), definition.leaky_relu(x, 0.1))


def test_defaults() -> None:
    assert leaky.leaky_relu(-1.0) == -0.01
    assert leaky.leaky_relu_derivative(0.0) == 0.01
    assert leaky.leaky_relu_backward(2.0, -1.0) == 0.02
    assert leaky.leaky_relu_inverse(-0.01) == -1.0
