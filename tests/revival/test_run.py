"""Which units `leaky.revive` takes, on which data, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import leaky
from leaky.revival import Revival, revive
from leaky_tests.revival.planted import bits, inputs, network, same_state, state_of


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
