"""What a check says of data that may be taken for something else, or hold numbers that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

import leaky
from leaky.checkup import merge
from leaky_tests.inputs.fed import A, Y, net


def test_one_axis_that_a_network_takes_is_told() -> None:
    notes = leaky.check(net(), A[0]).notes
    assert (
        "The data have one axis: each number was taken for a sample. One sample of n numbers has shape (1, n)." in notes
    )
    assert leaky.check(net(), A).notes == ()
    tokens = nn.Sequential(nn.Embedding(60, 4), nn.ReLU())
    assert leaky.check(tokens, Y).notes == ()


@pytest.mark.parametrize(
    ("shape", "place", "value", "text"),
    [
        ((50, 4), (17, 3), np.nan, "In the data: NaN in sample 17, column 3 (counted from 0)."),
        ((50, 4), (17, 3), -np.inf, "In the data: an infinite number in sample 17, column 3 (counted from 0)."),
        ((50, 2, 4), (17, 1, 3), np.nan, "In the data: NaN in sample 17, at (1, 3) (counted from 0)."),
        (
            (50, 4),
            (slice(17, 20), 3),
            np.nan,
            "In the data: NaN in sample 17, column 3 (counted from 0), and 2 others.",
        ),
    ],
)
def test_numbers_in_the_data_that_are_none_are_told_once(shape: Any, place: Any, value: float, text: str) -> None:
    x = np.ones(shape)
    x[place] = value
    check = leaky.check(net(), x, batch_size=8)
    (finding,) = [each for each in check.findings if each.code == "L012"]
    assert finding.site is None
    assert finding.severity == "problem"
    assert finding.text == f"{text} What the network makes of them tells nothing."
    clean = leaky.check(net(), np.ones(shape))
    for both in ([check, clean], [clean, check]):
        assert [f.text for f in merge(both).findings if f.code == "L012"] == [finding.text]
