"""The proofs: bounds hold for what networks compute, corners and roundings included, and are as tight as they can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from leaky.torch.bounds import prove, ranged
from leaky_tests.torch.bounds.bounding import assert_holds, corners, everywhere


class Plus(nn.Module):
    """A residual connection."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Do(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def activation(draw: Callable[[Any], Any], channels: int) -> nn.Module:
    return draw(
        st.sampled_from(
            [
                nn.ReLU(inplace=True),
                nn.ReLU(),
                nn.LeakyReLU(0.1),
                nn.LeakyReLU(-0.3),
                nn.PReLU(channels),
                nn.ReLU6(),
                nn.Hardtanh(),
                nn.Sigmoid(),
                nn.Tanh(),
                nn.ELU(),
                nn.GELU(),
                nn.SiLU(),
                nn.RReLU(),
                nn.Threshold(0.1, 0.05),
                nn.Mish(),
                nn.Hardswish(),
                Do(lambda x: x.clamp(min=0)),
                Do(lambda x: torch.where(x > 0.1, x, -0.2)),
                Do(lambda x: x * (x > 0) - x.abs() / 2),
                Do(lambda x: torch.maximum(x, 0.3 * x) + x.square() - 1.5 * x**3 / (2 + x.sigmoid())),
            ]
        )
    )


