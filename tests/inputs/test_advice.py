"""Data for networks of several inputs, and the advice that comes with what a network cannot take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import leaky
from leaky.inputs import InputError
from leaky_tests.inputs.fed import A, B, Y, net


class Two(nn.Module):
    """A network of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.act = nn.Linear(4, 8), nn.Linear(3, 8), nn.ReLU()

    def forward(self, a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
        y: Tensor = self.act(self.a(a) + scale * self.b(b))
        return y


def active(check: leaky.Check) -> list[int]:
    return check.sites["act"].evidence.active_samples.tolist()  # type: ignore[no-any-return]


def test_a_tuple_feeds_a_network_of_several_inputs() -> None:
    model = Two()
    expected = active(leaky.check(model, {"a": A, "b": B}))
    assert active(leaky.check(model, (A, B))) == expected
    assert active(leaky.check(model, [(A[:30], B[:30]), (A[30:], B[30:])])) == expected
    assert active(leaky.check(model, (A, B, Y), loss="cross_entropy")) == expected
    assert active(leaky.check(model, (A, B, Y))) == expected
    assert active(leaky.check(nn.DataParallel(model), (A, B))) == expected
    conversion = leaky.convert(model, 0.1, data=(A, B))
    assert conversion.drift is not None
    assert conversion.drift.samples == 60


def test_of_two_arrays_the_second_is_the_target_where_it_can_be() -> None:
    assert leaky.check(net()[:3], (A, Y % 3), loss="cross_entropy").loss
    with pytest.raises(InputError, match="there is no target for the loss"):
        leaky.check(Two(), (A, B), loss="cross_entropy")


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (
            Two,
            A,
            r"missing 1 required positional argument: 'b'.*; for several inputs: expected a tuple \(a, b\), or a dict",
        ),
        (
            lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU()),
            torch.ones((5, 4), dtype=torch.uint8),
            r"; tensors keep their type: expected floats for measurements, such as x\.float\(\)",
        ),
        (Two, [A, B], "; for several inputs: expected a tuple"),
        (net, np.arange(40).reshape(10, 4), r"; whole numbers are taken for token ids: expected floats .* x.astype\("),
        (net, torch.arange(40).reshape(10, 4), "; whole numbers are taken for token ids"),
        (
            net,
            A[:, 0],
            r"; data of one axis are samples of one number each: one sample of n numbers has shape \(1, n\)$",
        ),
        (
            net,
            [[1.0, 2.0, 3.0, 4.0]],
            r"^data: batch 0: holds no array .* \(numpy.array makes one of lists of numbers\)$",
        ),
        (net, [1.0, 2.0], r"^data: batch 0: float; expected an array.* \(numpy.array makes one"),
        (net, A[:, :3], r"mat1 and mat2 shapes cannot be multiplied \(60x3 and 4x8\)$"),  # there is nothing to advise
    ],
)
def test_advice_comes_with_the_error(model: Any, data: Any, message: str) -> None:
    for run in (leaky.check, lambda model, data: leaky.convert(model, 0.1, data=data)):
        with pytest.raises(ValueError, match=message) as caught:
            run(model(), data)
        assert "\n" not in str(caught.value)


def test_a_table_is_no_list_of_its_columns() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InputError, match=r"^data: DataFrame; expected an array, .* such as data.to_numpy\(\)$"):
        leaky.check(net(), pandas.DataFrame(A))
