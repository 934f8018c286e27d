"""What the statistics do not depend on: threads, alignment, instruction sets, the caller's flushing of subnormals."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import leaky
from leaky import _core
from leaky.evidence import batch_statistics, batch_statistics_of
from leaky_tests.evidence.arrays import DTYPES, assert_same, bits, core
from leaky_tests.python_lock import is_released_by


@pytest.fixture(autouse=True)
def _keep_the_number_of_threads() -> Iterator[None]:
    before = leaky.get_num_threads()
    yield
    leaky.set_num_threads(before)


LARGE = [(40, 1, 30, 301), (3, 400, 300, 1), (5000, 1, 70, 1), (1, 1, 7, 60_000), (9, 3, 5, 5001)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_threads(dtype: np.dtype[Any]) -> None:
    for shape in LARGE:
        x = np.random.default_rng(0).normal(size=shape).astype(dtype)
        x = np.concatenate([x] * 3)  # beyond what one thread is left to do alone
        results = set()
        for threads in (1, 2, 3, 8):
            leaky.set_num_threads(threads)
            results.add(bits(core(x, (0.0, math.inf))))
        assert len(results) == 1
        expected = batch_statistics(x, 2, (0.0, math.inf))
        assert_same(core(x, (0.0, math.inf)), expected, rounding=1e-13)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_alignment_and_what_lies_around(dtype: np.dtype[Any]) -> None:
    for shape in [(3, 1, 5, 37), (3, 4, 21, 1), (40, 1, 9, 1), (2, 2, 2, 3)]:
        count = math.prod(shape)
        x = np.random.default_rng(0).normal(size=shape).astype(dtype)
        expected = bits(core(x, (0.0, 1.0)))
        for shift in range(70):
            room = np.full(count + 140, np.nan).astype(dtype)
            moved = room[shift : shift + count].reshape(shape)
            moved[...] = x
            assert bits(core(moved, (0.0, 1.0))) == expected


EVERYTHING = """
import hashlib, math
import ml_dtypes
import numpy as np
from leaky import _core
from leaky.evidence import batch_statistics_of

digest = hashlib.sha256()
shapes = [(3, 5, 64), (20, 3, 49), (5, 7, 131), (17, 6, 4), (40, 70, 1000), (300, 100), (70, 1001), (2, 300, 17), (9, 50, 33), (2000, 200)]
for dtype in ("e", "f", "d", ml_dtypes.bfloat16):
    for shape in shapes:
        for axis in (1, 2) if len(shape) > 2 else (1, None):
            random = np.random.default_rng(len(shape))
            normal = random.normal(size=shape).astype(dtype)
            anything = random.integers(0, 256, normal.nbytes, dtype=np.uint8).view(dtype).reshape(shape)
            for x in (normal, anything):
                for limits in ((0.0, math.inf), (-1.0, 1.0)):
                    batch = batch_statistics_of(x, axis, limits)
                    digest.update(batch.counts.tobytes() + batch.extremes.tobytes())
                    digest.update(np.where(np.isnan(batch.sums), np.nan, batch.sums).tobytes())
print(_core.ISA, digest.hexdigest())
"""


def test_every_instruction_set_gives_the_same_bits() -> None:
    results = {}
    for isa, threads in (("scalar", "2"), ("avx2", "1"), ("avx512", "3")):
        done = subprocess.run(
            [sys.executable, "-c", EVERYTHING],
            check=False,
            env={**os.environ, "LEAKY_ISA": isa, "LEAKY_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        name, digest = done.stdout.split()
        results[name] = digest
    assert "scalar" in results
    assert _core.ISA in results
    assert len(set(results.values())) == 1


def test_flushed_subnormals() -> None:
    torch = pytest.importorskip("torch")
    x = np.full((40, 2, 300), 1e-40, np.float32)
    x[:, 1] = -1e-40
    expected = bits(batch_statistics_of(x, 1, (0.0, math.inf)))
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush")
    try:
        assert bits(batch_statistics_of(x, 1, (0.0, math.inf))) == expected
    finally:
        torch.set_flush_denormal(False)
    assert batch_statistics_of(x, 1, (0.0, math.inf)).active_positions.tolist() == [12_000, 0]


def test_pythons_lock_is_released() -> None:
    x = np.ones((64, 64, 1000), np.float32)
    assert is_released_by(lambda: batch_statistics_of(x, 1, (0.0, math.inf)))
