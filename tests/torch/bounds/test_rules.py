"""The bounds that single operations give: none too narrow, and few much too wide."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.torch.bounds import bounds_of, ranged


def bounded(function: Callable[..., Any], *limits: tuple[float, float]) -> tuple[float, float]:
    """Return the bounds of a function of numbers in ranges."""
    with torch.no_grad():
        bounds = bounds_of(function(*(ranged(torch.full((1,), low), high) for low, high in limits)))
    assert bounds is not None
    return bounds.lower.min().item(), bounds.upper.max().item()


@pytest.mark.parametrize(
    "function",
    [
        *(F.relu, F.silu, F.gelu, F.mish, F.hardswish, F.elu, F.selu, F.celu, F.hardsigmoid, F.relu6),
        *(torch.sigmoid, torch.tanh, torch.exp, torch.abs, torch.square, torch.atan, torch.erf, torch.neg),
        *(lambda x: F.gelu(x, approximate="tanh"), lambda x: F.leaky_relu(x, -0.5), lambda x: F.threshold(x, 1, 0.5)),
        *(
            lambda x: x * x,
            lambda x: x**2,
            lambda x: x**3,
            lambda x: 1 - x / 3,
            lambda x: 2 / (x + 9),
            lambda x: x.clamp(-1, 2),
        ),
        *(lambda x: F.prelu(x, torch.tensor([1.5])), lambda x: x.half().float()),
    ],
)
def test_functions_are_bounded_by_their_true_extremes(function: Callable[[Tensor], Tensor]) -> None:
    for low, high in [(-4.0, 4.0), (-4.0, -2.0), (-2.0, -0.1), (-1.0, 0.0), (0.0, 0.5), (1.5, 4.0), (-1.0, -1.0)]:
        values = function(torch.linspace(low, high, 4001))
        lower, upper = bounded(function, (low, high))
        assert lower <= values.min() <= lower + 2e-2 * (1 + abs(lower))
        assert upper >= values.max() >= upper - 2e-2 * (1 + abs(upper))


@pytest.mark.parametrize(
    "function",
    [torch.add, torch.sub, torch.mul, torch.maximum, lambda a, b: a / (b + 9)],
)
def test_functions_of_two_are_bounded(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    for one, other in [((-1.0, 2.0), (-3.0, 0.5)), ((-2.0, -1.0), (-3.0, -2.5)), ((1.0, 2.0), (-1.0, 4.0))]:
        values = function(*torch.meshgrid(torch.linspace(*one, 101), torch.linspace(*other, 101), indexing="ij"))
        lower, upper = bounded(function, one, other)
        assert lower <= values.min() <= lower + 2e-2
        assert upper >= values.max() >= upper - 2e-2


@pytest.mark.parametrize(
    "function", [F.softsign, lambda x: torch.where(x > 1, x, -3.0), lambda x: torch.where(x <= 0.5, x * 0.5, 2 - x)]
)
def test_what_depends_on_itself_is_bounded_loosely(function: Callable[[Tensor], Tensor]) -> None:
    for low, high in [(-4.0, 4.0), (-4.0, -2.0), (-1.0, 0.7), (1.5, 4.0)]:
        values = function(torch.linspace(low, high, 4001))
        lower, upper = bounded(function, (low, high))
        assert -5 < lower <= values.min()
        assert values.max() <= upper < 7


MASKS = [
    lambda x: (x > -0.5) & (x < 0.5),
    lambda x: (x > 0.5) | (x < -0.5),
    lambda x: ~(x > 0.3),
    lambda x: torch.logical_and(x > -0.5, torch.logical_not(x >= 0.5)),
    lambda x: torch.logical_or(x > 2.5, x < -3.5),
    lambda x: (x > -0.5).logical_and_(x < 0.5),
    lambda x: (x > -0.5) & torch.tensor(True),
    lambda x: (x > -0.5) | True,
    lambda x: (x > -0.5) ^ (x < 0.5),
    lambda x: torch.logical_or(x, x > 0.5),
    lambda x: torch.logical_and(x > -0.5, torch.tensor(-3.0)),
    lambda x: ((x > -0.5) & 2) > 0,
    lambda x: ((x > -0.5) | 2) > 1,
]


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_masks_are_followed_or_unknown(mask: Callable[[Tensor], Tensor], inference: bool) -> None:
    followed = MASKS.index(mask) < 8
    with torch.inference_mode(inference):
        for low, high in [(-4.0, 4.0), (-4.0, -2.0), (-0.3, 0.2), (0.6, 1.0), (1.0, 1.0), (0.0, 0.0)]:
            values = torch.where(mask(torch.linspace(low, high, 4001)), 1.0, -1.0)
            lower, upper = bounded(lambda x: torch.where(mask(x), 1.0, -1.0), (low, high))
            if followed:
                assert (values.min() - lower).abs() < 1e-6
                assert (values.max() - upper).abs() < 1e-6
            else:
                assert np.isnan([lower, upper]).all()


def test_products_of_what_varies_are_bounded() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(3, 5), torch.randn(5, 4)
    with torch.no_grad():
        bounds = bounds_of(ranged(a - 0.2, a + 0.1) @ ranged(b, b + 0.3))
    assert bounds is not None
    for _ in range(2000):
        product = (a - 0.2 + 0.3 * torch.rand(3, 5).round()) @ (b + 0.3 * torch.rand(5, 4).round())
        assert (bounds.lower <= product).all()
        assert (product <= bounds.upper).all()
    assert (bounds.upper - bounds.lower).max() < 5  # of values that differ by up to 3.5


def test_sums_in_the_worst_order_are_within_bounds() -> None:
    """Each addition to a large sum rounds the same way: the bound must grow with the number of terms."""
    count = 4096
    layers = nn.Conv2d(count, 1, 1), nn.ConvTranspose2d(count, 1, 1), nn.Linear(count, 1)
    for layer in layers:
        nn.init.constant_(layer.weight, 2**-24 * 1.5)
        nn.init.zeros_(layer.bias)
        layer.weight.data.flatten()[0] = 1
        x = torch.ones((1, count) if isinstance(layer, nn.Linear) else (1, count, 1, 1))
        with torch.no_grad():
            bounds = bounds_of(layer(ranged(x, x)))
        total = np.float32(0)
        for term in layer.weight.detach().flatten().numpy():
            total += term
        assert bounds is not None
        assert total > 1 + 1.3 * (count - 1) * 2**-24 * 1.5  # a third off
        assert bounds.lower.item() <= total <= bounds.upper.item()


def partly_unknown(x: Tensor, known: Tensor) -> Tensor:
    """Return ranges about x, of which some are unknown: those of an operation that is not followed."""
    low, high = ranged(x, x + 0.1), ranged(x, x + 0.1).sin()
    assert bounds_of(high).lower.isnan().all()
    return torch.where(known, low, high)


LAYERS = {
    "linear": (nn.Linear(6, 5), (4, 6)),
    "convolution": (nn.Conv2d(4, 6, 3, padding=1, groups=2), (2, 4, 6, 6)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 4, 4)),
    "left": (lambda x: x @ torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), (3, 4, 6)),
    "right": (lambda x: torch.randn(5, 4, generator=torch.Generator().manual_seed(0)) @ x, (3, 4, 6)),
    "both": (lambda x: x @ x.mT, (3, 4, 6)),
    "average": (lambda x: F.avg_pool2d(x, 2), (2, 4, 6, 6)),
    "larger": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), (2, 4, 6, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_unknown_leaves_alone_what_it_does_not_reach(name: str) -> None:
    """And is not let through where it is multiplied by 0: it may be infinite."""
    layer, shape = LAYERS[name]
    torch.manual_seed(0)
    if isinstance(layer, nn.Module):
        for weight in layer.parameters():
            weight.data.flatten()[::3] = 0
    x, known = torch.randn(shape), torch.rand(shape) > 0.02
    known.flatten()[5] = False
    with torch.no_grad():
        whole, part = bounds_of(layer(ranged(x, x + 0.1))), bounds_of(layer(partly_unknown(x, known)))
        reached = layer(torch.where(known, x, math.inf)).sub(layer(x)).isfinite().logical_not()
    assert whole is not None
    assert part is not None
    assert 0 < reached.sum() < reached.numel()
    for of_whole, of_part in zip(whole, part, strict=True):
        assert torch.equal(of_part.isnan(), reached)
        torch.testing.assert_close(of_part[~reached], of_whole[~reached], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sort(1).values,
        lambda x: x.sort(1, descending=True).values,
        lambda x: x.topk(2, 1).values,
        lambda x: x.softmax(1),
        lambda x: x.amax(1),
        lambda x: x.max(1).values,
        lambda x: F.max_pool1d(x, 2),
    ],
)
def test_what_is_unknown_may_be_anything(function: Callable[[Tensor], Tensor]) -> None:
    x, known = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[True, False, True, True]])
    with torch.no_grad():
        whole, part = bounds_of(function(ranged(x, x))), bounds_of(function(partly_unknown(x, known)))
    assert whole is not None
    assert part is not None
    assert whole.lower.isfinite().all()
    for unknown in (-9.0, 0.0, 2.5, 9.0, math.inf):
        values = function(torch.where(known, x, unknown))
        outside = (values < part.lower) | (values > part.upper) | values.isnan() & part.lower.isfinite()
        assert not outside.any()


def test_a_choice_among_rows_is_bounded_by_all_of_them() -> None:
    table = nn.Embedding(5, 3)
    with torch.no_grad():
        bounds = bounds_of(table(ranged(np.full((2, 4), 1), 3, torch.int64)))
    assert bounds is not None
    assert bounds.upper.shape == (2, 4, 3)
    np.testing.assert_array_equal(bounds.upper[0, 0].float(), table.weight[1:4].detach().amax(0))


def test_what_is_done_in_place_is_seen_through_every_view() -> None:
    x = ranged(torch.full((1, 4), -1.0), 3.0)
    with torch.no_grad():
        left, whole = x[:, :2], x.view(2, 2)
        left.relu_()
        whole[1].sub_(5)
        x[:, 3].sin_()
    bounds = bounds_of(x)
    assert bounds is not None
    np.testing.assert_allclose(bounds.lower, [[0, 0, -6, np.nan]], rtol=1e-6)
    np.testing.assert_allclose(bounds.upper, [[3, 3, -2, np.nan]], rtol=1e-6)
