from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky
from leaky.checkup import Check
from leaky.revival import networks as reviving
from leaky.revival import revive


class Net(nn.Module):
    """A network whose forward pass is a function of its layers and the input."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.rule = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.rule(self, x)


class Product(nn.Module):
    """A linear layer laid out the other way round, as GPT-2 has it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def gated(net: Any, x: Tensor) -> Tensor:
    y = torch.relu(net.a(x))
    return net.b(y * torch.sigmoid(net.gate(y.mean((2, 3))))[:, :, None, None])


VECTORS, IMAGES, SIGNALS, SEQUENCES = (40, 6), (10, 4, 9, 9), (10, 4, 16), (10, 5, 6)

# Each network, the shape of its data, and the layer to be killed: its units 1 and 2.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "linear": (plain, VECTORS, "0"),
    "in place": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 3)), VECTORS, "0"),
    "relu6": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU6(), nn.Linear(8, 3)), VECTORS, "0"),
    "no bias behind": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3, bias=False)), VECTORS, "0"),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)), VECTORS, "0"),
    "clamp": (lambda: Net(lambda n, x: n.b(n.a(x).clamp(min=0)), a=nn.Linear(6, 8), b=nn.Linear(8, 3)), VECTORS, "a"),
    "maximum": (
        lambda: Net(lambda n, x: n.b(torch.maximum(n.a(x), torch.zeros(()))), a=nn.Linear(6, 8), b=nn.Linear(8, 3)),
        VECTORS,
        "a",
    ),
    "sequences": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), SEQUENCES, "0"),
    "laid out the other way": (
        lambda: nn.Sequential(Product(6, 8), nn.ReLU(), Product(8, 3)),
        VECTORS,
        "0",
    ),
    "self-attention behind": (
        lambda: Net(
            lambda n, x: n.at(y := torch.relu(n.a(x)), y, y, need_weights=False)[0],
            a=nn.Linear(6, 8),
            at=nn.MultiheadAttention(8, 2, batch_first=True),
        ),
        SEQUENCES,
        "a",
    ),
    "two readers": (
        lambda: Net(
            lambda n, x: n.b(y := torch.relu(n.a(x))) + n.c(y), a=nn.Linear(6, 8), b=nn.Linear(8, 3), c=nn.Linear(8, 3)
        ),
        VECTORS,
        "a",
    ),
    "concatenation": (
        lambda: Net(lambda n, x: n.b(torch.cat([x, torch.relu(n.a(x))], 1)), a=nn.Linear(6, 8), b=nn.Linear(14, 3)),
        VECTORS,
        "a",
    ),
    "scaled": (
        lambda: Net(lambda n, x: n.b(torch.relu(n.a(x)) * 0.5), a=nn.Linear(6, 8), b=nn.Linear(8, 3)),
        VECTORS,
        "a",
    ),
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1, stride=2)),
        IMAGES,
        "0",
    ),
    "convolution in one dimension": (
        lambda: nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 3, 3)),
        SIGNALS,
        "0",
    ),
    "grouped": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=2)),
        IMAGES,
        "0",
    ),
    "depthwise": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 3, 1)),
        IMAGES,
        "0",
    ),
    "shuffled groups": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, 1, groups=2), nn.ReLU(), nn.ChannelShuffle(2), nn.Conv2d(8, 6, 3, groups=2)
        ),
        IMAGES,
        "0",
    ),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(4, 8, 2, stride=2), nn.ReLU(), nn.ConvTranspose2d(8, 3, 3)),
        IMAGES,
        "0",
    ),
    "transposed, grouped": (
        lambda: nn.Sequential(nn.ConvTranspose1d(4, 8, 3, groups=2), nn.ReLU(), nn.ConvTranspose1d(8, 6, 3, groups=2)),
        SIGNALS,
        "0",
    ),
    "pooled and flattened": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2, 1), nn.Flatten(), nn.Linear(8 * 4, 3)
        ),
        IMAGES,
        "0",
    ),
    "pooled to a point": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, 3),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 3),
        ),
        IMAGES,
        "0",
    ),
    "padded": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, 3), nn.ReLU(), nn.ZeroPad2d(1), nn.ReflectionPad2d(1), nn.Conv2d(8, 3, 3)
        ),
        IMAGES,
        "0",
    ),
    "channels last": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3)).to(memory_format=torch.channels_last),
        IMAGES,
        "0",
    ),
    "axes moved": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(2), Moved(), nn.Linear(8, 3)),
        IMAGES,
        "0",
    ),
    "gate": (
        lambda: Net(gated, a=nn.Conv2d(4, 8, 3), gate=nn.Linear(8, 8), b=nn.Conv2d(8, 3, 3)),
        IMAGES,
        "a",
    ),
    "normalised": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 3)),
        IMAGES,
        "1",
    ),
    "normalised, double": (
        lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double(),
        VECTORS,
        "1",
    ),
    "bfloat16": (lambda: plain().to(torch.bfloat16), VECTORS, "0"),
}


