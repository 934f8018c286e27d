from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.conversion.initialisation import Rescaled, rescale
from leaky.evidence import Site
from leaky.function import gain
from leaky.torch import LeakyReLU
from leaky.torch.watch import undisturbed, watch

RATIO = gain(0.3) / gain(0.0)


class Net(nn.Module):
    """A network whose forward is handed over."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self._run = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self._run(self, x)


def sites_of(model: nn.Module, x: Tensor) -> list[Site]:
    with undisturbed(model), watch(model) as seen, torch.no_grad():
        model(x)
    return [site for site, _ in seen.sites.values()]


def rescaled(
    model: nn.Module, x: Tensor, slope: float = 0.3, only: Callable[[Site], bool] = lambda site: site.kind != "sigmoid"
) -> tuple[Rescaled, dict[str, float]]:
    """Rescale for a slope at all sites, or some; return by what each parameter was multiplied, of those that were."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters(remove_duplicate=False)}
    sites = sites_of(model, x)
    result = rescale(model, sites, {site.name: slope for site in sites if only(site)})
    factors = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        ratios = (parameter.detach() / before[name])[before[name] != 0]
        assert ratios.numel() == 0 or ratios.max() - ratios.min() < 1e-5
        if ratios.numel() and abs(ratios.mean() - 1) > 1e-6:
            factors[name] = ratios.mean().item()
    return result, factors


def deep(depth: int, width: int, init: Callable[[nn.Module], None], act: Callable[[], nn.Module]) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(width, width), act())))
    model.apply(init)
    return model


def he(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)


def mean_squares(model: nn.Sequential, x: Tensor) -> list[float]:
    """Return the mean square of what each rectifier puts out, by depth."""
    found = []
    with torch.no_grad():
        for layer in model:
            x = layer(x)
            if not isinstance(layer, nn.Linear):
                found.append(x.square().mean().item())
    return found


def with_slope(model: nn.Sequential, slope: float) -> nn.Sequential:
    return nn.Sequential(
        *(layer if isinstance(layer, nn.Linear) else LeakyReLU(slope) for layer in copy.deepcopy(model))
    )


# What PyTorch itself does to a Linear, its biases among it: signals fade with depth, and are to fade as they did.
@pytest.mark.parametrize("init", [he, lambda layer: None], ids=["He et al.", "PyTorch's own"])
def test_signals_have_the_size_that_they_had_all_along_a_deep_network(init: Callable[[nn.Module], None]) -> None:
    depth = 40
    model, x = deep(depth, 256, init, nn.ReLU), torch.randn(128, 256)
    converted = with_slope(model, 0.3)
    before, unscaled = mean_squares(model, x), mean_squares(converted, x)
    result = rescale(converted, sites_of(model, x), {str(2 * n + 1): 0.3 for n in range(depth)})
    after = mean_squares(converted, x)
    assert result.layers == {str(2 * n + 1): (str(2 * n), RATIO) for n in range(depth)}
    assert result.notes == ()
    ratios = [a / b for a, b in zip(after, before, strict=True)]
    assert all(0.4 < ratio < 2.5 for ratio in ratios)  # random weights differ from their expectation
    if init is he:
        assert unscaled[-1] / before[-1] > 1.09**depth / 4


def test_gradients_have_the_size_that_they_had() -> None:
    def first_gradient(model: nn.Sequential) -> float:
        model.zero_grad()
        model(x).square().mean().backward()
        return model[0].weight.grad.square().mean().item()

    depth = 30
    model, x = deep(depth, 256, he, nn.ReLU), torch.randn(64, 256)
    converted = with_slope(model, 0.3)
    before, unscaled = first_gradient(model), first_gradient(converted)
    rescale(converted, sites_of(model, x), {str(2 * n + 1): 0.3 for n in range(depth)})
    assert 0.3 < first_gradient(converted) / before < 3
    assert unscaled / before > 10


def test_weights_and_biases_are_multiplied_by_the_ratio_of_gains() -> None:
    model = deep(2, 4, lambda layer: None, nn.ReLU)
    result, factors = rescaled(model, torch.randn(5, 4))
    assert factors == pytest.approx(dict.fromkeys(["0.weight", "0.bias", "2.weight", "2.bias"], RATIO))
    assert result == Rescaled({"1": ("0", RATIO), "3": ("2", RATIO)}, ())
    assert pytest.approx(1 / math.sqrt(1.09)) == RATIO


