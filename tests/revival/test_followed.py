"""Behind all that reviving follows nothing changes, to the bit, and the units learn again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky
from leaky.revival import networks as reviving
from leaky.revival import revive
from leaky_tests.revival.planted import IMAGES, SEQUENCES, SIGNALS, VECTORS, Net, Planted, plain, planted


class Product(nn.Module):
    """A linear layer laid out the other way round, as GPT-2 has it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


def gated(net: Any, x: Tensor) -> Tensor:
    y = torch.relu(net.a(x))
    return net.b(y * torch.sigmoid(net.gate(y.mean((2, 3))))[:, :, None, None])


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