class Moved(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.movedim(1, 2)


def kill(layer: nn.Module, *units: int) -> None:
    with torch.no_grad():
        layer.bias[list(units)] = -1000.0


@dataclass
class Planted:
    model: nn.Module
    x: Tensor
    check: Check
    before: Tensor

    def same(self) -> bool:
        return self.bits(self.model.eval()(self.x)).equal(self.bits(self.before))

    @staticmethod
    def bits(x: Tensor) -> Tensor:
        return x.detach().contiguous().view(torch.uint8)


def planted(build: Callable[[], nn.Module], shape: tuple[int, ...], *killed: str) -> Planted:
    torch.manual_seed(1)
    model = build()
    for path in killed:
        kill(model.get_submodule(path), 1, 2)
    x = torch.randn(shape).to(next(model.parameters()).dtype)
    return Planted(model, x, leaky.check(model, x), model.eval()(x).detach())


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_changes_and_the_units_learn_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build, shape, killed = NETWORKS[name]
    net = planted(build, shape, killed)
    # What is followed is right by itself, without being held against the outputs.
    monkeypatch.setattr(reviving._Attempt, "compare", lambda *_: None)
    revival = revive(net.model, net.check, data=net.x, seed=0)
    (revived,) = revival.revived
    assert {1, 2} <= set(revived.units)
    assert not revival.left
    assert net.same()
    after = leaky.check(net.model, net.x)
    assert not after.sites[revived.site].dead.any()
    assert 0.1 < revived.active < 0.9
    learn(net, revived.layer)


def learn(net: Planted, path: str) -> None:
    """See the gradient come: first the outgoing weights move, then the incoming ones."""
    layer = net.model.get_submodule(path)
    optimizer = torch.optim.SGD(net.model.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        out = net.model.train()(net.x)
        F.mse_loss(out, torch.ones_like(out)).backward()
        assert layer.bias is None or layer.bias.grad is not None
        rows = row_gradients(layer)
        assert bool((rows[[1, 2]] != 0).any(dim=1).all()) == (step == 1)
        optimizer.step()


def row_gradients(layer: nn.Module) -> Tensor:
    gradient = layer.weight.grad
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
        grouped = gradient.reshape(layer.groups, -1, *gradient.shape[1:])
        return grouped.transpose(1, 2).flatten(0, 1).flatten(1)
    return (gradient.T if isinstance(layer, Product) else gradient).flatten(1)


def residual(net: Any, x: Tensor) -> Tensor:
    return net.b(x + torch.relu(net.a(x)))


def both_ways(net: Any, x: Tensor) -> Tensor:
    y = net.a(x)
    return net.b(torch.cat([torch.relu(y), torch.relu(-y)], 1))


def twice(net: Any, x: Tensor) -> Tensor:
    return net.c(torch.relu(net.a(torch.relu(net.a(x)))))


def tied(net: Any, x: Tensor) -> Tensor:
    return F.linear(torch.relu(net.a(x)), net.a.weight.T)


def computed(net: Any, x: Tensor) -> Tensor:
    return F.linear(torch.relu(net.a(x)), net.b.weight * 2)


def aliased(net: Any, x: Tensor) -> Tensor:
    y = net.a(x)
    flat = y.view(-1)
    torch.relu_(y)
    return net.b(flat.view(len(x), -1))


def copied(net: Any, x: Tensor) -> Tensor:
    room = torch.empty(len(x), 8)
    room[:, :] = torch.relu(net.a(x))
    return net.b(room)


def constant_behind() -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3))
    nn.init.constant_(net[2].bias, 0.5)
    return net


