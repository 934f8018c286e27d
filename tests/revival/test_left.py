"""Units that cannot be silenced are left as they are, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.revival import revive
from leaky_tests.revival.planted import SEQUENCES, VECTORS, Net, plain, planted


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
