from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.checkup import Check, Layer, Seen, check, merge
from leaky.evidence import Evidence, batch_statistics

See = Callable[..., Seen]
Checked = Callable[..., Check]
Feeding = Callable[..., Layer]


def evidence_of(check: Check) -> str:
    return json.dumps(check.to_dict(), allow_nan=False, sort_keys=True)


def shard(x: np.ndarray, see: See, checked: Checked) -> Check:
    evidence = Evidence(x.shape[1])
    evidence.add(batch_statistics(x, 1, (-np.inf, np.inf)))
    return checked(see("a", x, gradient=0.5), see("b", -np.abs(x), "leaky_relu"), inputs=evidence, loss=True)


def test_shards_merge_to_the_whole(rng: np.random.Generator, see: See, checked: Checked) -> None:
    x = rng.normal(size=(6, 50, 5)) * 10.0 ** rng.integers(-8, 8, size=(6, 50, 1))
    parts = [shard(batch.astype(np.float32), see, checked) for batch in x]
    whole = merge(parts)
    assert whole.samples == 300
    assert whole.sites["a"].evidence.samples == 300
    others = [merge(parts[::-1]), merge([merge(parts[:2]), merge(parts[2:])]), merge(pickle.loads(pickle.dumps(parts)))]
    for other in others:
        assert evidence_of(other) == evidence_of(whole)
    # The parts are as they were.
    assert parts[0].sites["a"].evidence.samples == 50
    assert evidence_of(merge(parts[:1])) == evidence_of(parts[0])


def test_a_shard_may_not_reach_a_site(see: See, checked: Checked) -> None:
    one, other = see("a", np.ones((10, 2))), see("b", np.ones((20, 3)))
    both = merge([checked(one), checked(one, other)])
    assert [seen.evidence.samples for seen in both.sites.values()] == [20, 20]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_sites_stay_in_the_order_of_the_forward_pass(order: tuple[int, ...], see: See, checked: Checked) -> None:
    x = np.random.default_rng(1).normal(size=(200, 4))
    z, b, a, c = (see(name, x, gradient=size) for name, size in (("z", 1e-5), ("b", 1e-2), ("a", 1.0), ("c", 1.0)))
    parts = [checked(a, loss=True), checked(z, a, c, loss=True), checked(z, b, a, c, loss=True)]
    whole = merge(parts[number] for number in order)
    assert list(whole.sites) == ["z", "b", "a", "c"]
    assert [f.code for f in whole.findings] == ["L009"]


def test_sites_in_no_one_order(see: See, checked: Checked) -> None:
    a, b, c, d = (see(name, np.ones((10, 2))) for name in "abcd")
    for parts in ([(a, b), (b, a)], [(a, c, d), (a, b, d)], [(a, b, c), (b, c, a), (c, a, b)]):
        checks = [checked(*part) for part in parts]
        assert list(merge(checks).sites) == list(merge(checks[::-1]).sites)
    assert list(merge([checked(a, c, d), checked(a, b, d)]).sites) == ["a", "b", "c", "d"]


def test_proofs_hold_for_one_range(see: See, checked: Checked) -> None:
    a = checked(see("a", -np.ones((10, 2)), proved=[True, True]), input_range=(0.0, 1.0))
    b = checked(see("a", -np.ones((10, 2)), proved=[True, True]), input_range=(0.0, 2.0))
    assert merge([a, a]).sites["a"].proved is not None
    assert merge([a, a]).notes == ()
    mixed = merge([a, b])
    assert mixed.sites["a"].proved is None
    assert mixed.input_range is None
    assert "different ranges" in mixed.notes[0]


@pytest.mark.parametrize("other", [np.ones((5, 3)), None])
def test_other_networks_do_not_merge(other: np.ndarray | None, see: See, checked: Checked) -> None:
    one = checked(see("a", np.ones((5, 2))))
    two = checked(see("a", np.ones((5, 2)), "tanh") if other is None else see("a", other))
    with pytest.raises(ValueError, match="checks: 'a' is relu with 2 units in one and"):
        merge([one, two])
    with pytest.raises(ValueError, match="checks: of a trained network and of an untrained one"):
        merge([one, replace(one, trained=False)])
    with pytest.raises(ValueError, match="checks: of 'Net' and of 'Other'; expected checks of one network"):
        merge([one, replace(one, model="Other")])
    with pytest.raises(ValueError, match="checks: none; expected at least one"):
        merge([])


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ([None], "checks: None is among them; expected what leaky.check returns"),
        (None, "checks: None; expected a list of what leaky.check returns"),
        ("net", "checks: 'net'; expected a list of what leaky.check returns"),
    ],
)
def test_what_is_no_check_does_not_merge(checks: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}$"):
        merge(checks)


@pytest.mark.parametrize("other", [{"norm": [1, 2.1]}, {"norm": [1, 2]}, {"bias": [0, 1.1], "norm": [1, 2]}])
def test_other_weights_do_not_merge(other: dict[str, Any], see: See, checked: Checked, feeding: Feeding) -> None:
    one = checked(see("a", np.ones((5, 2)), layer=feeding([0, 1], norm=[1, 2])))
    two = checked(see("a", np.ones((5, 2)), layer=feeding(**other)))
    with pytest.raises(ValueError, match="checks: the weights before 'a' differ; expected checks of one network"):
        merge([one, two])


