"""The slopes travel with the weights, by PyTorch's own means, and loading says where they differ."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leaky.torch import LeakyReLU, SlopeWarning, slopes
from leaky.torch.slopes import KeepsSlopes, recorded

# Their own, where TorchDynamo is imported.
deprecated = pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")


class Calls(KeepsSlopes):
    """A module in whose forward calls were converted."""

    def __init__(self, *own: float) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.leaky_slopes = list(own)


def net(*own: float) -> nn.Sequential:
    return nn.Sequential(*(module for slope in own for module in (nn.Linear(2, 2), LeakyReLU(slope))))


def stored(state: Any) -> Any:
    """Return what plain PyTorch makes of it: no code of ours is involved."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def said(model: nn.Module, state: Any) -> str:
    """Return the one warning that loading gives, or ""."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.load_state_dict(state)
    assert all(warning.category is SlopeWarning and warning.filename == __file__ for warning in caught)
    assert len(caught) <= 1
    return str(caught[0].message) if caught else ""


WRONG = "weights made for another negative slope than the network's: "


@deprecated
def test_slopes() -> None:
    shared = LeakyReLU(0.3)
    model = nn.ModuleDict(
        {
            "a": net(0.1),
            "b": nn.LeakyReLU(0.2),
            "c": Calls(0.1, 0.0),
            "d": shared,
            "e": shared,
            "p": nn.PReLU(),
            "r": nn.ReLU(),
        }
    )
    expected = {"a.1": 0.1, "b": 0.2, "c": [0.1, 0.0], "d": 0.3, "e": 0.3}
    assert slopes(model) == expected
    assert slopes(nn.DataParallel(model)) == expected
    assert slopes(torch.compile(net(0.5))) == {"1": 0.5}
    assert slopes(LeakyReLU(2)) == {"": 2.0}
    assert slopes(nn.Linear(1, 1)) == {}
    assert slopes(model)["c"] is not model["c"].leaky_slopes


def test_the_state_dict_has_no_key_more() -> None:
    assert list(net(0.1).state_dict()) == list(nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU()).state_dict())
    assert LeakyReLU().state_dict() == OrderedDict()


@pytest.mark.parametrize(
    "carry", [stored, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s)), lambda s: stored({"s": s})["s"]]
)
def test_weights_for_another_slope(carry: Any) -> None:
    state = carry(net(0.3, 0.3).state_dict())
    assert said(net(0.3, 0.3), state) == ""
    assert said(net(0.01, 0.01), state) == WRONG + "0.3 where it has 0.01 (1 and 3)"
    assert said(net(0.01, 0.3), state) == WRONG + "0.3 where it has 0.01 (1)"
    assert said(net(0.3, 0.0), state) == WRONG + "0.3 where it has 0 (3)"


def test_weights_are_loaded_all_the_same() -> None:
    state, model = net(0.3).state_dict(), net(0.1)
    with pytest.warns(SlopeWarning):
        model.load_state_dict(state)
    assert torch.equal(model[0].weight, state["0.weight"])
    assert slopes(model) == {"1": 0.1}


def test_many_places_are_counted() -> None:
    many, other = net(*[0.3] * 6, 0.1, 0.2, 0.4, 0.5), net(*[0.01] * 10)
    assert said(other, many.state_dict()) == (
        WRONG + "0.3 where it has 0.01 (1, 3, 5 and 3 other places), 0.1 where it has 0.01 (13), "
        "0.2 where it has 0.01 (15) and 2 others"
    )


@pytest.mark.parametrize(
    "forget",
    [dict, lambda s: OrderedDict(s.items()), lambda s: nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.3)).state_dict()],
)
def test_weights_that_say_nothing_load_silently(forget: Any) -> None:
    assert said(net(0.1), forget(net(0.3).state_dict())) == ""


def test_calls_and_places_that_are_no_leaky_relu() -> None:
    mine = nn.Sequential(LeakyReLU(0.1), Calls(0.1, 0.2))
    assert said(nn.Sequential(LeakyReLU(0.1), Calls(0.1, 0.2)), mine.state_dict()) == ""
    assert (
        said(nn.Sequential(LeakyReLU(0.1), Calls(0.2, 0.1)), mine.state_dict())
        == WRONG + "0.1, 0.2 where it has 0.2, 0.1 (1)"
    )
    # Calls that were not told apart have one slope.
    one = nn.Sequential(LeakyReLU(0.1), Calls(0.2)).state_dict()
    assert said(nn.Sequential(LeakyReLU(0.1), Calls(0.2, 0.2)), one) == ""
    assert said(nn.Sequential(LeakyReLU(0.1), Calls(0.2, 0.1)), one) == WRONG + "0.2 where it has 0.2, 0.1 (1)"
    plain = nn.Sequential(LeakyReLU(0.1), nn.ModuleDict({"linear": nn.Linear(2, 2)}))
    assert said(plain, one) == WRONG + "0.2 where it has none (1)"
    assert said(plain, nn.Sequential(LeakyReLU(0.1), Calls(0.0)).state_dict()) == ""  # which is what ReLU does
    assert said(
        nn.Sequential(LeakyReLU(0.1), nn.LeakyReLU(0.3)), nn.Sequential(LeakyReLU(0.1), LeakyReLU(0.2)).state_dict()
    ) == (WRONG + "0.2 where it has 0.3 (1)")


@deprecated
def test_shared_modules_and_wrappers_warn_once() -> None:
    def shared(slope: float) -> nn.Module:
        act = LeakyReLU(slope)
        return nn.ModuleDict({"a": nn.Sequential(act), "b": act})

    assert said(shared(0.1), shared(0.2).state_dict()) == WRONG + "0.2 where it has 0.1 (a.0 and b)"
    wrapped = nn.DataParallel(net(0.2)).state_dict()
    assert said(nn.DataParallel(net(0.1)), wrapped) == WRONG + "0.2 where it has 0.1 (module.1)"
    assert said(LeakyReLU(0.1), LeakyReLU(0.2).state_dict()) == WRONG + "0.2 where it has 0.1 (the network itself)"
    compiled = torch.compile(net(0.1))
    assert said(compiled, torch.compile(net(0.2)).state_dict()) == WRONG + "0.2 where it has 0.1 (_orig_mod.1)"
    assert said(compiled._orig_mod, net(0.2).state_dict()) == WRONG + "0.2 where it has 0.1 (1)"


def test_a_part_is_loaded_alone() -> None:
    model = nn.ModuleDict({"part": net(0.1), "other": net(0.1)})
    assert said(model["part"], net(0.3).state_dict()) == WRONG + "0.3 where it has 0.1 (1)"


def test_a_loader_of_ones_own() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = LeakyReLU(0.1)

        def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
            self.act._load_from_state_dict({}, "elsewhere.", {}, *others[1:])

    assert said(Own(), Own().state_dict()) == ""


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        3,
        {"1": 3},
        {"1": {"negative_slope": "0.2"}},
        {"1": {"negative_slope": float("nan")}},
        {"1": {"negative_slope": [0.2] * 10_000}},
        {"1": {"negative_slope": [0.2, None]}},
        {"1": {"negative_slope": True}},
        {1: {"negative_slope": 0.2}},
    ],
)
def test_metadata_that_make_no_sense_say_nothing(metadata: Any) -> None:
    assert recorded(metadata) == {}
    if metadata != 3:
        state = net(0.1).state_dict()
        state._metadata = metadata
        if metadata is None or isinstance(metadata.get("1"), dict | None):
            assert said(net(0.1), state) == ""


def test_attributes_that_a_file_gives_its_dictionaries_do_nothing() -> None:
    metadata = OrderedDict({"1": OrderedDict(negative_slope=0.2)})
    for each in (metadata, metadata["1"]):
        vars(each).update(items=3, get=3)
    assert recorded(metadata) == {"1": 0.2}


def test_names_out_of_a_file_are_shortened_and_plain() -> None:
    state = net(0.1).state_dict()
    state._metadata["\x1b[31m" + "x" * 1000] = {"negative_slope": 0.2}
    text = said(net(0.1), state)
    assert text.isprintable()
    assert len(text) < 200


def test_the_forward_is_untouched() -> None:
    x = torch.randn(3, 2)
    model = net(0.1)
    with pytest.warns(SlopeWarning):
        model.load_state_dict(net(0.2).state_dict())
    y: Tensor = model(x)
    assert torch.equal(y, nn.functional.leaky_relu(model[0](x), 0.1))
