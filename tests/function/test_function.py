"""The ufuncs and their wrappers against the definition, bit for bit."""

import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import leaky
from leaky import _core, definition

INF, NAN = np.inf, np.nan
SLOPES = [0.01, 0.0, -0.0, 0.2, 1.0, 3.0, -0.5, 1e-30, 1e30, 1e-300, 1e300, INF, -INF]
ALL_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
SPECIAL = [0.0, 1.0, 5e-324, 1e-45, 1e-40, 6e-8, 1e-5, 65504.0, 65519.0, 3e38, 1e308, INF, NAN]
FLOATS = "efdg"

UNARY = [leaky.leaky_relu, leaky.leaky_relu_derivative]
# every function as one of (x, slope, **kwargs), beside its definition
PAIRS: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    (leaky.leaky_relu, definition.leaky_relu),
    (leaky.leaky_relu_derivative, definition.leaky_relu_derivative),
    (
        lambda x, slope, **kw: leaky.leaky_relu_backward(x[..., ::-1], x, slope, **kw),
        lambda x, slope: definition.leaky_relu_backward(x[..., ::-1], x, slope),
    ),
]
EVERY = pytest.mark.parametrize(("function", "defined"), PAIRS, ids=["forward", "derivative", "backward"])


def assert_same(actual: Any, expected: Any) -> None:
    """Same type, shape and bits: payloads of NaNs and signs of zeros included."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    if actual.dtype == np.longdouble:  # has bytes that mean nothing
        np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected))
    else:
        kind = f"u{actual.itemsize}"
        np.testing.assert_array_equal(
            np.ascontiguousarray(actual).view(kind), np.ascontiguousarray(expected).view(kind)
        )


def sample(dtype: str) -> np.ndarray:
    """Return special values, both signs of each, among ordinary ones."""
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(dtype)
        ordinary = np.random.default_rng(0).normal(size=101).astype(dtype)
        return np.concatenate([special, -special, ordinary])


# --- against the definition


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


@pytest.mark.parametrize("slope", [0.01, 0.5, 3.0, 1e-30, 1e30])
@pytest.mark.parametrize("dtype", FLOATS)
def test_inverse_is_as_defined(dtype: str, slope: float) -> None:
    assert_same(leaky.leaky_relu_inverse(sample(dtype), slope), definition.leaky_relu_inverse(sample(dtype), slope))


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


# --- a true ufunc


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


# --- types


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


def test_defaults() -> None:
    assert leaky.leaky_relu(-1.0) == -0.01
    assert leaky.leaky_relu_derivative(0.0) == 0.01
    assert leaky.leaky_relu_backward(2.0, -1.0) == 0.02
    assert leaky.leaky_relu_inverse(-0.01) == -1.0


# --- floating-point environment


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("slope", SLOPES)
def test_nothing_raises_a_floating_point_error(dtype: str, slope: float) -> None:
    x = np.concatenate([ALL_HALVES, np.repeat(NAN, 9)]).astype(dtype) if dtype == "e" else sample(dtype)
    with np.errstate(all="raise"):
        leaky.leaky_relu(x, slope)
        leaky.leaky_relu_derivative(x, slope)
        leaky.leaky_relu_backward(x[::-1], x, slope)
        leaky.leaky_relu(x, 0.1, where=x > 0, out=np.zeros_like(x))


def test_signalling_nans_raise_nothing() -> None:
    x = np.array([0x7F800001, 0xFF800001], np.uint32).view(np.float32)
    with np.errstate(all="raise"):
        assert np.isnan(leaky.leaky_relu(x)).all()


FLUSHED = """
import numpy as np
import torch
from leaky import definition, function

def everything(module, x):
    return [
        module.leaky_relu(x, 0.3),
        module.leaky_relu_derivative(x, 0.3),
        module.leaky_relu_backward(x[::-1], x, 0.3),
        module.leaky_relu_inverse(x, 0.3),
    ]

def masks(signs):
    return [signs(x) for x in samples] + [signs(x.astype(x.dtype.newbyteorder())) for x in samples]

def flushing():
    return np.float32(1e-40) * np.float32(1) == 0

subnormal = np.arange(1, 1 << 23, 417, dtype=np.uint32).view(np.float32)
samples = [np.concatenate([-s, s]) for s in (subnormal, subnormal.astype(float) * 1e-270)]
samples.append(np.arange(0x7c00, dtype=np.uint16).view(np.float16))
samples.append(-samples[-1])
expected = [everything(definition, x) for x in samples]
expected.append(masks(lambda x: np.packbits(x > 0, bitorder="little")))

assert not flushing()
assert torch.set_flush_denormal(True)
assert flushing()
actual = [everything(function, x) for x in samples]
actual.append(masks(function.sign_mask))
assert flushing(), "the caller's mode was not restored"
torch.set_flush_denormal(False)

for ours, theirs in zip(actual, expected, strict=True):
    for a, e in zip(ours, theirs, strict=True):
        assert a.dtype == e.dtype and a.tobytes() == e.tobytes(), a.dtype
"""


def test_the_callers_flush_to_zero_mode_changes_nothing_and_is_kept() -> None:
    subprocess.run([sys.executable, "-c", FLUSHED], check=True, timeout=120)


# --- inverse and gain


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
