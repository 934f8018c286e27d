"""Sign masks against ``np.packbits``, and the backward pass from them against the one from the input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import leaky
from leaky import definition

DTYPES = ["e", "f", "d", "g", "b", "I", "?", ">f4"]


def same_bits(actual: Any, expected: Any) -> bool:
    """Say whether type, shape and every bit are the same; of longdouble, whose bytes have gaps, the values."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.dtype == np.longdouble:
        return actual.dtype == expected.dtype and np.array_equal(actual, expected, equal_nan=True)
    return (actual.dtype, actual.shape) == (expected.dtype, expected.shape) and actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_sign_mask_is_packbits(dtype: str, data: st.DataObject) -> None:
    x = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_side=20, min_side=0)))
    if x.ndim:
        x = data.draw(st.sampled_from([x, x.T, x[::2], x[..., ::-1]]))
    mask = leaky.sign_mask(x)
    assert same_bits(mask, np.packbits(x > 0, bitorder="little"))


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_backward_from_mask_is_backward(dtype: str, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(max_side=20, min_side=0))
    x, grad = data.draw(hnp.arrays(dtype, shape)), data.draw(hnp.arrays(dtype, shape))
    x, grad = data.draw(st.sampled_from([(x, grad), (x.T, grad.T), (x[::2], grad[::2])]))
    slope = data.draw(st.sampled_from([0.01, 0.0, -0.5, 2.0]))
    expected = definition.leaky_relu_backward(grad, x, slope)
    mask = leaky.sign_mask(x)
    assert same_bits(leaky.leaky_relu_backward_from_mask(grad, mask, slope), expected)
    out = np.empty_like(expected)
    assert leaky.leaky_relu_backward_from_mask(grad, mask, slope, out=out) is out
    assert same_bits(out, expected)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1_000_003])
def test_in_place_and_over_itself(count: int) -> None:
    x, grad = np.random.default_rng(count).standard_normal((2, count + 3), dtype=np.float32)
    x, mask = x[:count], leaky.sign_mask(x[:count])
    for start in (0, 3):
        buffer = grad.copy()
        given, out = buffer[:count], buffer[start : start + count]
        expected = definition.leaky_relu_backward(given.copy(), x, 0.1)
        leaky.leaky_relu_backward_from_mask(given, mask, 0.1, out=out)
        assert same_bits(out, expected)


@pytest.mark.parametrize("at", [0, 1000, 4096 * 4 - 512])
def test_over_the_mask(at: int) -> None:
    x, grad = np.random.default_rng(at).standard_normal((2, 4096), dtype=np.float32)
    out = np.zeros(4096, np.float32)
    mask = out.view(np.uint8)[at : at + 512]
    mask[:] = leaky.sign_mask(x)
    leaky.leaky_relu_backward_from_mask(grad, mask, 0.1, out=out)
    assert same_bits(out, definition.leaky_relu_backward(grad, x, 0.1))


def test_numbers_and_lists() -> None:
    assert leaky.sign_mask([1, -1, 0, 2]).tolist() == [0b1001]
    assert leaky.leaky_relu_backward_from_mask([1.0, 1.0], np.array([2], np.uint8), 0.5).tolist() == [0.5, 1.0]
    assert isinstance(leaky.leaky_relu_backward_from_mask(1.0, leaky.sign_mask(3.0)), np.float64)


def test_a_strided_mask() -> None:
    mask = np.arange(10, dtype=np.uint8)
    grad = np.ones(40, np.float32)
    expected = leaky.leaky_relu_backward_from_mask(grad, mask[::2].copy())
    assert same_bits(leaky.leaky_relu_backward_from_mask(grad, mask[::2]), expected)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones(9), np.zeros(2)), TypeError, "mask must be an array of uint8, got an array of float64"),
        ((np.ones(9), [0, 0]), TypeError, r"mask must be an array of uint8, got \[0, 0\]"),
        ((np.ones(9), np.zeros(1, "B")), ValueError, r"mask must be of shape \(2,\) for 9 elements, got \(1,\)"),
        ((np.ones(9), np.zeros((2, 1), "B")), ValueError, r"mask must be of shape \(2,\) for 9 elements, got \(2, 1\)"),
        ((np.ones(9), np.zeros(2, "B"), np.nan), ValueError, "negative_slope must be a real number, got NaN"),
        ((np.ones(9), np.zeros(2, "B"), [0.1]), TypeError, r"negative_slope must be a real number, got \[0.1\]"),
        (
            (np.ones(9, complex), np.zeros(2, "B")),
            TypeError,
            "grad_output must hold real numbers, got an array of comp",
        ),
    ],
)
def test_errors(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        leaky.leaky_relu_backward_from_mask(*arguments)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("out", [np.ones(8), np.ones((3, 9)), (np.ones(9),), [0.0] * 9])
def test_bad_outs(dtype: str, out: Any) -> None:
    with pytest.raises(ValueError, match=r"^out must be an array of shape \(9,\), got "):
        leaky.leaky_relu_backward_from_mask(np.ones(9, dtype), np.zeros(2, np.uint8), out=out)


def test_errors_of_out_and_x() -> None:
    grad, mask = np.ones(9), np.zeros(2, np.uint8)
    with pytest.raises(TypeError, match="same_kind"):
        leaky.leaky_relu_backward_from_mask(grad, mask, out=np.ones(9, int))
    with pytest.raises(TypeError, match=r"^x must hold real numbers, got 'a'$"):
        leaky.sign_mask("a")


def test_masked_arrays_are_refused() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    message = "must be an array without masked elements, for which there are no bits, got a masked array"
    with pytest.raises(TypeError, match=f"^x {message}$"):
        leaky.sign_mask(masked)
    with pytest.raises(TypeError, match=f"^grad_output {message}$"):
        leaky.leaky_relu_backward_from_mask(masked, np.zeros(1, np.uint8))
