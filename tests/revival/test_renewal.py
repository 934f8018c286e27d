"""The new weights: drawn as He et al. have it, and active on half of what is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import leaky
from leaky.revival import revive
from leaky_tests.revival.planted import bits, inputs, network, same_state, state_of


def test_a_unit_that_no_draw_makes_active_is_left() -> None:
    net, x = network(dead=tuple(range(8))), inputs()
    with torch.no_grad():
        net[2].bias[3] = -1000.0
    state = state_of(net)
    revival = revive(net, leaky.check(net, x), data=x, seed=0, only="3")  # the layer before it stays dead
    assert not revival.revived
    assert {each.reason for each in revival.left} == {"new weights do not make it active"}
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


def test_batches_of_one() -> None:
    net, x = network(), inputs(20)
    check = leaky.check(net, x)
    before = net(x)
    revival = revive(net, check, data=x, batch_size=1, only="1", seed=0)
    assert {1, 2} <= set(revival.revived[0].units)
    assert 0.3 < revival.revived[0].active < 0.7
    assert revival.samples == 20
    assert bits(net(x)).equal(bits(before))
