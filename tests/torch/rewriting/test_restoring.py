from __future__ import annotations

import copy
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky
from leaky.torch.rewriting.restoring import restore
from leaky.torch.slopes import record_of

X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
FILES = ["w.pt", "w.safetensors"]


class Net(nn.Module):
    """Rectifiers of all sorts: modules, one of them shared, a function that is held, calls, a method, a maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(6))
        self.act = nn.ReLU()
        self.again = self.act
        self.held = F.relu
        self.learned = nn.PReLU(4)
        self.small = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        a, b, c, d, e, f = self.layers
        x = self.again(b(self.act(a(x))))
        x = self.learned(d(self.held(c(x))))
        x = F.relu(e(x)) + self.small(-e(x).relu() - e(x))
        return f(x).clamp(min=0) + F.leaky_relu(f(x), 0.3)


def made() -> Net:
    torch.manual_seed(0)
    model = Net()
    for layer in model.layers:
        nn.init.orthogonal_(layer.weight, 3)
    return model


def there_and_back(model: nn.Module, path: Path) -> nn.Module:
    leaky.save_weights(model, path)
    fresh = made()
    with torch.no_grad():
        for each in fresh.parameters():
            each.zero_()
    leaky.load_weights(fresh, path, convert=True)
    return fresh


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"only": "act"},
        {"only": "relu()"},  # the function that is held
        {"only": "relu()[[]2]"},  # one of two calls
        {"skip": "act"},
        {"kinds": ("relu", "leaky_relu", "relu6", "prelu")},
        {"kinds": "prelu", "negative_slope": None},
        {"kinds": "prelu", "to": "relu"},
        {"to": "prelu", "negative_slope": 0.2},
        {"to": "relu"},
        {"negative_slope": 0.0},
        {"negative_slope": None},
        {"data": X},
    ],
)
def test_a_conversion_is_made_again(options: dict[str, Any], name: str, tmp_path: Path) -> None:
    conversion = leaky.convert(made(), **{"negative_slope": 0.1, **options})
    assert conversion.changes
    again = there_and_back(conversion.model, tmp_path / name)
    assert torch.equal(again(X), conversion.model(X))
    assert not torch.equal(made()(X), again(X)) or options.get("negative_slope", 0.1) in (0.0, None)
    assert leaky.torch.slopes(again) == leaky.torch.slopes(conversion.model)
    learned = {name for name, _ in conversion.model.named_parameters()}
    assert {name for name, _ in again.named_parameters()} == learned


@pytest.mark.parametrize("name", FILES)
def test_places_converted_one_after_the_other_keep_their_slopes(name: str, tmp_path: Path) -> None:
    model = leaky.convert(made(), 0.2, only="relu()[[]2]").model
    model = leaky.convert(model, 0.4, only="relu()[[]1]").model
    again = there_and_back(model, tmp_path / name)
    assert again.leaky_slopes == [0.2, 0.4]
    assert torch.equal(again(X), model(X))


def test_a_network_that_is_converted_already_stays_as_it_is(tmp_path: Path) -> None:
    model = leaky.convert(made(), 0.1).model
    leaky.save_weights(model, tmp_path / "w.pt")
    again = leaky.convert(made(), 0.1).model
    kinds = [type(each) for each in again.modules()]
    leaky.load_weights(again, tmp_path / "w.pt", convert=True)
    assert [type(each) for each in again.modules()] == kinds
    other = leaky.convert(made(), 0.5).model
    leaky.load_weights(other, tmp_path / "w.pt", convert=True)
    assert torch.equal(other(X), model(X))


def test_an_authors_own_leaky_relu_keeps_its_class(tmp_path: Path) -> None:
    class Own(nn.LeakyReLU):
        pass

    leaky.save_weights(nn.Sequential(nn.LeakyReLU(0.3)), tmp_path / "w.pt")
    record = record_of(torch.load(tmp_path / "w.pt", weights_only=True)._metadata)
    model = nn.Sequential(Own(0.1))
    assert restore(model, record, {}) == "leaky_relu(0.3) in 1 place"
    assert type(model[0]) is Own
    assert model[0].negative_slope == 0.3


def test_it_is_said_what_became_of_it(tmp_path: Path) -> None:
    model = leaky.convert(made(), 0.1, kinds=("relu", "leaky_relu", "prelu")).model
    record = record_of(model.state_dict()._metadata)
    assert restore(made(), record, {}) == (
        "leaky_relu, its slopes frozen, in 1 place and leaky_relu(0.1) in 5 places"  # the shared module is one
    )
    assert restore(copy.deepcopy(model), record, {}) == ""
    assert restore(made(), record_of(None), {}) == ""


CODE = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return {what}(self.layer(x))
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what makes a network whose forward calls a function, in a module of a name."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def make(name: str, what: str) -> nn.Module:
        (tmp_path / f"{name}.py").write_text(CODE.format(what=what))
        importlib.invalidate_caches()
        names.append(name)
        return importlib.import_module(name).Net()  # type: ignore[no-any-return]

    yield make
    for name in names:
        sys.modules.pop(name, None)


def test_code_elsewhere_is_the_same_and_other_code_is_not(written: Any) -> None:
    record = record_of(leaky.convert(written("restored_one", "F.relu"), 0.1).model.state_dict()._metadata)
    assert restore(written("restored_two", "F.relu"), record, {}) == "leaky_relu(0.1) in 1 place"
    for other in ("torch.relu", "F.gelu"):
        assert restore(written(f"restored_{other[-4:]}", other), record, {}) == ""


def spoilt(place: int, value: Any) -> Any:
    def spoil(row: list[Any]) -> list[Any]:
        return [*row[:place], value, *row[place + 1 :]]

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        *(spoilt(0, value) for value in ("", "x", 3, None, [])),
        *(spoilt(1, value) for value in (-1, 10**9, 2.5, None, "1", 0)),
        *(spoilt(2, value) for value in ("x", None, [])),
        *(spoilt(3, value) for value in ("gelu", None, [])),
        *(spoilt(5, value) for value in ("x", "method", "product", [])),
        *(spoilt(7, value) for value in (-1, 99, "0", [])),
        lambda row: row[:3],
        lambda row: [],
        lambda row: [*row, 1],
    ],
)
def test_places_that_make_no_sense_change_nothing(spoil: Any, tmp_path: Path) -> None:
    model = leaky.convert(made(), 0.1, only="relu()[[]1]").model
    state = model.state_dict()
    (row,) = state._metadata[""]["negative_slope_places"]
    path = tmp_path / "w.safetensors"
    said = {"negative_slope": json.dumps({"": [0.1]}), "negative_slope_places": json.dumps({"": [spoil(row)]})}
    safetensors.torch.save_file({name: value.clone() for name, value in state.items()}, path, said)
    fresh = made()
    with pytest.warns(leaky.torch.SlopeWarning, match=r"0\.1 where it has none \(the network itself\)"):
        leaky.load_weights(fresh, path, convert=True)
    assert type(fresh) is Net
    assert torch.equal(fresh(X), made()(X))


@pytest.mark.parametrize("weight", [torch.zeros(1).expand(10**12), torch.zeros(2, 2), torch.tensor(0.1)])
def test_weights_that_are_none_of_a_prelu(weight: Tensor) -> None:
    model = made()
    assert restore(model, record_of(None), {"act.weight": weight, "none.weight": weight, "": weight}) == ""
    assert type(model.act) is nn.ReLU
