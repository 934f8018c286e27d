"""Evidence adds up whatever the order, and what it says of units: dead, spread, dormant."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaky.evidence import Batch, Evidence, Site, batch_statistics, batch_statistics_of
from leaky_tests.evidence.arrays import with_special_values


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
