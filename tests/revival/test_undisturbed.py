"""All or nothing: what fails is undone; and modes, hooks, inputs and random numbers stay as they were."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import leaky
from leaky.revival import networks as reviving
from leaky.revival import revive
from leaky_tests.revival.planted import bits, inputs, network, same_state, state_of


class Hidden(nn.Module):
    """Lets its units out by a way that no operation of PyTorch's takes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.a(x))
        return self.b(y) + torch.from_numpy(y.detach().numpy().sum(axis=1, keepdims=True))


def test_what_was_not_followed_undoes_everything() -> None:
    torch.manual_seed(0)
    net, x = Hidden(), inputs()
    with torch.no_grad():
        net.a.bias[:2] = -1000.0
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    optimizer.state[net.a.weight]["momentum_buffer"] = torch.ones(8, 6)
    state = state_of(net)
    revival = revive(net, leaky.check(net, x), optimizer=optimizer, data=x, seed=0)
    assert not revival.revived
    assert revival.left[0].reason == "the outputs changed on batch 0"
    assert same_state(net, state)
    assert bool((optimizer.state[net.a.weight]["momentum_buffer"] == 1).all())


@pytest.mark.parametrize("call", range(5))
@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_failure_in_the_middle_leaves_everything_as_it_was(call: int, error: BaseException) -> None:
    net, x = network(), inputs()
    net[2] = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    net[2][1].bias.data[3] = -1000.0
    check = leaky.check(net, x)
    state, calls = state_of(net), iter(range(100))

    def fail(*_: Any) -> None:
        if next(calls) == call:
            raise error

    handle = net[4].register_forward_hook(fail)
    if call < 4:  # followed, drawn, before, after
        with pytest.raises((ValueError, KeyboardInterrupt), match=r"data: batch 0 failed: RuntimeError: broken|^$"):
            revive(net, check, data=x, seed=0)
        assert same_state(net, state)
    else:
        assert revive(net, check, data=x, seed=0).revived
        assert not same_state(net, state)
    handle.remove()
    assert net.training
    assert all(module.training for module in net.modules())


def test_nothing_is_half_done_if_no_unit_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = network(), inputs()
    monkeypatch.setattr(reviving._Attempt, "_same", lambda *_: False)
    state = state_of(net)
    assert not revive(net, leaky.check(net, x), data=x).revived
    assert same_state(net, state)


def test_modes_buffers_and_hooks_are_as_before() -> None:
    net, x = network(), inputs()
    net[3] = nn.Sequential(nn.ReLU(), nn.Dropout(), nn.BatchNorm1d(8))
    net[3][2].eval()
    check = leaky.check(net, x)
    buffers = [buffer.clone() for buffer in net.buffers()]
    revive(net, check, data=x, seed=0)
    assert net.training
    assert net[3][1].training
    assert not net[3][2].training
    assert all(map(torch.equal, net.buffers(), buffers))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_seed_leaves_the_global_random_numbers_alone() -> None:
    x = inputs()
    check = leaky.check(network(), x)
    one, other, third = network(), network(), network()
    states = torch.get_rng_state(), random.getstate()
    for net, seed in ((one, 7), (other, 7), (third, 8)):
        revive(net, check, data=x, seed=seed)
    now = torch.get_rng_state(), random.getstate()
    assert now[0].equal(states[0])
    assert now[1] == states[1]
    assert same_state(one, state_of(other))
    assert not same_state(one, state_of(third))


def test_without_a_seed_the_global_generator_gives_one() -> None:
    x = inputs()
    check = leaky.check(network(), x)
    nets = [network() for _ in range(3)]
    for net, seed in zip(nets, (5, 5, None), strict=True):
        if seed is not None:
            torch.manual_seed(seed)
        revive(net, check, data=x)
    assert same_state(nets[0], state_of(nets[1]))
    assert not same_state(nets[1], state_of(nets[2]))


class Noisy(nn.Module):
    """Random in evaluation mode, too; and it overwrites its input."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.add_(torch.randn_like(x), alpha=0.1))


def test_networks_that_draw_random_numbers_and_overwrite_their_input() -> None:
    net, x = Noisy(), inputs()
    kept = x.clone()
    assert revive(net, leaky.check(net, x.clone()), data=x, only="net.1", seed=0).revived
    assert x.equal(kept)


def test_the_signs_of_zeros_stay() -> None:
    # All units dead and no bias behind them: the outputs are zeros, whose signs are those of the weights' products.
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 1), nn.ReLU(), nn.Linear(1, 4, bias=False))
    with torch.no_grad():
        net[0].bias.fill_(-1000.0)
        net[2].weight.copy_(torch.tensor([[1.0], [-1.0], [2.0], [-2.0]]))
    x = inputs()
    before = net(x)
    assert revive(net, leaky.check(net, x), data=x, seed=0).revived
    assert bits(net(x)).equal(bits(before))
    assert bool((net[2].weight == 0).all())
