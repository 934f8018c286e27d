"""Exact sums against fractions, which know no rounding: every order, every grouping, every size of terms."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaky import _core
from leaky.exact_sum import ExactSum

# Of every magnitude, subnormals among them; of bits all set, which reach over most limbs; and much that cancels.
finite = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(math.ldexp, st.sampled_from([2**53 - 1, 1 - 2**53, 1, -1]), st.integers(-1074, 970)),
    st.sampled_from([1e308, -1e308, 1.0, -1.0, 2.0**-1074, 0.0, -0.0]),
)


def summed(terms: list[float]) -> ExactSum:
    total = ExactSum(1)
    for term in terms:
        total.add(np.array([term]))
    return total


def rounded(terms: list[float]) -> float:
    """Return the exact sum, rounded once."""
    exact = sum(map(Fraction, terms), Fraction(0))
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def bits(total: ExactSum) -> bytes:
    return total.value().tobytes()


@given(terms=st.lists(finite, max_size=20))
def test_the_sum_is_rounded_once(terms: list[float]) -> None:
    assert summed(terms).value().tolist() == [rounded(terms)]


@given(terms=st.lists(st.floats(-1e300, 1e300), max_size=20))
def test_it_is_fsum(terms: list[float]) -> None:
    assert summed(terms).value().tolist() == [math.fsum(terms)]


@given(data=st.data(), terms=st.lists(finite, min_size=1, max_size=20))
def test_neither_order_nor_grouping_matters(data: st.DataObject, terms: list[float]) -> None:
    shuffled = data.draw(st.permutations(terms))
    groups = []
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        groups.append(summed(shuffled[:size]))
        shuffled = shuffled[size:]
    while len(groups) > 1:
        groups.insert(data.draw(st.integers(0, len(groups) - 2)), groups.pop())
        groups[0].merge(groups.pop(1))
    whole = summed(terms)
    assert groups[0].to_dict() == whole.to_dict()
    assert bits(groups[0]) == bits(whole)


@given(
    terms=st.lists(st.one_of(finite, st.sampled_from([math.inf, -math.inf, math.nan])), max_size=6),
    split=st.integers(0, 6),
)
def test_infinities_and_nan(terms: list[float], split: int) -> None:
    left, right = summed(terms[:split]), summed(terms[split:])
    left.merge(right)
    expected = sum(term for term in terms if not math.isfinite(term))
    actual = left.value()
    np.testing.assert_array_equal(actual, [expected if expected else rounded([t for t in terms if math.isfinite(t)])])
    np.testing.assert_array_equal(actual, summed(terms[::-1]).value())


@given(rows=st.lists(st.lists(finite, min_size=3, max_size=3), max_size=10))
def test_units_do_not_mix(rows: list[list[float]]) -> None:
    total = ExactSum(3)
    for row in rows:
        total.add(np.array(row))
    assert total.value().tolist() == [rounded([row[unit] for row in rows]) for unit in range(3)]


@given(terms=st.lists(finite, max_size=10))
def test_through_json(terms: list[float]) -> None:
    total = summed(terms)
    back = ExactSum.from_dict(json.loads(json.dumps(total.to_dict(), allow_nan=False)))
    assert back.to_dict() == total.to_dict()
    back.add(np.array([1.0]))
    assert bits(back) == bits(summed([*terms, 1.0]))


def test_many_terms() -> None:
    total = ExactSum(2)
    terms = np.array([-0.1, 1 / 3])
    for _ in range(100_000):
        total.add(terms)
    assert total.value().tolist() == [float(100_000 * Fraction(term)) for term in terms.tolist()]


def test_numbers_of_one_network_take_little_memory() -> None:
    total = ExactSum(100)
    for terms in np.random.default_rng(0).normal(size=(1000, 100)):
        total.add(terms)
    assert total._limbs.nbytes <= 100 * 8 * 5


def test_no_units() -> None:
    total = ExactSum(0)
    total.add(np.zeros(0))
    total.merge(ExactSum(0))
    assert total.value().shape == (0,)
    assert ExactSum.from_dict(total.to_dict()).value().shape == (0,)


@pytest.mark.parametrize("terms", [np.zeros(2), np.zeros(3, np.float32), np.zeros(6)[::2], 0.0])
def test_terms_of_another_kind_are_an_error(terms: Any) -> None:
    with pytest.raises(ValueError, match=r"^expected a writeable contiguous array of 3 float64, got "):
        ExactSum(3).add(terms)


def test_sums_of_other_units_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"^the sums must be of 3 units, got 2$"):
        ExactSum(3).merge(ExactSum(2))


def test_errors_of_the_core() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match=r"^limbs must be an array of two dimensions, got "):
        _core.add_exactly(one, 0, np.zeros(3, np.int64), np.zeros(1))
    with pytest.raises(ValueError, match=r"^expected a writeable contiguous array of 3 int64, got "):
        _core.add_exactly(one, 0, np.zeros((3, 1)), np.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^expected a writeable contiguous array of 1 float64, got "):
        _core.add_exactly(one, 0, np.zeros((3, 1), np.int64), np.zeros(2))
    assert _core.add_exactly(one, 0, np.zeros((3, 1), np.int64), np.zeros(1)) == (31, 34)
