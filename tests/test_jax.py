"""The JAX adapter against the definition."""

from functools import partial

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.test_util import check_grads

import leaky
from leaky import definition
from leaky.jax import leaky_relu

INF, NAN = float("inf"), float("nan")
SLOPES = [0.0, 0.01, 0.2, 1.0, 2.0, -0.5, INF]
TINY = np.finfo(np.float32).tiny
ALL_16_BITS = np.arange(2**16, dtype=np.uint16)
ALL_16_BITS_BUT_NAN = {
    dtype: ALL_16_BITS.view(dtype)[~np.isnan(ALL_16_BITS.view(dtype).astype(np.float32))]
    for dtype in (np.float16, ml_dtypes.bfloat16)
}


def assert_same(actual: object, expected: np.ndarray) -> None:
    """Compare bits, but for those of NaN."""
    result = np.asarray(actual)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    numbers = ~np.isnan(expected.astype(np.float64))
    assert np.array_equal(np.isnan(result.astype(np.float64)), ~numbers)
    bits = f"u{expected.itemsize}"
    np.testing.assert_array_equal(result.view(bits)[numbers], expected.view(bits)[numbers])


def flushed(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < TINY, np.copysign(0, x), x).astype(x.dtype)


def as_xla_does(x: np.ndarray, slope: float) -> np.ndarray:
    """Return the definition, but for subnormal numbers, which XLA takes for zeros where it multiplies."""
    wide = x.astype(np.float32)
    with np.errstate(all="ignore"):
        product = flushed(flushed(wide) * np.float32(slope)).astype(x.dtype)
    return np.where(wide > 0, x, product)


def test_the_package_finds_it() -> None:
    assert leaky.jax.leaky_relu is leaky_relu


@pytest.mark.parametrize("wrap", [jax.jit, lambda function: function], ids=["jit", "eager"])
@pytest.mark.parametrize("slope", SLOPES)
def test_float16_is_exact(slope: float, wrap) -> None:
    x = ALL_16_BITS_BUT_NAN[np.float16]
    assert_same(wrap(partial(leaky_relu, negative_slope=slope))(x), definition.leaky_relu(x, slope))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("slope", SLOPES)
def test_bfloat16_is_exact_but_for_subnormals(slope: float, jit: bool) -> None:
    x = ALL_16_BITS_BUT_NAN[ml_dtypes.bfloat16]
    function = partial(leaky_relu, negative_slope=slope)
    # A product with a constant 1 is none, so there is nothing to flush either.
    expected = x if jit and slope == 1 else as_xla_does(x, slope)
    assert_same((jax.jit(function) if jit else function)(x), expected)


@pytest.mark.parametrize("slope", SLOPES)
def test_float32_is_exact_but_for_subnormals(slope: float) -> None:
    patterns = np.arange(0, 2**32, 4093, dtype=np.uint32)
    x = np.concatenate([patterns.view(np.float32), np.float32([0, -0.0, 1e-45, -1e-45, TINY, -TINY, 3e38, -3e38])])
    x = x[~np.isnan(x)]
    y = leaky_relu(x, slope)
    assert_same(y, as_xla_does(x, slope))
    different = np.asarray(y).view(np.uint32) != definition.leaky_relu(x, slope).view(np.uint32)
    different &= ~np.isnan(definition.leaky_relu(x, slope))
    # The difference is confined to negative numbers that are subnormal themselves or make a subnormal product.
    assert np.all(x[different] < 0)
    with np.errstate(all="ignore"):
        product = np.abs(x[different].astype(np.float64) * slope)
    assert np.all((np.abs(x[different]) < TINY) | (product < TINY))


def test_nan_stays_nan() -> None:
    for x in (np.float32([NAN, -NAN]), ALL_16_BITS.view(np.float16)[0x7C01:0x7C10]):
        assert np.isnan(np.asarray(leaky_relu(x))).all()
        assert jax.vmap(jax.grad(leaky_relu))(x).tolist() == [x.dtype.type(0.01)] * len(x)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
@pytest.mark.parametrize("slope", SLOPES)
def test_gradient(dtype: type, slope: float) -> None:
    x = np.array([0.0, -0.0, 2.0, -2.0, INF, -INF], dtype)
    gradient = jax.jit(jax.vmap(jax.grad(partial(leaky_relu, negative_slope=slope))))(x)
    assert_same(gradient, np.where(x > 0, 1, slope).astype(dtype))
    grad = np.array([3.0, -0.0, -0.1, 0.3, 0.0, 1.7], dtype)
    (pulled,) = jax.vjp(partial(leaky_relu, negative_slope=slope), x)[1](grad)
    with np.errstate(all="ignore"):
        wide = grad.astype(np.float32) * np.where(x > 0, 1, slope).astype(np.float32)
        assert_same(pulled, wide.astype(dtype))