@st.composite
def convolutional(draw: Callable[[Any], Any]) -> tuple[nn.Module, tuple[int, ...]]:
    """Return a network of every kind of layer, some of its units planted dead by their bias."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    channels, layers = 4, []
    for _ in range(draw(st.integers(1, 4))):
        groups = draw(st.sampled_from([1, 2, 4]))
        dilation = draw(st.sampled_from([1, 2]))
        layer = draw(
            st.sampled_from(
                [
                    nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=groups),
                    nn.Conv2d(channels, channels, 3, padding=1, bias=False, padding_mode="reflect"),
                    nn.ConvTranspose2d(channels, channels, 3, padding=1, groups=groups, dilation=1),
                    Plus(nn.Conv2d(channels, channels, 1)),
                ]
            )
        )
        if getattr(layer, "bias", None) is not None:
            nn.init.constant_(layer.bias[0], draw(st.sampled_from([0.0, -0.5, -50.0])))
        layers.append(layer)
        if draw(st.booleans()):
            norm = nn.BatchNorm2d(channels)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.01, 3)
            layers.append(norm)
        layers.append(activation(draw, channels))
        pool = draw(
            st.sampled_from(
                [
                    nn.Dropout(),
                    nn.MaxPool2d(3, 1, 1),
                    nn.AvgPool2d(3, 1, 1),
                    nn.AdaptiveAvgPool2d(5),
                    Do(lambda x: torch.cat([x[:, 2:], x[:, :2].flip(1)], 1)),
                    Do(lambda x: F.pad(x, (1, 1), value=0.5).roll(1, 2)),
                    Do(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
                    Do(lambda x: x.transpose(2, 3).contiguous()),
                    Do(lambda x: x * x.mean((2, 3), keepdim=True)),
                ]
            )
        )
        layers.append(pool)
    layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 6), nn.ReLU(), nn.Linear(6, 2)]
    return nn.Sequential(*layers).eval(), (channels, 6, 6)


@settings(max_examples=25)
@given(convolutional(), st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-0.01, 3.0), (0.2, 0.2)]))
def test_bounds_hold(drawn: tuple[nn.Module, tuple[int, ...]], limits: tuple[float, float]) -> None:
    model, shape = drawn
    proofs = prove(model, everywhere(shape, *limits))
    assert proofs.notes == ()
    low, high = (torch.full(shape, end) for end in limits)
    random = low + (high - low) * torch.rand(100, *shape)
    assert_holds(proofs, model, torch.cat([random, corners(model, low, high), low[None], high[None]]))


def planted() -> nn.Module:
    """Return a network with unit 0 of each site dead and unit 1 always on: by the bias, behind all kinds of layers."""
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, groups=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        Plus(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.ReLU())),
        nn.Dropout(),
        nn.MaxPool2d(2),
        nn.ConvTranspose2d(8, 8, 3, stride=2, groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 16),
        nn.ReLU6(),
        nn.Linear(16, 4),
    ).eval()
    with torch.no_grad():
        for layer in (layers[1], layers[3].inner[0], layers[6], layers[10]):
            layer.bias[0], layer.bias[1] = -60, 60
    return layers


def test_planted_units_are_proved_and_no_input_contradicts() -> None:
    model, shape = planted(), (3, 8, 8)
    proofs = prove(model, everywhere(shape, -1, 1))
    assert list(proofs.sites) == ["2", "3.inner.1", "7", "11"]
    for proof in proofs.sites.values():
        assert proof.dead[0]
        assert proof.always_on[1]
        assert not (proof.dead & proof.always_on).any()
    inputs = torch.rand(10_000, *shape) * 2 - 1
    assert_holds(proofs, model, torch.cat([inputs, corners(model, -torch.ones(shape), torch.ones(shape))]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["linear", "convolution", "transposed"])
def test_a_single_layer_is_bounded_by_its_true_extremes(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    layer, shape = {
        "linear": (nn.Linear(40, 5), (40,)),
        "convolution": (nn.Conv2d(4, 5, 3, dilation=2), (4, 5, 5)),
        "transposed": (nn.ConvTranspose2d(4, 5, 3, groups=1), (4, 1, 1)),
    }[kind]
    model = nn.Sequential(layer, nn.ReLU()).to(dtype)
    proof = prove(model, everywhere(shape, -0.5, 2, dtype)).sites["1"]
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
    # of each unit, at each place: a transposed convolution of one place sees one number of each kernel
    rows = weight.transpose(0, 1).flatten(2) if kind == "transposed" else weight.flatten(1)[..., None]
    high = (bias[:, None] + (2 * rows.clamp(min=0) - 0.5 * rows.clamp(max=0)).sum(1)).amax(1)
    low = (bias[:, None] + (2 * rows.clamp(max=0) - 0.5 * rows.clamp(min=0)).sum(1)).amin(1)
    # a few times terms × unit roundoff × sum of absolute values
    slack = 4 * 64 * torch.finfo(dtype).eps * (2 * rows.abs().sum((1, 2)) + bias.abs()).numpy()
    assert (proof.upper >= high.numpy()).all()
    assert (proof.upper <= high.numpy() + slack).all()
    assert (proof.lower <= low.numpy()).all()
    assert (proof.lower >= low.numpy() - slack).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-6, 1e-3, 1.0, 30.0]))
def test_roundings_of_every_type(dtype: torch.dtype, seed: int, scale: float) -> None:
    """Inputs at a point: all that the bounds leave is roundings, which cancellation makes large."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 4), nn.ReLU())
    with torch.no_grad():
        model[2].weight[:, 8:] = -model[2].weight[:, :8]
        model[0].weight[8:] = model[0].weight[:8]
        model[0].bias[8:] = model[0].bias[:8]
    model = model.to(dtype)
    x = (torch.randn(24) * scale).to(dtype)
    proofs = prove(model, ranged(x.expand(2, 24), x.expand(2, 24), dtype))
    assert_holds(proofs, model, x.repeat(9, 1))


def test_nothing_reaches_a_layer_without_biases_behind_a_dead_one() -> None:
    for dtype in (torch.float32, torch.float64):
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4, bias=False), nn.ReLU()).to(dtype)
        nn.init.constant_(model[0].bias, -9)
        assert prove(model, everywhere((4,), -1, 1, dtype)).sites["3"].dead.all()


def test_numbers_that_may_overflow_prove_nothing() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
    nn.init.constant_(model[0].weight, 1e30)
    proofs = prove(model, everywhere((4,), -1e30, -1))
    assert not proofs.sites["1"].dead.any()
    assert "overflow" in proofs.notes[0]


def test_the_network_is_not_touched() -> None:
    model = planted().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    prove(model, everywhere((3, 8, 8), -1, 1))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.0, float("nan"), "upper: nan; expected finite numbers"),
        (-np.inf, 0.0, "lower: -inf; expected finite numbers"),
        ([0.0, 2.0], [1.0, 1.0], "lower: 2.0, above upper: 1.0; expected lower <= upper"),
    ],
)
def test_bad_ranges(low: Any, high: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ranged(low, high)
