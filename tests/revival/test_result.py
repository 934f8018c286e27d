"""How what was revived and left reads."""

from __future__ import annotations

import json

import torch

import leaky
from leaky.revival import Revival, revive
from leaky_tests.revival.planted import inputs, network


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