def test_gradient_of_subnormals() -> None:
    assert jax.vmap(jax.grad(leaky_relu))(np.float32([1e-45, -1e-45])).tolist() == [1, np.float32(0.01)]


def test_where_jax_itself_differs() -> None:
    assert jax.grad(jax.nn.leaky_relu)(0.0) == 1
    assert jax.grad(leaky_relu)(0.0) == np.float32(0.01)
    x = ALL_16_BITS_BUT_NAN[np.float16]
    assert np.any(np.asarray(jax.nn.leaky_relu(x)) != definition.leaky_relu(x))


@pytest.mark.parametrize("slope", [0.0, 0.2, 3.0, -0.5])
def test_check_grads(slope: float) -> None:
    x = np.float32([[-2, -0.5, 0.5, 2], [3, -3, 1, -1]])
    check_grads(partial(leaky_relu, negative_slope=slope), (x,), order=3, rtol=1e-2, atol=1e-2)
    slopes = np.float32([slope, 0.1, 0.2, 0.3])
    check_grads(leaky_relu, (x, slopes), order=2, rtol=1e-2, atol=1e-2)


def test_second_order() -> None:
    assert jax.grad(jax.grad(leaky_relu))(-2.0) == 0
    assert jax.hessian(lambda x: leaky_relu(x, 0.5) ** 2)(-2.0) == 0.5
    assert jax.grad(jax.grad(leaky_relu), argnums=1)(-2.0, 0.5) == 1
    assert jax.grad(jax.grad(leaky_relu), argnums=1)(2.0, 0.5) == 0


def test_learned_slopes() -> None:
    x = np.float32([[-1, 2], [3, -4]])
    slopes = np.float32([0.5, 0.25])
    assert_same(jax.jit(leaky_relu)(x, slopes), definition.leaky_relu(x, slopes))
    gradient = jax.grad(lambda s: leaky_relu(x, s).sum())(slopes)
    assert gradient.tolist() == [-1, -4]
    assert leaky_relu(np.float32([-1]), slopes).shape == (2,)
    assert jax.vmap(leaky_relu, (0, None))(x, 0.5).tolist() == leaky_relu(x, 0.5).tolist()
    assert leaky_relu(jnp.asarray([-1.0], jnp.bfloat16), slopes).dtype == jnp.bfloat16


@pytest.mark.parametrize("slope", [1e300, np.array([1e300])])
def test_a_slope_beyond_float32_is_infinite_without_a_warning(slope: object) -> None:
    x = np.float32([-1, 2])
    assert_same(leaky_relu(x, slope), definition.leaky_relu(x, slope))


def test_infinities_do_not_spread_to_the_gradient() -> None:
    assert jax.grad(leaky_relu)(-INF) == np.float32(0.01)
    assert jax.jit(jax.grad(leaky_relu))(-INF) == np.float32(0.01)
    assert jax.jvp(leaky_relu, (2.0, INF), (1.0, 1.0))[1] == 1


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, bool])
def test_integers_become_floats(dtype: type) -> None:
    y = leaky_relu(np.array([0, 1], dtype))
    assert y.dtype == jax.nn.leaky_relu(np.array([0, 1], np.int32)).dtype == np.float32
    assert leaky_relu(-2, 0.5) == -1


def test_float64() -> None:
    with jax.enable_x64(True):
        x = np.random.default_rng(0).normal(size=1000)
        assert_same(leaky_relu(x, 0.1), definition.leaky_relu(x, 0.1))
        check_grads(leaky_relu, (x,), order=2)


@pytest.mark.parametrize(
    ("x", "slope", "error", "message"),
    [
        (np.complex64([1]), 0.1, TypeError, "x must hold real numbers, got an array of complex64"),
        (1j, 0.1, TypeError, "x must hold real numbers, got an array of complex64"),
        (1.0, NAN, ValueError, "negative_slope must be a real number, got NaN"),
        (1.0, None, TypeError, "negative_slope must be a real number, got None"),
        (1.0, "0.1", TypeError, "negative_slope must be a real number, got '0.1'"),
        (1.0, True, TypeError, "negative_slope must be a real number, got True"),
        (1.0, np.array([1j]), TypeError, "negative_slope must hold real numbers, got an array of complex128"),
        (1.0, np.array([True]), TypeError, "negative_slope must hold real numbers, got an array of bool"),
    ],
)
def test_errors(x: object, slope: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        leaky_relu(x, slope)
