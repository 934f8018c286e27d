"""What an optimiser forgets, and that layers and networks which were dead learn again."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky
from leaky.revival import revive
from leaky_tests.revival.planted import bits, inputs, network

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda p: torch.optim.Adam(p, amsgrad=True),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "rmsprop": lambda p: torch.optim.RMSprop(p, momentum=0.5, centered=True),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.03),
    "asgd": lambda p: torch.optim.ASGD(p),
    "adagrad": lambda p: torch.optim.Adagrad(p),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_forgets_these_weights_and_no_others(name: str) -> None:
    net, x = network(), inputs()
    optimizer = OPTIMIZERS[name](net.parameters())
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    with torch.no_grad():
        net[0].bias[[1, 2]] = -1000.0
    before = copy.deepcopy(optimizer.state_dict()["state"])
    revive(net, leaky.check(net, x), optimizer=optimizer, data=x, only="1", seed=0)
    concerned = {"0.weight": (slice(1, 3),), "0.bias": (slice(1, 3),), "2.weight": (slice(None), slice(1, 3))}
    for number, (path, parameter) in enumerate(net.named_parameters()):
        ours = torch.zeros(parameter.shape, dtype=torch.bool)
        if path in concerned:
            ours[concerned[path]] = True
        assert parameter.grad.eq(torch.where(ours, 0.0, 1.0)).all()
        for key, value in optimizer.state[parameter].items():
            was = before[number][key]
            if not isinstance(value, Tensor) or value.numel() == 1:
                assert value == was
                continue
            assert value[~ours].equal(was[~ours])
            expected = {"step_size": torch.full_like(value, 0.03), "ax": parameter.detach()}.get(
                key, torch.zeros_like(value)
            )
            assert value[ours].equal(expected[ours])


def test_what_an_optimiser_cannot_forget_is_said() -> None:
    net, x = network(), inputs()
    optimizer = torch.optim.Adafactor(net.parameters())
    net(x).sum().backward()
    optimizer.step()
    revival = revive(net, leaky.check(net, x), optimizer=optimizer, data=x, seed=0)
    assert any(note.startswith("The optimiser keeps row_var of 0.weight") for note in revival.notes)


def test_dead_layers_in_a_row_learn_again_within_two_steps() -> None:
    net, x = network(dead=tuple(range(8))), inputs()
    with torch.no_grad():
        net[2].bias[:] = -1000.0
    before = net(x)
    revival = revive(net, leaky.check(net, x), data=x, seed=0)
    assert [len(each.units) for each in revival.revived] == [8, 8]
    assert bits(net(x)).equal(bits(before))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(net(x), torch.arange(50) % 3).backward()
        optimizer.step()
    for layer in (net[0], net[2]):
        assert bool((layer.weight.grad != 0).any(dim=1).all())


def test_training_that_dead_units_had_stalled_goes_on() -> None:
    torch.manual_seed(0)
    x = inputs(300)
    y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
    net = network(dead=tuple(range(8)))  # nothing gets through
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)

    def loss_after(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> float:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.mse_loss(net(x)[:, :1], y)
            loss.backward()
            optimizer.step()
        return loss.item()

    stalled = loss_after(net, optimizer, 200)
    other, its = copy.deepcopy((net, optimizer))
    revive(other, leaky.check(other, x), optimizer=its, data=x, seed=0)
    assert loss_after(net, optimizer, 300) > 0.95 * stalled
    assert loss_after(other, its, 300) < 0.5 * stalled
