"""What a conversion says of the outputs and of the initial weights, all of it in one call."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.conversion import convert
from leaky.function import gain

RATIO = gain(0.3) / gain(0.0)


class Net(nn.Module):
    """A module, a call, a BatchNorm and a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm, self.act, self.last = nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(self.act(self.first(x))))
        gate = self.third(x)
        return self.last(F.relu(self.norm(x)) + F.relu(gate) * gate.sigmoid())


@pytest.fixture
def model() -> Net:
    torch.manual_seed(0)
    return Net()


X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("inplace", [False, True])
def test_how_far_the_outputs_move(model: Net, inplace: bool) -> None:
    old = copy.deepcopy(model).eval()
    result = convert(model, 0.3, data=X, batch_size=16, inplace=inplace)
    assert (result.model is model) == inplace
    with torch.no_grad():
        one, other = old(X), copy.deepcopy(result.model).eval()(X)
    assert result.drift is not None
    assert result.drift.samples == 40
    assert result.drift.largest == pytest.approx((one - other).abs().max().item(), rel=1e-4)
    assert result.drift.agreement == pytest.approx((one.argmax(1) == other.argmax(1)).double().mean().item())
    assert result.recalibrated is None
    assert model.training


def test_at_slope_0_nothing_moves(model: Net) -> None:
    result = convert(model, 0.0, data=X)
    assert result.drift is not None
    assert result.drift.largest == 0
    assert result.drift.agreement == 1


def test_without_data_nothing_is_said(model: Net) -> None:
    result = convert(model, 0.3)
    assert (result.drift, result.recalibrated) == (None, None)


def test_batchnorm_is_recalibrated_when_asked(model: Net) -> None:
    old = copy.deepcopy(model.state_dict())
    result = convert(model, 0.3, data=iter(X.split(16)), recalibrate=True)
    assert result.drift is not None
    assert result.recalibrated is not None
    assert result.recalibrated != result.drift
    converted = result.model.eval()
    with torch.no_grad():
        fed = F.leaky_relu(converted.second(F.leaky_relu(converted.first(X), 0.3)), 0.3)
    torch.testing.assert_close(converted.norm.running_mean, fed.mean(0))
    torch.testing.assert_close(converted.norm.running_var, fed.var(0))
    assert all(torch.equal(value, old[name]) for name, value in model.state_dict().items())
    assert "The network has no BatchNorm" in convert(nn.ReLU(), data=X, recalibrate=True).notes[0]


def test_initial_weights_are_rescaled_when_asked(model: Net) -> None:
    result = convert(model, 0.3, data=X, trained=False)
    rescaled = {change.site: change.rescaled for change in result.changes}
    assert rescaled == {
        "act": ("first", RATIO),
        "relu()": ("second", RATIO),
        "relu()[1]": None,
        "relu()[2]": None,
    }
    for name, value in result.model.state_dict().items():
        factor = RATIO if name.startswith(("first", "second")) else 1
        torch.testing.assert_close(value, model.state_dict()[name] * factor)
    first, second = result.notes
    assert first.startswith(
        "Initial weights stay as they are before 1 site (relu()[1]): a normalisation, or another layer"
    )
    assert second.startswith(
        "Initial weights stay as they are before 1 site (relu()[2]): the layer feeds another activation"
    )
    assert all(change.rescaled is None for change in convert(model, 0.3, data=X).changes)


def test_back_to_relu_the_weights_are_what_they_were(model: Net) -> None:
    there = convert(model, 0.3, data=X, trained=False).model
    back = convert(there, to="relu", data=X, trained=False)
    for name, value in back.model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name])


def test_outputs_that_cannot_be_compared_are_a_note() -> None:
    class Ids(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x).argmax(1)

    result = convert(Ids(), data=X)
    assert result.drift is None
    (note,) = result.notes
    assert note.startswith("How far the outputs have moved is not known: data: batch 0 failed: the network returned no")


def test_a_network_that_cannot_be_copied_is_converted_in_place() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model.odd = (each for each in "ab")  # type: ignore[assignment]
    result = convert(model, 0.3, data=X, inplace=True)
    assert len(result.changes) == 1
    assert result.drift is None
    (note,) = result.notes
    assert note.startswith("How far the outputs have moved is not known: the network cannot be copied: TypeError: ")


@pytest.mark.parametrize("asked", [{"trained": False}, {"recalibrate": True}])
def test_what_takes_data(model: Net, asked: dict[str, bool]) -> None:
    ((name, value),) = asked.items()
    with pytest.raises(ValueError, match=f"^data: None, with {name}={value}; expected data to run the network on"):
        convert(model, 0.3, **asked)  # type: ignore[arg-type]
