"""How many samples make a batch where nobody says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import leaky
from leaky.inputs.batch_size import batch_size_for


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((10,), np.float32, 1024),
        ((784,), np.float64, 668),
        ((3, 32, 32), np.uint8, 170),
        ((3, 224, 224), np.float32, 8),
        ((512,), np.int64, 16),
        ((512,), ">i4", 16),
        ((0,), np.float32, 1024),
    ],
)
def test_the_size_of_a_sample_decides(shape: tuple[int, ...], dtype: Any, expected: int) -> None:
    x = np.zeros((3, *shape), dtype)
    assert batch_size_for([x]) == batch_size_for([np.zeros((3, 1), np.float32), x]) == expected
    if not isinstance(dtype, str):
        assert batch_size_for([torch.from_numpy(x)]) == expected


def test_a_check_takes_it() -> None:
    seen = []
    model = torch.nn.Sequential(torch.nn.Linear(600, 2), torch.nn.ReLU())
    model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    leaky.check(model, np.zeros((1000, 600), np.float32))
    assert seen == [873, 127]
