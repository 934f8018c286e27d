"""The functions are true ufuncs: out, where, dtype and casting, and foreign arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import leaky
from leaky import _core, definition
from leaky_tests.function.samples import EVERY, FLOATS, NAN, assert_same, sample

UNARY = [leaky.leaky_relu, leaky.leaky_relu_derivative]


def test_they_are_ufuncs() -> None:
    for name in ("leaky_relu", "leaky_relu_derivative", "leaky_relu_backward"):
        assert isinstance(getattr(_core, name), np.ufunc)
        assert getattr(_core, name).__name__ == name


@EVERY
@pytest.mark.parametrize("dtype", FLOATS)
def test_out_and_in_place(function: Callable[..., Any], defined: Callable[..., Any], dtype: str) -> None:
    expected = defined(sample(dtype), 0.1)
    out = np.empty_like(expected)
    assert function(sample(dtype), 0.1, out=out) is out
    assert_same(out, expected)
    x = sample(dtype)
    assert function(x, 0.1, out=(x,)) is x
    assert_same(x, expected)


@pytest.mark.parametrize("offset", [-3, -1, 1, 3])
def test_overlap(offset: int) -> None:
    buffer = np.resize(sample("f"), 1000)
    x, out = buffer[5:900], buffer[5 + offset : 900 + offset]
    expected = definition.leaky_relu(x.copy(), 0.1)
    leaky.leaky_relu(x, 0.1, out=out)
    assert_same(out, expected)


def test_overlap_of_gradient_and_output() -> None:
    grad = np.arange(-50.0, 50.0, dtype=np.float32)
    x = grad[::-1].copy()
    expected = definition.leaky_relu_backward(grad, x, 0.1)
    leaky.leaky_relu_backward(grad, x, 0.1, out=grad)
    assert_same(grad, expected)


@EVERY
def test_where(function: Callable[..., Any], defined: Callable[..., Any]) -> None:
    x = sample("f")
    chosen = np.random.default_rng(1).random(len(x)) < 0.5
    out = np.full_like(x, 7)
    function(x, 0.1, out=out, where=chosen)
    assert_same(out, np.where(chosen, defined(x, 0.1), np.float32(7)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("given_dtype", FLOATS)
def test_dtype_is_what_is_computed_in(dtype: str, given_dtype: str) -> None:
    x = np.array([-3.0, 0.5, 0.0], given_dtype)
    assert_same(leaky.leaky_relu(x, 0.01, dtype=dtype), definition.leaky_relu(x.astype(dtype), 0.01))
    assert_same(
        leaky.leaky_relu_backward(x, x, 0.01, dtype=dtype),
        definition.leaky_relu_backward(x.astype(dtype), x.astype(dtype), 0.01),
    )
    assert leaky.leaky_relu(x, 0.01, dtype=None).dtype == given_dtype


@pytest.mark.parametrize("dtype", [*FLOATS, np.float32, np.dtypes.LongDoubleDType])
@pytest.mark.parametrize("slopes_dtype", [*FLOATS, "i", "b"])
def test_dtype_is_so_whatever_the_slopes_are_in(dtype: Any, slopes_dtype: str) -> None:
    x, slopes = np.array([-3.0, 0.5, 0.0], np.float32), np.array([2, 1, 3], slopes_dtype)
    expected = definition.leaky_relu(np.array([-3.0, 0.5, 0.0], dtype), slopes.astype("d"))
    assert_same(leaky.leaky_relu(x, slopes, dtype=dtype), expected)
    assert_same(leaky.leaky_relu_backward(x, x, slopes, dtype=dtype), expected)


def test_casting_is_obeyed() -> None:
    x = np.ones(3)
    with pytest.raises(TypeError, match="safe"):
        leaky.leaky_relu(x, out=np.empty(3, np.float32), casting="safe")
    with pytest.raises(TypeError, match="same_kind"):
        leaky.leaky_relu(x, out=np.empty(3, np.int64))


class Metres(np.lib.mixins.NDArrayOperatorsMixin):
    """A foreign array type, as pandas' and xarray's are."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> "Metres":
        return Metres(getattr(ufunc, method)(*[i.values if isinstance(i, Metres) else i for i in inputs], **kwargs))


def test_foreign_arrays_stay_what_they_are() -> None:
    for function in UNARY:
        result = function(Metres(sample("f")), 0.1)
        assert isinstance(result, Metres)
        assert_same(result.values, function(sample("f"), 0.1))
    result = leaky.leaky_relu_backward(Metres(sample("f")), sample("f"), Metres([0.1]))
    assert isinstance(result, Metres)
    assert isinstance(leaky.leaky_relu_inverse(Metres(sample("f")), 0.1), Metres)


def test_masked_arrays_keep_their_mask() -> None:
    x = np.ma.array([-1.0, NAN, 3.0], mask=[False, True, False])
    result = leaky.leaky_relu(x, 0.5)
    assert isinstance(result, np.ma.MaskedArray)
    assert result.tolist() == [-0.5, None, 3.0]


def test_subclasses_are_kept() -> None:
    class Sub(np.ndarray):
        pass

    assert isinstance(leaky.leaky_relu(sample("f").view(Sub)), Sub)
    assert type(leaky.leaky_relu(sample("f").view(Sub), subok=False)) is np.ndarray