@pytest.mark.parametrize(
    ("act", "old"),
    [
        (nn.ReLU(), 0.0),
        (nn.ReLU6(), 0.0),
        (nn.LeakyReLU(0.1), 0.1),
        (nn.PReLU(init=0.25), 0.25),
        (nn.RReLU(0.1, 0.3), 0.2),
    ],
)
def test_the_gain_of_what_it_was(act: nn.Module, old: float) -> None:
    _, factors = rescaled(nn.Sequential(nn.Conv2d(2, 4, 3), act), torch.randn(3, 2, 8, 8))
    assert factors == pytest.approx({"0.weight": gain(0.3) / gain(old), "0.bias": gain(0.3) / gain(old)})


def test_slopes_of_channels_count_by_their_squares() -> None:
    act = nn.PReLU(4)
    act.weight.data = torch.tensor([0.0, 0.1, -0.3, 0.4])
    _, factors = rescaled(nn.Sequential(nn.Linear(2, 4), act), torch.randn(3, 2))
    assert factors["0.weight"] == pytest.approx(gain(0.3) / gain(math.sqrt(0.26 / 4)))


def test_the_same_slope_changes_nothing() -> None:
    result, factors = rescaled(nn.Sequential(nn.Linear(2, 4), LeakyReLU(0.3)), torch.randn(3, 2))
    assert (factors, result) == ({}, Rescaled({}, ()))


def relu(name: str) -> Callable[[Any, Tensor], Tensor]:
    return lambda net, x: torch.relu(getattr(net, name)(x))


conv, linear = lambda: nn.Conv2d(2, 2, 3, padding=1), lambda: nn.Linear(4, 4)
IMAGE, ROW = torch.randn(6, 2, 8, 8), torch.randn(6, 4)

SCALED: dict[str, tuple[Net, Tensor, set[str]]] = {
    "transposed convolution": (Net(relu("a"), a=nn.ConvTranspose2d(2, 3, 3)), IMAGE, {"a"}),
    "embedding": (Net(relu("a"), a=nn.Embedding(9, 4)), torch.arange(9)[None], {"a"}),
    "through views and pooling": (
        Net(lambda n, x: F.relu(F.max_pool2d(n.a(x), 2).flatten(1)[:, :3]), a=conv()),
        IMAGE,
        {"a"},
    ),
    "through dropout and a constant": (
        Net(lambda n, x: F.relu(n.d(n.a(x)) * 2), a=linear(), d=nn.Dropout()),
        ROW,
        {"a"},
    ),
    "a bias added by hand": (Net(lambda n, x: F.relu(x @ n.a.weight + n.a.bias), a=linear()), ROW, {"a"}),
    "one layer for two sites": (Net(lambda n, x: F.relu(n.a(x)) + F.relu(-n.a(x)), a=linear()), ROW, {"a"}),
    "one output for two sites": (Net(lambda n, x: F.relu(h := n.a(x)) + F.relu(-h), a=linear()), ROW, {"a"}),
    "a module twice": (Net(lambda n, x: F.relu(n.a(F.relu(n.a(x)))), a=linear()), ROW, {"a"}),
    "weight norm": (Net(relu("a"), a=nn.utils.parametrizations.weight_norm(linear())), ROW, {"a"}),
}


@pytest.mark.parametrize("case", SCALED)
def test_pre_activations_are_multiplied_where_one_layer_makes_them(case: str) -> None:
    """Not the weights alone: what the rectifier is fed is measured."""
    model, x, layers = SCALED[case]
    fed: list[Tensor] = []

    def pre_activations() -> list[Tensor]:
        fed.clear()
        with torch.no_grad(), undisturbed(model), pytest.MonkeyPatch.context() as patch:
            patch.setattr(F, "relu", lambda h: fed.append(h) or torch.relu(h))
            patch.setattr(torch, "relu", lambda h, old=torch.relu: fed.append(h) or old(h))
            model(x)
        return list(fed)

    before = pre_activations()[0]
    result, _ = rescaled(model, x)
    assert {layer for layer, _ in result.layers.values()} == layers
    assert all(factor == RATIO for _, factor in result.layers.values())
    assert result.notes == ()
    torch.testing.assert_close(pre_activations()[0], before * RATIO)


def tied() -> dict[str, nn.Module]:
    one, other = linear(), linear()
    other.weight = one.weight
    return {"a": one, "b": other}


NORMALISED = "a normalisation, or another layer that only scales, comes before it"
NOT_ALONE = "it is not fed a layer's output alone, but a sum, or what was normalised since"
SHARED = "the layer's weights are another layer's too"
OTHER = "the layer feeds another activation too, which does not change like it"
MADE = "the layer's weights are made of others, which set their size"
NAMELESS = "what feeds it has no weights by that name"


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix


