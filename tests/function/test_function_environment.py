"""The floating-point environment: nothing is raised, and the caller's mode is kept and changes nothing."""

import subprocess
import sys

import numpy as np
import pytest

import leaky
from leaky_tests.function.samples import ALL_HALVES, FLOATS, NAN, SLOPES, sample


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
