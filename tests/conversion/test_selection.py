"""Which sites are converted, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky
from leaky.conversion.selection import Selection


class Net(nn.Module):
    """Two calls in one forward, the second of which runs twice; a module; and what is no activation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(4, 4) for _ in range(3))
        self.act = nn.ReLU()
        with torch.no_grad():
            self.second.bias.fill_(-100)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        for layer in (self.second, self.third):
            x = torch.relu(layer(x))
        variance = (x * x).sum(-1, keepdim=True).clamp(min=0)
        return self.act(self.third(x)) / (1 + variance)


X = torch.randn(9, 4)
NAMES = ["relu()", "relu()[1]", "relu()[2]", "act"]


def changed(**arguments: Any) -> list[str]:
    return [change.site for change in leaky.convert(Net(), 0.1, **{"data": X, **arguments}).changes]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, NAMES),
        ({"only": "act"}, ["act"]),
        ({"only": "relu*"}, NAMES[:3]),
        ({"only": "relu()[1]"}, ["relu()[1]", "relu()[2]"]),  # one call, which runs twice
        ({"only": ["relu()", "act"]}, ["relu()", "act"]),
        ({"skip": "relu()[2]"}, ["relu()", "act"]),
        ({"skip": "*"}, []),
        ({"only": "relu*", "skip": ["relu()"]}, ["relu()[1]", "relu()[2]"]),
        ({"kinds": "leaky_relu"}, []),
    ],
)
def test_sites_are_chosen_by_name(arguments: dict[str, Any], expected: list[str]) -> None:
    assert changed(**arguments) == expected


def test_sites_are_chosen_by_what_a_check_found() -> None:
    check = leaky.check(Net(), X)
    dead = [name for name, seen in check.judged.items() if seen.dead.any()]
    assert "relu()[1]" in dead
    assert set(changed(only=check)) >= set(dead)
    (finding, *_) = [finding for finding in check.problems if finding.site == "relu()[1]"]
    assert changed(only=finding) == changed(only=[finding]) == ["relu()[1]", "relu()[2]"]
    assert changed(skip=finding) == ["relu()", "act"]


def test_each_site_of_a_check_is_changed_or_left_by_its_name() -> None:
    model = Net()
    names = list(leaky.check(model, X).sites)
    assert names == [*NAMES[:3], "clamp()", "act"]
    conversion = leaky.convert(model, 0.1, data=X, skip="act")
    assert [change.site for change in conversion.changes] == NAMES[:3]
    assert {(each.site, each.reason) for each in conversion.left} == {
        ("act", "named by skip"),
        ("clamp()", "no activation: a maximum with 0 of a sum or mean, not of a layer's units"),
    }


def test_without_data_a_doubtful_call_is_left() -> None:
    conversion = leaky.convert(Net(), 0.1)
    assert {change.site for change in conversion.changes} == {"relu()", "relu()[1]", "act"}
    (left,) = conversion.left
    assert (left.site, left.form) == ("clamp()", "clamp(min=0)")
    assert left.reason == "whether it is an activation shows only on data, and none are given"


def test_the_calls_of_one_forward_are_told_apart() -> None:
    torch.manual_seed(0)
    model = Net()
    nn.init.zeros_(model.second.bias)
    conversion = leaky.convert(model, 0.1, data=X, only="relu()")
    x = F.relu(model.second(F.leaky_relu(model.first(X), 0.1)))
    x = F.relu(model.third(x))
    expected = F.relu(model.third(x)) / (1 + (x * x).sum(-1, keepdim=True))
    torch.testing.assert_close(conversion.model(X), expected)
    assert not torch.allclose(model(X), expected)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"only": "nothing"}, "not named by only"),
        ({"skip": "*"}, "named by skip"),
        ({"kinds": "prelu"}, "only when asked for (kinds: relu)"),
        ({"to": "relu"}, "is relu already"),
    ],
)
def test_what_is_left_says_why(arguments: dict[str, Any], reason: str) -> None:
    conversion = leaky.convert(Net(), 0.1, data=X, **arguments)
    assert conversion.changes == ()
    assert {each.reason for each in conversion.left if each.form != "clamp(min=0)"} == {reason}


def test_a_bad_choice_says_what_was_expected() -> None:
    for argument in ("only", "skip"):
        with pytest.raises(TypeError, match=rf"^{argument}: int; expected a pattern of site names, a Check, a Finding"):
            Selection(**{"only": None, "skip": None, "kinds": "relu", argument: 3})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^kinds: 'gelu'; expected some of relu, leaky_relu"):
        Selection(None, None, ["relu", "gelu"])
