from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from leaky.checkup.layers import read_layer

LAYERS = {
    "linear": (nn.Linear(6, 4), torch.eye(6)),
    "convolution": (nn.Conv2d(3, 4, 3, padding=2), torch.eye(27).reshape(27, 3, 3, 3)),
    "grouped": (nn.Conv1d(4, 8, 3, groups=2), None),
    "transposed": (nn.ConvTranspose2d(3, 4, 2, stride=2), None),
    "transposed, grouped": (nn.ConvTranspose1d(4, 6, 3, groups=2), None),
}


@pytest.mark.parametrize("name", LAYERS)
def test_norms_are_those_of_what_a_unit_does(name: str) -> None:
    torch.manual_seed(0)
    module, _ = LAYERS[name]
    units = len(module.bias)
    layer = read_layer(module, units, None)
    assert layer is not None
    assert layer.bias == pytest.approx(module.bias.detach().numpy())
    # The weights of a unit are its gradient by an input so wide that every one is used once at some output.
    kind = type(module).__name__
    x = torch.zeros(1, module.weight.shape[1], 1) if kind == "Linear" else None
    if x is not None:
        expected = module.weight.norm(dim=1)
    else:
        channels = module.in_channels
        size = (9,) * (module.weight.ndim - 2)
        x = torch.zeros(1, channels, *size, requires_grad=True)
        y = module(x)
        middle = tuple(n // 2 for n in y.shape[2:])
        expected = torch.stack(
            [torch.autograd.grad(y[(0, u, *middle)], x, retain_graph=True)[0].norm() for u in range(units)]
        )
        if ("Transpose" in kind and "stride" in name) or module.stride[0] > 1:
            return  # not every weight meets at one output
    np.testing.assert_allclose(layer.norm, expected.detach().numpy(), rtol=1e-5)


def test_a_normalisation_has_one_weight_a_unit() -> None:
    module = nn.BatchNorm2d(3)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([1.0, -2.0, 0.0]))
    layer = read_layer(module, 3, None)
    assert layer is not None
    assert layer.norm.tolist() == [1, 2, 0]
    assert layer.inputs == 1


@pytest.mark.parametrize(
    ("module", "units"),
    [(nn.Linear(3, 4), 5), (nn.ReLU(), 3), (nn.BatchNorm1d(3, affine=False), 3), (nn.PReLU(), 3)],
)
def test_what_has_no_weights_of_its_units_is_not_read(module: nn.Module, units: int) -> None:
    assert read_layer(module, units, None) is None


def test_weights_by_channel_of_the_input() -> None:
    module = nn.Linear(12, 5)
    layer = read_layer(module, 5, 3)
    assert layer is not None
    np.testing.assert_allclose(layer.by_input, module.weight.detach().reshape(5, 3, 4).sum(-1), rtol=1e-6)
    assert read_layer(module, 5, 7).by_input is None  # type: ignore[union-attr]
    assert read_layer(nn.Linear(2000, 600), 600, 2000).by_input is None  # type: ignore[union-attr]
