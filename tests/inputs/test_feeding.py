from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leaky.inputs.feeding import Feed

FLOATS = ["<f8", ">f4", "f2", "longdouble"]
BYTES = ["u1", "i1", "?"]
WHOLE = ["<i2", ">i4", "u2", "u4", "u8", "i8"]


@pytest.mark.parametrize(
    ("stored", "as_input", "as_target"),
    [
        *((name, torch.float64, torch.float64) for name in FLOATS),
        *((name, torch.float64, torch.int64) for name in BYTES),
        *((name, torch.int64, torch.int64) for name in WHOLE),
    ],
)
def test_arrays_of_every_type(stored: str, as_input: torch.dtype, as_target: torch.dtype) -> None:
    values = np.array([[0, 1], [1, 1], [1, 0]]).astype(stored)
    values.flags.writeable = False
    feed = Feed(nn.Linear(2, 3).double())
    for tensor, dtype in ((feed.tensor(values), as_input), (feed.target(values), as_target)):
        assert tensor.dtype == dtype
        assert tensor.tolist() == [[0, 1], [1, 1], [1, 0]]
        tensor.zero_()
    assert values.tolist() == [[0, 1], [1, 1], [1, 0]]


def test_floats_are_of_the_type_of_the_parameters() -> None:
    for network, dtype in ((nn.Linear(2, 3).bfloat16(), torch.bfloat16), (nn.ReLU(), torch.float32)):
        assert Feed(network).tensor(np.ones(3)).dtype == dtype
        assert Feed(network).target(np.ones(3)).dtype == dtype


@pytest.mark.parametrize("dtype", ["f8", "longdouble"])
def test_beyond_float32_is_infinite(dtype: str) -> None:
    values = np.array([1e300, -1e300, np.nan]).astype(dtype)
    np.testing.assert_array_equal(Feed(nn.ReLU()).tensor(values), [np.inf, -np.inf, np.nan])


def test_a_signalling_nan_is_no_warning() -> None:
    values = np.array([0x7FF0000000000001], np.uint64).view(np.float64)
    assert Feed(nn.ReLU()).tensor(values).isnan().all()


@pytest.mark.parametrize("value", [3, "text", None, [1.0], {"a": 1}])
def test_what_is_no_array_stays(value: Any) -> None:
    feed = Feed(nn.ReLU())
    assert feed.tensor(value) is feed.target(value) is value


def test_tensors_keep_their_type() -> None:
    network = nn.Linear(2, 3, device="meta")
    for dtype in (torch.float64, torch.int32, torch.bool):
        for tensor in (
            Feed(network).tensor(torch.ones(2, dtype=dtype)),
            Feed(network).target(torch.ones(2, dtype=dtype)),
        ):
            assert (tensor.dtype, tensor.device.type) == (dtype, "meta")
    assert Feed(nn.ReLU()).tensor(np.array([1j])).dtype == torch.complex128
