"""Reviving as a whole: all or nothing, what is left alone, what an optimiser forgets, and that training goes on."""

from __future__ import annotations

import copy
import json
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky
from leaky.revival import Revival, revive
from leaky.revival import networks as reviving


def network(*, dead: tuple[int, ...] = (1, 2)) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        net[0].bias[list(dead)] = -1000.0
    return net


def inputs(samples: int = 50) -> Tensor:
    return torch.randn(samples, 6, generator=torch.Generator().manual_seed(3))


def bits(x: Tensor) -> Tensor:
    return x.detach().contiguous().reshape(-1).view(torch.uint8)


def state_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def same_state(net: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(bits(value).equal(bits(state[name])) for name, value in net.state_dict().items())


def test_without_data_the_samples_that_the_check_kept_will_do() -> None:
    net, x = network(), inputs()
    check = pickle.loads(pickle.dumps(leaky.check(net, x)))
    before = net(x)
    revival = revive(net, check, seed=0)
    assert revival.samples == 50
    assert "with data given" in revival.notes[0]
    assert bits(net(x)).equal(bits(before))
    assert not leaky.check(net, x).sites["1"].dead.any()


def test_what_a_check_keeps_is_small_and_a_copy() -> None:
    x = torch.ones(64, 3, 100, 100)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    example = leaky.check(net, x, batch_size=32).example
    assert example is not None
    assert example.samples == 2**20 // x[0].nbytes
    x.zero_()
    assert bool((example.positional[0] == 1).all())
    assert leaky.check(net, x[:1]).example.samples == 1


def test_units_that_other_data_make_active_are_left_and_the_others_revived() -> None:
    net, x = network(), inputs(60)
    check = leaky.check(net, x)
    with torch.no_grad():
        net[0].bias[2] = -8.0
    x[45] = net[0].weight[2].detach() * 100  # in the second batch of 40
    before = net(x)
    revival = revive(net, check, data=x, batch_size=40, only="1", seed=0)
    assert [each.units for each in revival.revived if each.site == "1"] == [(1,)]
    assert [(each.units, each.reason) for each in revival.left] == [((2,), "it is active on batch 1 of the data")]
    assert bits(net(x)).equal(bits(before))
    assert revival.samples == 60


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


def test_only_some() -> None:
    net, x = network(), inputs()
    with torch.no_grad():
        net[2].bias[[3, 4, 5]] = -1000.0
    check = leaky.check(net, x)

    def revived(only: Any) -> dict[str, tuple[int, ...]]:
        return {each.site: each.units for each in revive(copy.deepcopy(net), check, data=x, seed=0, only=only).revived}

    first, second = ({f.site: f for f in check.problems}[site] for site in ("1", "3"))
    everything = {site: tuple(np.flatnonzero(check.sites[site].dead).tolist()) for site in ("1", "3")}
    assert {1, 2} <= set(everything["1"])
    assert {3, 4, 5} <= set(everything["3"])
    assert revived(None) == everything
    assert revived("[!3]") == {"1": everything["1"]}
    assert revived(second) == {"3": second.units}
    assert revived([first, "3"]) == everything
    assert revived(check) == everything
    assert revived([]) == {}


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


def test_a_unit_that_no_draw_makes_active_is_left() -> None:
    net, x = network(dead=tuple(range(8))), inputs()
    with torch.no_grad():
        net[2].bias[3] = -1000.0
    state = state_of(net)
    revival = revive(net, leaky.check(net, x), data=x, seed=0, only="3")  # the layer before it stays dead
    assert not revival.revived
    assert {each.reason for each in revival.left} == {"new weights do not make it active"}
    assert same_state(net, state)


def test_units_with_a_slope_are_left() -> None:
    net, x = network(), inputs()
    net[1] = nn.LeakyReLU(0.1)
    revival = revive(net, leaky.check(net, x), data=x, only="1")
    assert [(each.units, each.reason) for each in revival.left] == [
        ((1, 2), "its negative slope lets it learn as it is")
    ]


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_within_wrappers(wrap: Callable[[nn.Module], nn.Module]) -> None:
    net, x = network(), inputs()
    wrapped = wrap(net)
    revival = revive(wrapped, leaky.check(wrapped, x), data=x, seed=0)
    assert (revival.revived[0].site, revival.revived[0].layer) == ("1", "0")


def test_how_it_reads() -> None:
    net, x = network(), inputs()
    with torch.no_grad():
        net[2].bias[3] = -1000.0
        net[4].weight.requires_grad_(False)
    revival = revive(net, leaky.check(net, x), data=x, seed=0, only=["1", "3"])
    assert revival.headline.endswith("; the same outputs on 50 samples.")
    text = repr(revival).splitlines()
    assert text[1].startswith("1 units 1–2        revived: 0 → 2, active ")
    assert text[-1].startswith("3 ")
    assert text[-1].endswith("left: 4.weight is frozen")
    assert json.loads(json.dumps(revival.to_dict()))["revived"][0]["units"] == [1, 2]
    assert repr(Revival(())) == "0 units revived, 0 left."


def test_a_healthy_network_is_let_be() -> None:
    net, x = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), inputs(500)
    with torch.no_grad():
        net[0].bias.zero_()
    state = state_of(net)
    assert revive(net, leaky.check(net, x), data=x) == Revival(())
    assert same_state(net, state)


