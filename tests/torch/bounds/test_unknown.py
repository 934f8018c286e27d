"""What asks for values, is not followed or drawn at random proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.torch.bounds import bounds_of, follow, prove
from leaky_tests.torch.bounds.bounding import everywhere


class Reads(nn.Module):
    """Has a site before it asks for something, and one after."""

    def __init__(self, asks: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.first, self.second, self.asks = nn.Linear(3, 3), nn.Linear(3, 3), asks
        nn.init.constant_(self.first.bias, -9)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        given = self.asks(x)
        return torch.relu(self.second(given if isinstance(given, Tensor) else x) - 99)


def into(x: Tensor) -> Tensor:
    constant = torch.zeros(2, 3)
    constant[:, 0] = x[:, 0]
    return constant


@pytest.mark.parametrize(
    "asks",
    [
        lambda x: x + 1 if x.sum() > 0 else x,
        lambda x: x.sum().item(),
        lambda x: torch.from_numpy(x.numpy()),
        lambda x: torch.tensor(x.tolist()),
        lambda x: x[x > 0].sum() + x,
        lambda x: x[:, x[0].argmax()] if x.argmax() else x,
        into,
        lambda x: x.unsqueeze_(0)[0],
    ],
)
def test_what_asks_for_values_ends_the_proof(asks: Callable[[Tensor], Any]) -> None:
    proofs = prove(Reads(asks), everywhere((3,), -1, 1))
    (proof,) = proofs.sites.values()
    assert proof.dead.all()
    assert proofs.notes[-1].startswith("the forward pass could be followed no further: ")


@pytest.mark.parametrize(
    "asks", [lambda x: x.cumsum(1), lambda x: x.sin_(), lambda x: x * x.argmax(), lambda x: F.layer_norm(x, (3,))]
)
def test_what_is_not_followed_proves_nothing_behind_it(asks: Callable[[Tensor], Any]) -> None:
    proofs = prove(Reads(asks), everywhere((3,), -1, 1))
    first, second = proofs.sites.values()
    assert first.dead.all()
    assert not second.dead.any()
    assert (second.upper == np.inf).all()
    assert "is not followed" in proofs.notes[0]


DRAWS: list[Callable[[], Tensor]] = [
    lambda: torch.randn(3),
    lambda: torch.rand(3) * 20 - 10,
    lambda: torch.randint(-9, 9, (3,)),
    lambda: torch.randperm(3) - 1.0,
    lambda: torch.normal(torch.zeros(3), 9.0),
    lambda: torch.bernoulli(torch.full((3,), 0.5)),
    lambda: torch.distributions.Normal(torch.zeros(3), 9.0).sample(),
    lambda: torch.randn(3, generator=torch.Generator().manual_seed(torch.initial_seed())),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_what_is_drawn_at_random_proves_nothing(draw: Callable[[], Tensor]) -> None:
    """And leaves alone what it does not reach."""

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain, self.noisy = nn.Linear(2, 3), nn.Linear(2, 3)
            nn.init.constant_(self.plain.bias, -9)

        def forward(self, x: Tensor) -> Tensor:
            noise = draw()
            return torch.relu(self.noisy(x) + noise) + F.leaky_relu(self.plain(x))

    proofs = prove(Noisy(), everywhere((2,), -1, 1))
    noisy, plain = proofs.sites.values()
    assert (noisy.site.fed_by, noisy.site.units, plain.site.fed_by) == ("noisy", 3, "plain")
    assert not noisy.dead.any()
    assert not noisy.always_on.any()
    assert plain.dead.all()
    assert "draws random numbers" in proofs.notes[0]


@pytest.mark.parametrize("fill", [lambda: torch.empty(3).normal_(), lambda: F.dropout(torch.ones(3), training=True)])
def test_a_constant_that_is_filled_at_random_ends_the_proof(fill: Callable[[], Tensor]) -> None:
    proofs = prove(Reads(lambda x: x + fill()), everywhere((3,), -1, 1))
    assert list(proofs.sites) == ["relu()"]
    assert proofs.notes[-1].endswith(" draws random numbers into a constant")


def test_a_pass_that_is_followed_by_itself_takes_random_numbers_for_unknown() -> None:
    found = []
    assert not follow(lambda x: found.append(bounds_of(x + torch.randn(3))), everywhere((3,), -1, 1))
    assert all(bool(end.isnan().all()) for end in found[0])


def test_what_is_random_in_training_alone_is_proved() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.RReLU(), nn.Dropout(), nn.Linear(3, 3), nn.ReLU())
    nn.init.constant_(model[3].bias, -99)
    assert prove(model, everywhere((3,), -1, 1)).sites["4"].dead.all()