def frozen(*path: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        net = plain()
        for each in path:
            net.get_parameter(each).requires_grad_(False)
        return net

    return build


def layers(**more: nn.Module) -> dict[str, nn.Module]:
    return {"a": nn.Linear(6, 8), "b": nn.Linear(8, 3), **more}


LEFT: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, str]] = {
    "residual": (
        lambda: Net(residual, a=nn.Linear(6, 6), b=nn.Linear(6, 3)),
        VECTORS,
        "a",
        "its output is added to others",
    ),
    "an output": (
        lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU()),
        VECTORS,
        "0",
        "its output is an output of the network",
    ),
    "shared module": (
        lambda: Net(twice, a=nn.Linear(6, 6), c=nn.Linear(6, 3)),
        VECTORS,
        "a",
        "a.weight is used more than once",
    ),
    "tied weights": (lambda: Net(tied, a=nn.Linear(6, 8)), VECTORS, "a", "a.weight is used more than once"),
    "computed weights": (lambda: Net(computed, **layers()), VECTORS, "a", "its output goes through mm"),
    "weight_norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3)),
        VECTORS,
        "0",
        "no single row of weights makes it",
    ),
    "two activations": (
        lambda: Net(both_ways, a=nn.Linear(6, 8), b=nn.Linear(16, 3)),
        VECTORS,
        "a",
        "its pre-activation goes to several activations",
    ),
    "an activation and more": (
        lambda: Net(lambda n, x: n.b(torch.relu(y := n.a(x))) + n.c(y), **layers(c=nn.Linear(8, 3))),
        VECTORS,
        "a",
        "its pre-activation goes to c without an activation",
    ),
    "normalised behind": (constant_behind, VECTORS, "0", "its output is not 0 where 3 reads it"),
    "LayerNorm behind": (
        lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3)),
        VECTORS,
        "0",
        "its output goes through native_layer_norm in 2",
    ),
    "attention": (
        lambda: Net(lambda n, x: n.b(F.scaled_dot_product_attention(y := torch.relu(n.a(x)), y, y)), **layers()),
        SEQUENCES,
        "a",
        "its output goes through",
    ),
    "frozen": (frozen("0.weight"), VECTORS, "0", "0.weight is frozen"),
    "frozen reader": (frozen("2.weight"), VECTORS, "0", "2.weight is frozen"),
    "overwritten": (lambda: Net(aliased, **layers()), VECTORS, "a", "is overwritten by way of another view"),
    "copied": (lambda: Net(copied, **layers()), VECTORS, "a", "its output goes through copy"),
    "read by nothing": (
        lambda: Net(lambda n, x: n.b(x) + 0 * len(torch.relu(n.a(x))), a=nn.Linear(6, 8), b=nn.Linear(6, 3)),
        VECTORS,
        "a",
        "no layer reads its output",
    ),
    "exponential behind": (
        lambda: Net(lambda n, x: n.b(torch.exp(torch.relu(n.a(x)))), **layers()),
        VECTORS,
        "a",
        "its output is not 0 where b reads it",
    ),
    "shifted": (
        lambda: Net(lambda n, x: n.b(torch.relu(n.a(x)) + n.s.weight[0]), **layers(s=nn.Linear(8, 1))),
        VECTORS,
        "a",
        "its output is not 0 where b reads it",
    ),
    "a sum over units": (
        lambda: Net(lambda n, x: n.b(torch.relu(n.a(x)).sum(1, keepdim=True)), a=nn.Linear(6, 8), b=nn.Linear(1, 3)),
        VECTORS,
        "a",
        "its output is mixed with others",
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_cannot_be_silenced_is_left_with_the_reason(name: str) -> None:
    build, shape, killed, reason = LEFT[name]
    net = planted(build, shape, killed)
    state = {key: value.clone() for key, value in net.model.state_dict().items()}
    revival = revive(net.model, net.check, data=net.x, seed=0)
    assert not revival.revived
    assert revival.samples == 0
    assert {1, 2} <= {unit for each in revival.left for unit in each.units}
    assert all(reason in each.reason for each in revival.left), revival
    assert all(value.equal(state[key]) for key, value in net.model.state_dict().items())
    assert net.same()


def test_of_two_dead_units_that_are_multiplied_one_is_revived() -> None:
    def forward(net: Any, x: Tensor) -> Tensor:
        y, z = torch.relu(net.a(x)), torch.relu(net.c(x))
        return net.b(y * z) + net.d(z)

    net = planted(lambda: Net(forward, **layers(c=nn.Linear(6, 8), d=nn.Linear(8, 3))), VECTORS, "a", "c")
    revival = revive(net.model, net.check, data=net.x, seed=0)
    assert [(each.site, each.units) for each in revival.revived] == [("relu()", (1, 2))]
    assert [(each.site, each.units) for each in revival.left] == [("relu()[1]", (1, 2))]
    assert revival.left[0].reason == "its output multiplies others"
    assert net.same()