KEPT: dict[str, tuple[Net, Tensor, str]] = {
    "batch norm": (Net(lambda n, x: F.relu(n.b(n.a(x))), a=conv(), b=nn.BatchNorm2d(2)), IMAGE, NORMALISED),
    "layer norm": (Net(lambda n, x: F.relu(n.b(n.a(x))), a=linear(), b=nn.LayerNorm(4)), ROW, NORMALISED),
    "norm without weights": (Net(lambda n, x: F.relu(n.b(n.a(x))), a=conv(), b=nn.InstanceNorm2d(2)), IMAGE, NOT_ALONE),
    "functional norm": (Net(lambda n, x: F.relu(F.layer_norm(n.a(x), (4,))), a=linear()), ROW, NOT_ALONE),
    "norm by hand": (Net(lambda n, x: F.relu(F.normalize(n.a(x))), a=linear()), ROW, NOT_ALONE),
    "residual": (Net(lambda n, x: F.relu(n.a(x) + x), a=linear()), ROW, NOT_ALONE),
    "sum of two layers": (Net(lambda n, x: F.relu(n.a(x) + n.b(x)), a=linear(), b=linear()), ROW, NOT_ALONE),
    "two layers side by side": (
        Net(lambda n, x: F.relu(torch.cat([n.a(x), n.b(x)], 1)), a=linear(), b=linear()),
        ROW,
        NOT_ALONE,
    ),
    "gated": (Net(lambda n, x: F.relu(n.a(x) * n.b(x)), a=linear(), b=linear()), ROW, NOT_ALONE),
    "a number added": (Net(lambda n, x: F.relu(n.a(x) + 1), a=linear()), ROW, NOT_ALONE),
    "mean": (Net(lambda n, x: F.relu(n.a(x).mean((2, 3))), a=conv()), IMAGE, NOT_ALONE),
    "sigmoid too": (Net(lambda n, x: F.relu(h := n.a(x)) * h.sigmoid(), a=linear()), ROW, OTHER),
    "tied, to one that feeds no site": (Net(lambda n, x: n.b(F.relu(n.a(x))), **tied()), ROW, SHARED),
    "spectral norm": (Net(relu("a"), a=nn.utils.parametrizations.spectral_norm(linear())), ROW, MADE),
    "weights by another name": (Net(relu("a"), a=Own()), ROW, NAMELESS),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_is_left_alone_and_why(case: str) -> None:
    model, x, reason = KEPT[case]
    result, factors = rescaled(model, x)
    assert (result.layers, factors) == ({}, {})
    assert result.notes == (f"Initial weights stay as they are before 1 site (relu()): {reason}.",)


def test_tied_layers_that_both_feed_rectifiers_are_multiplied_once() -> None:
    model = Net(lambda n, x: F.relu(n.b(F.relu(n.a(x)))), **tied())
    result, factors = rescaled(model, ROW)
    assert len(result.layers) == 2
    assert factors == pytest.approx(dict.fromkeys(["a.weight", "a.bias", "b.weight", "b.bias"], RATIO))
    model = Net(lambda n, x: F.relu(n.b(F.relu(n.a(x)))), **tied())
    result, factors = rescaled(model, ROW, only=lambda site: site.name == "relu()")
    assert factors == {}
    assert SHARED in result.notes[0]


def test_only_what_is_converted_counts() -> None:
    model = deep(3, 4, lambda layer: None, nn.ReLU)
    result, factors = rescaled(model, ROW, only=lambda site: site.name == "3")
    assert set(factors) == {"2.weight", "2.bias"}
    assert list(result.layers) == ["3"]


def test_sites_with_one_reason_share_a_line() -> None:
    layers = [layer for _ in range(5) for layer in (nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())]
    result, _ = rescaled(nn.Sequential(*layers), ROW)
    assert result.notes == (f"Initial weights stay as they are before 5 sites (2, 5, 8 and others): {NORMALISED}.",)
    assert rescaled(nn.Sequential(nn.Linear(4, 4), nn.Hardtanh()), ROW)[0].notes == (
        "Initial weights stay as they are before 1 site (1): the gain of what it was is not known.",
    )


def test_wrappers() -> None:
    model = deep(1, 4, lambda layer: None, nn.ReLU)
    before = model[0].weight.detach().clone()
    rescale(nn.DataParallel(model), sites_of(model, ROW), {"1": 0.3})
    torch.testing.assert_close(model[0].weight.detach(), before * RATIO)
