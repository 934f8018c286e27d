"""The compiled statistics against their definition in NumPy, and evidence that adds up whatever the order."""

import itertools
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import leaky
from leaky import _core
from leaky.evidence import Batch, Evidence, Site, batch_statistics, batch_statistics_at, batch_statistics_of

DTYPES = [np.dtype(name) for name in ("e", "f", "d")] + [np.dtype(ml_dtypes.bfloat16)]
LIMITS = [
    (0.0, math.inf),
    (-math.inf, math.inf),
    (0.0, 6.0),
    (-1.0, 1.0),
    (-4.5, 4.5),
    (-1.0, math.inf),
    (-math.inf, -1.0),
]
SPECIAL = [math.nan, -math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, -1e-45, 5e-324, 6.0, -1.0, 0.1, 1.0, -3.4e38]
SHAPES = [
    *((3, 1, 2, after) for after in range(1, 131)),
    *((37, 1, units, 1) for units in (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 63, 65, 100, 1000, 1025)),
    *((samples, before, units, 1) for samples in (1, 3, 70) for before in (1, 2, 65, 200) for units in (1, 5, 33)),
    *((samples, 2, 3, after) for samples in (1, 15, 16, 17, 40) for after in (2, 16, 49)),
    (0, 1, 4, 5), (2, 0, 4, 5), (2, 1, 0, 5), (2, 1, 4, 0), (1, 1, 1, 1), (0, 0, 0, 0),
    (70, 1, 1, 3000), (2, 3000, 70, 1), (3000, 1, 100, 1),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _keep_the_number_of_threads() -> Iterator[None]:
    before = leaky.get_num_threads()
    yield
    leaky.set_num_threads(before)


def core(x: np.ndarray, limits: tuple[float, float]) -> Batch:
    """Return what the core finds in an array of four dimensions."""
    assert x.flags.c_contiguous
    samples, before, units, after = x.shape
    return batch_statistics_at(x.ctypes.data, _core.TYPES[x.dtype.name], samples, before, units, after, limits)


def assert_same(actual: Batch, expected: Batch, rounding: float = 0.0) -> None:
    """``rounding`` is that of the sums, relative to the largest of them."""
    assert (actual.samples, actual.positions) == (expected.samples, expected.positions)
    np.testing.assert_array_equal(actual.counts, expected.counts)
    assert actual.extremes.tobytes() == expected.extremes.tobytes()
    largest = max(np.abs(expected.sums[np.isfinite(expected.sums)]).max(initial=0.0), 1.0)
    np.testing.assert_allclose(actual.sums, expected.sums, rtol=rounding, atol=rounding * largest)


def whole_numbers(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


def with_special_values(x: np.ndarray, one_in: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(x.dtype)
    return np.where(random.integers(0, one_in, x.shape) == 0, random.choice(special, x.shape), x)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("limits", LIMITS)
def test_of_whole_numbers_all_is_exact(dtype: np.dtype[Any], limits: tuple[float, float]) -> None:
    for shape in SHAPES:
        x = whole_numbers(shape, dtype)
        assert_same(core(x, limits), batch_statistics(x, 2, limits))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("one_in", [1, 7, 300])
def test_special_values(dtype: np.dtype[Any], limits: tuple[float, float], one_in: int) -> None:
    for shape in SHAPES[::3]:
        with np.errstate(over="ignore"):
            x = with_special_values(whole_numbers(shape, dtype), one_in)
        actual, expected = core(x, limits), batch_statistics(x, 2, limits)
        np.testing.assert_array_equal(actual.counts, expected.counts)
        assert actual.extremes.tobytes() == expected.extremes.tobytes()
        np.testing.assert_allclose(actual.sums, expected.sums, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sums_are_right_to_within_rounding(dtype: np.dtype[Any]) -> None:
    for shape in SHAPES:
        x = np.random.default_rng(0).normal(size=shape).astype(dtype)
        number = x.astype(np.float64)
        actual = core(x, (0.0, math.inf)).sums
        for sums, terms in zip(actual, (number, number * number, np.maximum(number, 0.0)), strict=True):
            exact = [math.fsum(terms[:, :, unit].ravel().tolist()) for unit in range(shape[2])]
            np.testing.assert_allclose(sums, exact, rtol=0, atol=1e-14 * np.abs(terms).sum())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_number_among_many(dtype: np.dtype[Any]) -> None:
    for (samples, before, units, after), value in itertools.product(
        [(20, 1, 2, 50), (20, 2, 2, 17), (20, 3, 20, 1), (200, 1, 20, 1)], [1.0, math.nan, math.inf, -math.inf]
    ):
        for place in range(0, samples * before * units * after, 7):
            x = np.full((samples, before, units, after), -1.0).astype(dtype)
            x.ravel()[place] = value
            assert_same(core(x, (0.0, math.inf)), batch_statistics(x, 2, (0.0, math.inf)))


@pytest.mark.parametrize("limit", [0.1, -0.1, 1e-50, -1e-50, 1e300, -1e300, 5e-324, 1 / 3, 65504.0, 3.5e38])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_limits_that_the_type_does_not_have(dtype: np.dtype[Any], limit: float) -> None:
    with np.errstate(all="ignore"):
        near = np.array([limit], dtype)
        others = np.array([math.inf, -math.inf, 0, -0.0, 1, -1]).astype(dtype)
    integers = near.view(f"u{dtype.itemsize}")
    x = np.concatenate([near, (integers + 1).view(dtype), (integers - 1).view(dtype), others])[None, None, None, :]
    assert_same(core(x, (limit, limit)), batch_statistics(x, 2, (limit, limit)), rounding=1e-12)


def test_squares_beyond_the_largest_number() -> None:
    x = np.array([[1e200, 1.0], [-1e200, 2.0], [1e308, 3.0], [1e308, 4.0]])[:, None, :, None]
    batch = core(x, (0.0, math.inf))
    assert batch.total_squares.tolist() == [math.inf, 30.0]
    assert batch.total.tolist() == [math.inf, 10.0]
    assert batch.nonfinite.tolist() == [0, 0]
    evidence = Evidence(2)
    evidence.add(batch)
    assert evidence.spread.tolist()[1] == pytest.approx(math.sqrt(1.25))
    assert evidence.mean.tolist() == [math.inf, 2.5]


# --- what the result does not depend on

LARGE = [(40, 1, 30, 301), (3, 400, 300, 1), (5000, 1, 70, 1), (1, 1, 7, 60_000), (9, 3, 5, 5001)]


def bits(batch: Batch) -> bytes:
    return batch.counts.tobytes() + batch.extremes.tobytes() + batch.sums.tobytes()


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
    go, other_ran = threading.Lock(), []
    go.acquire()
    other = threading.Thread(target=lambda: (go.acquire(), other_ran.append(True)))
    other.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody is made to give the lock away
    try:
        go.release()
        for _ in range(1000):
            if other_ran:
                break
            batch_statistics_of(x, 1, (0.0, math.inf))
        assert other_ran
    finally:
        sys.setswitchinterval(interval)
        other.join()


# --- arrays

ARRAYS = [((6, 5), 1), ((6, 5), None), ((6, 4, 5), 1), ((6, 4, 5), 2), ((6, 4, 5), -1), ((6, 3, 4, 5), 1), ((6, 3, 4, 5), None),
          ((6, 3, 4, 5), 2), ((6, 3, 4, 5), 3), ((6,), None)]  # fmt: skip


@pytest.mark.parametrize(("shape", "axis"), ARRAYS)
@pytest.mark.parametrize("dtype", ["e", "f", "d", ">f4", "i4", "g"])
def test_arrays_of_any_layout(shape: tuple[int, ...], axis: int | None, dtype: str) -> None:
    x = whole_numbers(shape, np.dtype(dtype))
    expected = batch_statistics(np.ascontiguousarray(x), axis, (0.0, 6.0))
    reordered = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, axis or 0, -1)), -1, axis or 0)
    for same in (x, reordered, x[::-1], np.concatenate([x, x], axis=-1)[..., : x.shape[-1]]):
        assert_same(batch_statistics_of(same, axis, (0.0, 6.0)), expected)


def test_channels_that_lie_innermost_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.moveaxis(np.ones((2, 8, 8, 3), np.float32), -1, 1)
    addresses: list[int] = []
    monkeypatch.setattr(_core, "statistics", lambda address, *_: addresses.append(address))
    batch_statistics_of(x, 1, (0.0, math.inf))
    assert addresses == [x.ctypes.data]


def test_errors_of_the_core() -> None:
    block = np.zeros((10, 3), np.int64)
    arguments: tuple[Any, ...] = (0, 0, 1, 1, 3, 0, 0.0, 1.0)
    _core.statistics(*arguments, block)
    for wrong in (block[:9], block.astype(np.int32), block[:, ::2], None, np.zeros((10, 4), np.int64)):
        with pytest.raises(ValueError, match=r"^expected a writeable contiguous array of 30 int64, got "):
            _core.statistics(*arguments, wrong)
    block.flags.writeable = False
    with pytest.raises(ValueError, match=r"^expected a writeable contiguous"):
        _core.statistics(*arguments, block)
    with pytest.raises(ValueError, match=r"^a type must be one of TYPES, got 9$"):
        _core.statistics(0, 9, *arguments[2:], block)
    with pytest.raises(ValueError, match=r"^a count must not be below 0, got -1$"):
        _core.statistics(0, 0, -1, *arguments[3:], block)
    with pytest.raises(TypeError, match="takes 9 arguments, got 1"):
        _core.statistics(0)  # type: ignore[call-arg]


# --- evidence


def batches(seed: int, count: int, units: int) -> list[Batch]:
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        scale = 2.0 ** random.integers(-80, 80)
        x = (random.normal(size=(random.integers(1, 9), units, random.integers(1, 30))) * scale).astype(np.float32)
        made.append(batch_statistics_of(with_special_values(x, 50, seed), 1, (0.0, math.inf)))
    return made


def gathered(parts: list[Batch], units: int) -> Evidence:
    evidence = Evidence(units)
    for batch in parts:
        evidence.add(batch)
        evidence.add_gradient(np.abs(batch.total), batch.positions)
    return evidence


@given(seed=st.integers(0, 10**6), data=st.data())
def test_shards_add_up_to_the_whole(seed: int, data: st.DataObject) -> None:
    made = batches(seed, 7, 3)
    whole = gathered(made, 3)
    shuffled = data.draw(st.permutations(made))
    cut = data.draw(st.integers(0, 7))
    left, right = gathered(shuffled[:cut], 3), gathered(shuffled[cut:], 3)
    right.merge(Evidence.from_dict(json.loads(json.dumps(left.to_dict(), allow_nan=False))))
    assert right.to_dict() == whole.to_dict()
    for name in ("mean", "spread", "share", "dead"):
        assert getattr(right, name).tobytes() == getattr(whole, name).tobytes()


def test_what_evidence_says() -> None:
    x = np.array([[1.0, -1.0, -1.0, np.nan], [3.0, -5.0, np.inf, np.nan]])
    evidence = Evidence(4)
    for sample in x:
        evidence.add(batch_statistics_of(sample[None], 1, (0.0, math.inf)))
    assert (evidence.samples, evidence.positions) == (2, 2)
    assert evidence.dead.tolist() == [False, True, False, True]
    assert evidence.active_samples.tolist() == [2, 0, 1, 0]
    assert evidence.active_positions.tolist() == [2, 0, 1, 0]
    assert evidence.share.tolist() == [1.0, 0.0, 0.5, 0.0]
    assert evidence.low.tolist() == [0, 2, 1, 0]
    assert evidence.high.tolist() == [0, 0, 1, 0]
    assert evidence.nonfinite.tolist() == [0, 0, 1, 2]
    assert evidence.smallest.tolist() == [1.0, -5.0, -1.0, math.inf]
    assert evidence.largest.tolist() == [3.0, -1.0, -1.0, -math.inf]
    np.testing.assert_array_equal(evidence.mean, [2.0, -3.0, -1.0, np.nan])
    np.testing.assert_array_equal(evidence.spread, [1.0, 2.0, 0.0, np.nan])


def test_nothing_seen() -> None:
    evidence = Evidence(2)
    assert evidence.dead.tolist() == [True, True]
    for numbers in (evidence.mean, evidence.spread, evidence.share):
        assert np.isnan(numbers).all()
    assert Evidence.from_dict(evidence.to_dict()).to_dict() == evidence.to_dict()


def test_other_units_are_an_error() -> None:
    message = "^the evidence must be on 3 units, got 2$"
    evidence = Evidence(3)
    before = evidence.to_dict()
    with pytest.raises(ValueError, match=message):
        evidence.merge(Evidence(2))
    with pytest.raises(ValueError, match=message):
        evidence.add(batch_statistics(np.zeros((1, 2)), 1, (0.0, math.inf)))
    assert evidence.to_dict() == before


def site(limits: tuple[float, float], slope: float | tuple[float, ...] | None = None) -> Site:
    return Site("a", "kind", "form", "a", 4, 1, (4, 6), slope, limits)


@pytest.mark.parametrize("value", [0.1, 3.3, -7.77, 1e8, 1e200, -1e-200, 0.0])
def test_numbers_that_are_all_the_same_do_not_spread(value: float) -> None:
    evidence = Evidence(2)
    x = np.full((1000, 2), value)
    x[0, 1] = np.inf
    evidence.add(batch_statistics_of(x, 1, (0.0, math.inf)))
    assert evidence.spread.tolist() == [0.0, 0.0]


def test_spreads_down_to_a_ten_millionth_of_the_mean() -> None:
    x = np.random.default_rng(0).normal(loc=(1e3, 1e5, 1e7), size=(20_000, 3))
    evidence = Evidence(3)
    for part in np.split(x, 10):
        evidence.add(batch_statistics_of(part, 1, (0.0, math.inf)))
    np.testing.assert_allclose(evidence.spread, x.std(axis=0), rtol=0.1)
    np.testing.assert_allclose(evidence.spread[:2], x.std(axis=0)[:2], rtol=1e-4)


def test_dormancy_is_not_told_of_what_exceeds_a_threshold() -> None:
    evidence = Evidence(4)
    evidence.add(batch_statistics_of(np.array([[0.01, 5.0, 7.0, 7.0]]), 1, (0.0, math.inf)))
    assert evidence.dormancy(replace(site((0.0, math.inf)), kind="threshold")) is None


@pytest.mark.parametrize(
    ("where", "activation"),
    [
        (site((0.0, math.inf)), lambda x: np.maximum(x, 0)),
        (site((0.0, 0.5)), lambda x: np.clip(x, 0, 0.5)),
        (site((-math.inf, math.inf), 0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
        (site((-math.inf, math.inf), -0.1), lambda x: np.where(x > 0, x, -0.1 * x)),
        (site((-math.inf, math.inf), (0.0, 0.1, 0.2, 0.3)), lambda x: np.where(x > 0, x, x * [[0.0], [0.1], [0.2], [0.3]])),
    ],
)  # fmt: skip
def test_dormancy(where: Site, activation: Any) -> None:
    x = np.random.default_rng(0).normal(size=(50, 4, 6)) - [[0.0], [1.0], [3.0], [100.0]]
    evidence = Evidence(4)
    for part in np.split(x, 5):
        evidence.add(batch_statistics_of(part, 1, where.limits))
    absolute = np.abs(activation(x)).mean(axis=(0, 2))
    np.testing.assert_allclose(evidence.dormancy(where), absolute / absolute.mean(), rtol=1e-12)


def test_dormancy_of_what_is_infinite_is_not_known() -> None:
    evidence = Evidence(3)
    x = np.array([[math.inf, 1.0, 3.0], [-1.0, 1.0, 3.0]])
    evidence.add(batch_statistics_of(x, 1, (0.0, math.inf)))
    np.testing.assert_array_equal(evidence.dormancy(site((0.0, math.inf))), [np.nan, 0.5, 1.5])


def test_dormancy_where_all_are_off_or_unknown() -> None:
    evidence = Evidence(2)
    evidence.add(batch_statistics_of(np.array([[-1.0, np.nan]]), 1, (0.0, math.inf)))
    np.testing.assert_array_equal(evidence.dormancy(site((0.0, math.inf))), [0.0, np.nan])
    for where in (site((-4.6, 4.6)), site((-math.inf, math.inf)), site((-1.0, 1.0), 0.5), site((0.5, math.inf))):
        assert evidence.dormancy(where) is None
