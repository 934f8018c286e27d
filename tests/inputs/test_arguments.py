from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leaky.inputs import InputError
from leaky.inputs.arguments import several, truth, whole_number


@pytest.mark.parametrize("value", [3, np.int8(3), np.array(3)])
def test_whole_numbers(value: Any) -> None:
    number = whole_number("n", value)
    assert (number, type(number)) == (3, int)


@pytest.mark.parametrize("value", [True, np.True_, "3", 3.0, None, np.array(3.0)])
def test_what_is_no_whole_number(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^n: .*; expected a whole number of at least 1$"):
        whole_number("n", value)


def test_a_number_below_1() -> None:
    with pytest.raises(InputError, match=r"^n: -1; expected this$"):
        whole_number("n", -1, "this")


@pytest.mark.parametrize("value", [False, np.False_])
def test_truth(value: Any) -> None:
    assert truth("t", value) is False


@pytest.mark.parametrize("value", ["no", 0, None, np.array([True])])
def test_what_is_no_truth_value(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^t: .*; expected True or False$"):
        truth("t", value)


@pytest.mark.parametrize("values", [[1, 2], (1, 2), np.array([1, 2]), iter([1, 2])])
def test_several(values: Any) -> None:
    assert several("v", values, "numbers") == [1, 2]


@pytest.mark.parametrize("values", [1, None, "12", b"12", np.array(1)])
def test_what_are_not_several(values: Any) -> None:
    with pytest.raises(TypeError, match=r"^v: .*; expected numbers$"):
        several("v", values, "numbers")


def test_what_fails_on_the_way_is_not_taken_for_that() -> None:
    def failing() -> Any:
        yield 1
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        several("v", failing(), "numbers")
