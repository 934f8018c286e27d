"""The compiled statistics of a batch against their definition in NumPy, for arrays of any layout."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from leaky import _core
from leaky.evidence import Evidence, batch_statistics, batch_statistics_of
from leaky_tests.evidence.arrays import DTYPES, assert_same, core, whole_numbers, with_special_values

LIMITS = [
    (0.0, math.inf),
    (-math.inf, math.inf),
    (0.0, 6.0),
    (-1.0, 1.0),
    (-4.5, 4.5),
    (-1.0, math.inf),
    (-math.inf, -1.0),
]

SHAPES = [
    *((3, 1, 2, after) for after in range(1, 131)),
    *((37, 1, units, 1) for units in (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 63, 65, 100, 1000, 1025)),
    *((samples, before, units, 1) for samples in (1, 3, 70) for before in (1, 2, 65, 200) for units in (1, 5, 33)),
    *((samples, 2, 3, after) for samples in (1, 15, 16, 17, 40) for after in (2, 16, 49)),
    (0, 1, 4, 5), (2, 0, 4, 5), (2, 1, 0, 5), (2, 1, 4, 0), (1, 1, 1, 1), (0, 0, 0, 0),
    (70, 1, 1, 3000), (2, 3000, 70, 1), (3000, 1, 100, 1),
]  # fmt: skip


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