def test_layers_of_shards_are_one(see: See, checked: Checked, feeding: Feeding) -> None:
    by_input = np.ones((2, 3))
    known = feeding([0, np.nan], norm=[1, 2], by_input=by_input)
    others = [None, feeding([0, np.nan], norm=[1 + 1e-7, 2])]
    for layer in others:
        checks = [checked(see("a", np.ones((5, 2)), layer=each)) for each in (known, layer)]
        for order in (checks, checks[::-1]):
            assert merge(order).sites["a"].layer.by_input is by_input


class Branches(nn.Module):
    """A network of which a batch runs one half or the other, by the sign of what it is."""

    def __init__(self, units: int = 4) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, units), nn.Linear(3, units)
        with torch.no_grad():
            self.a.bias.fill_(100.0)
            self.b.bias.fill_(-100.0)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return F.relu(self.a(x))
        return F.relu(self.b(x))


def test_the_order_in_which_sites_are_met_does_not_matter() -> None:
    torch.manual_seed(0)
    model, here, there = Branches(), torch.rand(50, 3), -torch.rand(20, 3)
    first, second = check(model, [here, there]), check(model, [there, here])
    assert [seen.site.fed_by for seen in first.sites.values()] == ["a", "b"]
    assert [seen.site.fed_by for seen in second.sites.values()] == ["b", "a"]
    both = merge([first, second])
    found = {name: (s.site.name, s.site.fed_by, s.evidence.samples, s.dead.sum()) for name, s in both.sites.items()}
    assert found == {"relu()": ("relu()", "a", 100, 0), "relu()[1]": ("relu()[1]", "b", 40, 4)}
    # Each half alone calls its only site by the same name.
    parts = [check(model, [here]), check(model, [there])]
    for apart in (merge(parts), merge(parts[::-1]), merge([second, *parts[::-1]])):
        assert {name: (s.site.name, s.site.fed_by) for name, s in apart.sites.items()} == {
            "relu()": ("relu()", "a"),
            "relu()[1]": ("relu()[1]", "b"),
        }
    assert apart.sites["relu()"].evidence.samples == 100
    assert merge(parts[1:]).to_dict() == parts[1].to_dict()
    assert "key" not in apart.to_dict()["sites"][0]
    assert pickle.loads(pickle.dumps(both)).to_dict() == both.to_dict()


def test_networks_of_other_widths_do_not_merge() -> None:
    x = torch.rand(5, 3)
    with pytest.raises(ValueError, match=r"^checks: 'relu\(\)' is relu with 4 units in one and relu with 6 in another"):
        merge([check(Branches(), x), check(Branches(6), x)])
    first = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4))
    pair = [check(nn.Sequential(*first, act), x) for act in (nn.ReLU(), nn.Tanh())]
    with pytest.raises(ValueError, match=r"^checks: '3' is relu with 4 units in one and tanh with 4 in another"):
        merge(pair)


def test_a_call_of_many_widths_is_one_network_still() -> None:
    class Widths(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 6)

        def forward(self, x: Tensor) -> Tensor:
            x = self.layer(x)
            for width in (6, 2) if len(x) == 5 else (2,):
                y = F.relu(x[:, :width])
            return y

    model = Widths()
    whole = merge([check(model, torch.rand(5, 3)), check(model, torch.rand(4, 3))])
    assert sorted((s.site.units, s.evidence.samples) for s in whole.sites.values()) == [(2, 4), (2, 5), (6, 5)]


def test_json_has_no_nan(see: See, checked: Checked) -> None:
    x = np.full((10, 2), np.nan)
    document = json.loads(evidence_of(checked(see("a", x), see("b", x[:0], "sigmoid"))))
    first = document["sites"][0]
    assert first["limits"] == [0.0, None]
    assert first["evidence"]["mean"] == [None, None]
    assert first["evidence"]["nonfinite"] == [10, 10]
    assert document["findings"][0]["code"] == "L012"
    assert document["findings"][0]["cause"]
    assert "gradient" not in first["evidence"]


def test_printed_it_is_a_short_table(see: See, checked: Checked) -> None:
    x = np.stack([np.sin(np.arange(500)), -1 - np.sin(np.arange(500))], axis=1)
    text = repr(checked(see("layer1.0.relu", x), see("evil\x1b[31m\n" + "long." * 30, x)))
    assert text.splitlines()[0] == ("Net: 2 of 4 units at 2 sites are dead on 500 samples; 2 problems and 0 remarks.")
    assert text.splitlines()[2].split() == ["layer1.0.relu", "2", "1", "0", "25.0", "%"]
    assert max(map(len, text.splitlines()[1:])) <= 80
    assert "\x1b" not in text
    many = repr(checked(*(see(f"s{i}", x) for i in range(100))))
    assert len(many.splitlines()) < 40
    assert many.splitlines()[-1] == "… and 70 more"
    assert "No activation sites" in repr(checked())


def test_a_check_does_not_change(see: See, checked: Checked) -> None:
    check = checked(see("a", np.ones((5, 2))))
    with pytest.raises(AttributeError):
        check.samples = 3  # type: ignore[misc]
    assert replace(check, trained=False).findings is not check.findings