def test_bad_arguments_are_told_in_a_line() -> None:
    net, x = network(), inputs()
    check = leaky.check(net, x)
    with pytest.raises(TypeError, match=r"model: str; expected a torch.nn.Module"):
        revive("net.pt", check)
    with pytest.raises(TypeError, match=r"check: Tensor; expected what leaky.check returns"):
        revive(net, x)
    with pytest.raises(ValueError, match=r"only: 'conv\*' fits no site; the check has 1 and 3"):
        revive(net, check, only="conv*")
    with pytest.raises(TypeError, match=r"only: 3; expected a pattern of names, a finding, a check, or a list"):
        revive(net, check, only=3)
    other = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(
        ValueError, match=r"check: '1' has 8 units, the network 9 units there; expected a check of this"
    ):
        revive(other, check)
    with pytest.raises(ValueError, match=r"data: no samples; expected at least one"):
        revive(net, check, data=x[:0])
    with pytest.raises(ValueError, match=r"data: batch 0 failed: RuntimeError: mat1"):
        revive(net, check, data=x[:, :3])
    with pytest.raises(ValueError, match=r"data: None, and the check has kept no samples; expected data"):
        revive(net, leaky.checkup.Check("Net", 50, check.sites))


def test_networks_whose_outputs_cannot_be_compared_are_refused() -> None:
    class Mute(nn.Sequential):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x).shape

    net, x = Mute(*network()), inputs()
    with pytest.raises(ValueError, match="model: it returns no tensors"):
        revive(net, leaky.check(net, x))


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


def test_nothing_is_half_done_if_no_unit_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = network(), inputs()
    monkeypatch.setattr(reviving._Attempt, "_same", lambda *_: False)
    state = state_of(net)
    assert not revive(net, leaky.check(net, x), data=x).revived
    assert same_state(net, state)


def test_without_a_bias_the_draw_is_taken_that_is_nearest_to_half() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 40, bias=False), nn.ReLU(), nn.Linear(40, 3))
    with torch.no_grad():
        net[0].weight[:20] = -1.0
    x = inputs().abs() + 0.5  # whose sum decides the sign of most draws
    before = net(x)
    revival = revive(net, leaky.check(net, x), data=x, only="1", seed=0)
    (revived,) = revival.revived
    assert set(range(20)) <= set(revived.units)
    assert bits(net(x)).equal(bits(before))
    active = leaky.check(net, x).sites["1"].evidence.share[list(revived.units)]
    assert float(np.abs(active - 0.5).mean()) < 0.2  # about 0.4 for single draws


def test_biases_make_units_active_on_half_of_data_that_are_not_centred() -> None:
    net, x = network(), inputs(200) + 3
    revival = revive(net, leaky.check(net, x), data=x, only="1", seed=0)
    active = leaky.check(net, x).sites["1"].evidence.share[list(revival.revived[0].units)]
    assert active == pytest.approx(np.full(active.shape, 0.5), abs=0.01)
    assert revival.revived[0].active == pytest.approx(0.5, abs=0.01)


def test_weights_have_the_variance_of_he() -> None:
    torch.manual_seed(0)
    units, x = list(range(60)), torch.randn(4, 16, 8, 8)
    for layer, terms in ((nn.Conv2d(16, 64, 3), 16 * 9), (nn.ConvTranspose2d(16, 64, 4, stride=2), 16 * 4)):
        net = nn.Sequential(layer, nn.ReLU(), nn.Conv2d(64, 2, 1))
        with torch.no_grad():
            layer.bias[units] = -1000.0
        assert revive(net, leaky.check(net, x), data=x, seed=0).revived
        rows = layer.weight[units] if layer.weight.shape[0] == 64 else layer.weight[:, units]
        assert float(rows.detach().var()) == pytest.approx(2 / terms, rel=0.05)


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


def test_batches_of_one() -> None:
    net, x = network(), inputs(20)
    check = leaky.check(net, x)
    before = net(x)
    revival = revive(net, check, data=x, batch_size=1, only="1", seed=0)
    assert {1, 2} <= set(revival.revived[0].units)
    assert 0.3 < revival.revived[0].active < 0.7
    assert revival.samples == 20
    assert bits(net(x)).equal(bits(before))
