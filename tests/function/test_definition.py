"""The definition against facts written by hand, and bit for bit against PyTorch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from leaky import definition

INF, NAN = np.inf, np.nan
SLOPES = [0.01, 0.0, -0.0, 0.2, 1.0, 3.0, -0.5, 1e-30, 1e30, INF, -INF]
ALL_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def random_bits(kind: str, count: int = 1 << 18) -> np.ndarray:
    """Return floats of random bit patterns, so of every magnitude, with NaNs and subnormals among them."""
    bits = np.random.default_rng(0).integers(0, 256, count * np.dtype(kind).itemsize, dtype=np.uint8)
    return bits.view(kind)


def bits(array: np.ndarray) -> np.ndarray:
    return array.view(f"u{array.itemsize}")


def same(actual: float, expected: float) -> bool:
    """Equal, NaN to NaN, and zeros by their sign."""
    return bool(np.isnan(actual) and np.isnan(expected)) or (
        actual == expected and bool(np.signbit(actual) == np.signbit(expected))
    )


@pytest.mark.parametrize("dtype", "efdg")
@pytest.mark.parametrize(
    ("x", "slope", "forward", "derivative"),
    [
        (2.0, 0.25, 2.0, 1.0),
        (-2.0, 0.25, -0.5, 0.25),
        (0.0, 0.25, 0.0, 0.25),
        (-0.0, 0.25, -0.0, 0.25),
        (0.0, -0.25, -0.0, -0.25),
        (-0.0, -0.25, 0.0, -0.25),
        (NAN, 0.25, NAN, 0.25),
        (INF, 0.25, INF, 1.0),
        (-INF, 0.25, -INF, 0.25),
        (-INF, 0.0, NAN, 0.0),
        (INF, 0.0, INF, 1.0),
        (-2.0, 0.0, -0.0, 0.0),
        (-2.0, -0.5, 1.0, -0.5),
        (-2.0, 3.0, -6.0, 3.0),  # where max(slope * x, x) would give -2
        (2.0, 3.0, 2.0, 1.0),  # and here 6
        (-2.0, INF, -INF, INF),
        (0.0, INF, NAN, INF),
    ],
)
def test_facts(dtype: str, x: float, slope: float, forward: float, derivative: float) -> None:
    value = np.array(x, dtype)
    for actual, expected in (
        (definition.leaky_relu(value, slope), forward),
        (definition.leaky_relu_derivative(value, slope), derivative),
        (definition.leaky_relu_backward(np.array(1, dtype), value, slope), derivative),
    ):
        assert actual.dtype == dtype
        assert same(actual[()], expected)


def test_backward_scales_the_gradient_where_x_is_not_positive() -> None:
    grad = definition.leaky_relu_backward([8.0, 8.0, 8.0, 8.0], [1.0, 0.0, -1.0, NAN], 0.25)
    assert grad.tolist() == [8.0, 2.0, 2.0, 2.0]


def test_inverse() -> None:
    assert definition.leaky_relu_inverse([3.0, 0.0, -0.5, -INF], 0.25).tolist() == [3.0, 0.0, -2.0, -INF]
    assert np.signbit(definition.leaky_relu_inverse(-0.0, 0.25))
    assert np.isnan(definition.leaky_relu_inverse(NAN, 0.25))


def test_float16_slope_is_rounded_to_float32_not_to_float16() -> None:
    x = ALL_HALVES[~np.isnan(ALL_HALVES)]
    rounded_to_half = np.where(x > 0, x, x * np.float16(0.01))
    assert np.count_nonzero(definition.leaky_relu(x, 0.01) != rounded_to_half) == 7_745


def test_slope_is_rounded_once() -> None:
    slope = 1 + 2**-24 + 2**-50  # just above the tie between float32's 1 and the next number
    assert definition.leaky_relu(np.float32(-1), slope) == -np.nextafter(np.float32(1), np.float32(2))
    assert definition.leaky_relu(np.float32(-1), 1e300) == -INF
    assert definition.leaky_relu(np.float64(-1), 1e300) == -1e300


@pytest.mark.parametrize(
    ("given", "expected"),
    [("?", "e"), ("b", "e"), ("B", "e"), ("h", "f"), ("H", "f"), ("i", "d"), ("I", "d"), ("q", "d"), ("Q", "d")],
)
def test_integers_promote_as_numpys_float_functions_do(given: str, expected: str) -> None:
    assert definition.leaky_relu(np.ones(3, given)).dtype == expected == np.sqrt(np.ones(3, given)).dtype.char


def test_slopes_broadcast() -> None:
    x = np.full((2, 3), -1.0, np.float32)
    assert definition.leaky_relu(x, [[0.5], [0.25]]).tolist() == [[-0.5] * 3, [-0.25] * 3]


def test_complex_is_refused() -> None:
    with pytest.raises(TypeError, match="real numbers, not for complex128"):
        definition.leaky_relu([1j])


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("x", [ALL_HALVES, random_bits("f4"), random_bits("f8")], ids=["e", "f", "d"])
def test_pytorch_agrees_bit_for_bit(x: np.ndarray, slope: float) -> None:
    # Gradients without signalling NaNs, which a conversion between float16 and float32 may or may not make quiet.
    grad = np.where(np.isnan(x), x.dtype.type(NAN), x)[::-1].copy()
    x_torch, grad_torch = torch.from_numpy(x.copy()), torch.from_numpy(grad.copy())

    forward = F.leaky_relu(x_torch, slope).numpy()
    assert np.array_equal(bits(definition.leaky_relu(x, slope)), bits(forward))

    backward = torch.ops.aten.leaky_relu_backward(grad_torch, x_torch, slope, False).numpy()
    assert np.array_equal(bits(definition.leaky_relu_backward(grad, x, slope)), bits(backward))

    derivative = torch.ops.aten.leaky_relu_backward(torch.ones_like(x_torch), x_torch, slope, False).numpy()
    assert np.array_equal(bits(definition.leaky_relu_derivative(x, slope)), bits(derivative))
