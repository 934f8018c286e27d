"""ml_dtypes' bfloat16, which the ufuncs learn when the first such array arrives."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import leaky

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
ALL = np.arange(1 << 16, dtype=np.uint16).view(BFLOAT16)
GRAD = np.random.default_rng(0).permutation(ALL)


def assert_same(actual: np.ndarray, in_float32: np.ndarray) -> None:
    """Rounded once from float32; of NaNs, which every library makes its own way, only that they are."""
    with np.errstate(all="ignore"):
        expected = in_float32.astype(BFLOAT16)
    assert actual.dtype == BFLOAT16
    nan = np.isnan(in_float32)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    np.testing.assert_array_equal(actual.view(np.uint16)[~nan], expected.view(np.uint16)[~nan])


@pytest.mark.parametrize("slope", [0.01, 0.0, 0.2, 1.0, 2.0, -0.5, np.inf])
@pytest.mark.parametrize("step", [1, 3])
def test_all(slope: float, step: int) -> None:
    x, grad = ALL[::step], GRAD[::step]
    with np.errstate(all="ignore"):
        wide, wide_grad, factor = x.astype(np.float32), grad.astype(np.float32), np.float32(slope)
        forward = np.where(wide > 0, wide, wide * factor)
        derivative = np.where(wide > 0, np.float32(1), factor)
        backward = np.where(wide > 0, wide_grad, wide_grad * factor)
    assert_same(leaky.leaky_relu(x, slope), forward)
    assert_same(leaky.leaky_relu_derivative(x, slope), derivative)
    assert_same(leaky.leaky_relu_backward(grad, x, slope), backward)
    mask = leaky.sign_mask(x)
    assert mask.tobytes() == np.packbits(wide > 0, bitorder="little").tobytes()
    assert_same(leaky.leaky_relu_backward_from_mask(grad, mask, slope), backward)


def test_slopes_and_out() -> None:
    x = np.array([[-1, 2], [3, -4]], BFLOAT16)
    assert leaky.leaky_relu(x, [0.5, 0.25]).astype(float).tolist() == [[-0.5, 2], [3, -1]]
    assert leaky.leaky_relu(x, x[0] * x[0]).dtype == BFLOAT16
    assert leaky.leaky_relu(x, 0.5, out=x, where=[[True], [False]]) is x
    assert x.astype(float).tolist() == [[-0.5, 2], [3, -4]]
    assert leaky.leaky_relu_inverse(x, 0.5).astype(float).tolist() == [[-1, 2], [3, -8]]


def test_a_slope_of_it_is_a_number_like_any_other() -> None:
    slope = ml_dtypes.bfloat16(0.1)
    for x in (np.float32([-1, 2]), np.array([-1, 2], BFLOAT16)):
        expected = leaky.leaky_relu(x, float(slope))
        for given in (slope, np.array(slope)):
            actual = leaky.leaky_relu(x, given)
            assert (actual.dtype, actual.tobytes()) == (expected.dtype, expected.tobytes())
    assert leaky.gain(slope) == leaky.gain(float(slope))
    with pytest.raises(ValueError, match=r"^negative_slope must be a real number, got NaN$"):
        leaky.leaky_relu(1.0, ml_dtypes.bfloat16("nan"))


def test_other_types_are_as_before() -> None:
    leaky.leaky_relu(ALL[:2])
    assert leaky.leaky_relu(np.ones(2, np.float16), [0.1, 0.2]).dtype == np.float16
    assert leaky.leaky_relu(np.ones(2, np.int8), 0.5).dtype == np.float16
    with pytest.raises(TypeError, match="must hold real numbers"):
        leaky.leaky_relu(np.ones(2, ml_dtypes.float8_e4m3fn))


@pytest.mark.parametrize("call", ["leaky.leaky_relu(x)", "leaky.leaky_relu_backward(x, x)", "leaky.sign_mask(x)"])
def test_it_may_come_before_leaky_or_after(call: str) -> None:
    for imports in ("import ml_dtypes; import leaky", "import leaky; import ml_dtypes"):
        code = f"{imports}; import numpy as np; x = np.ones(3, ml_dtypes.bfloat16); print({call}.dtype)"
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() in ("bfloat16", "uint8"), done.stderr


AGAIN = """
import sys
import ml_dtypes
import numpy as np
import leaky

x = np.ones(4, ml_dtypes.bfloat16)[::2]
before = leaky
assert before.leaky_relu(x).dtype == x.dtype
for name in [name for name in sys.modules if name.partition(".")[0] == "leaky"]:
    del sys.modules[name]
import leaky

assert leaky is not before
for module in (leaky, before):
    for result in (module.leaky_relu(x), module.leaky_relu_backward(x, x), module.leaky_relu_inverse(x, [0.1, 0.2])):
        assert result.dtype == x.dtype, result.dtype
"""


def test_leaky_imported_anew_knows_it_too() -> None:
    done = subprocess.run([sys.executable, "-c", AGAIN], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
