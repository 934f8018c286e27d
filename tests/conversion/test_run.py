"""`leaky.convert` on networks that say ReLU in every way there is, and on what it cannot convert."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky
from leaky_tests.torch.watch import forms


def sites(model: nn.Module, x: Tensor) -> list[tuple[str, Any]]:
    return [(site.kind, site.slope) for site in forms.sites_of(model, x)]


def test_all_twelve_forms_and_shared_modules() -> None:
    model, x = forms.Twelve(), torch.randn(3, 5)
    names = [site.name for site in forms.sites_of(model, x)]
    conversion = leaky.convert(model, 0.1, data=x)
    assert [change.site for change in conversion.changes] == names
    assert conversion.left == ()
    assert sites(conversion.model, x) == [("leaky_relu", 0.1)] * 14
    assert list(conversion.model.state_dict()) == list(model.state_dict())
    assert sites(model, x) == [("relu", None)] * 14
    warm = leaky.convert(model, 0.0, data=x).model
    assert torch.equal(warm(x), model(x))
    back = leaky.convert(conversion.model, to="relu", data=x)
    assert (len(back.changes), back.left) == (14, ())
    assert sites(back.model, x) == [("relu", None)] * 14
    torch.testing.assert_close(back.model(x), model(x))


def test_without_data_the_plain_ones_of_the_twelve() -> None:
    model, x = forms.Twelve(), torch.randn(3, 5)
    conversion = leaky.convert(model, 0.1)
    assert len(conversion.changes) == 7  # 9 sites: a module runs three times
    assert sorted(each.form for each in conversion.left) == [
        *("clamp(min=0)", "clamp_min(0)", "maximum(x, 0)", "where(x > 0, ...)", "x * (x > 0)")
    ]
    kinds = [kind for kind, _ in sites(conversion.model, x)]
    assert (kinds.count("leaky_relu"), kinds.count("relu")) == (9, 5)


TABLE = {"relu": F.relu}


class Each(nn.Module):
    """One way of writing ReLU, in the code of a module."""

    act: Any

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 5)
        self.register_buffer("zero", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layer(x))


class MaximumOfBuffer(Each):
    def act(self, x: Tensor) -> Tensor:
        return torch.maximum(self.zero, x)


class WhereTurned(Each):
    def act(self, x: Tensor) -> Tensor:
        return torch.where(x < 0, 0.0, x)


class WhereMethod(Each):
    def act(self, x: Tensor) -> Tensor:
        return x.where(x > 0, torch.zeros_like(x))


class MaskedFill(Each):
    def act(self, x: Tensor) -> Tensor:
        return x.masked_fill(x <= 0, 0)


class MaskMethod(Each):
    def act(self, x: Tensor) -> Tensor:
        return (x > 0).float().mul(x)


class MaskFirst(Each):
    def act(self, x: Tensor) -> Tensor:
        return (x > 0).float() * x


class Clipped(Each):
    def act(self, x: Tensor) -> Tensor:
        return torch.clip(x, 0, None)


class ClampedInPlace(Each):
    def act(self, x: Tensor) -> Tensor:
        y = x * 1
        y.clamp_(min=0)
        return y


class ByName(Each):
    def act(self, x: Tensor) -> Tensor:
        return getattr(F, "relu")(x)  # noqa: B009


class FromTable(Each):
    def act(self, x: Tensor) -> Tensor:
        return TABLE["relu"](x)


@pytest.mark.parametrize("cls", Each.__subclasses__(), ids=lambda cls: cls.__name__)
def test_calls_that_only_data_show(cls: type[Each]) -> None:
    model, x = cls(), torch.randn(8, 6)
    conversion = leaky.convert(model, 0.3, data=x)
    assert [change.how for change in conversion.changes] == ["call"]
    torch.testing.assert_close(conversion.model(x), F.leaky_relu(model.layer(x), 0.3))
    warm: Any = leaky.convert(model, 0.0, data=x).model
    assert torch.equal(warm(x), model(x))
    special = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, -1.0])
    assert torch.equal(warm.act(special.clone()).view(torch.int32), model.act(special.clone()).view(torch.int32))


def test_what_cannot_be_exchanged_is_left_by_name() -> None:
    class Odd(Each):
        def act(self, x: Tensor) -> Tensor:
            x *= x > 0
            return x

    x = torch.randn(8, 6)
    conversion = leaky.convert(Odd(), 0.3, data=x)
    assert conversion.changes == ()
    (left,) = conversion.left
    assert left.reason.startswith("test_run.py:")
    assert left.reason.endswith(": no call that can be exchanged there")


def test_slopes_are_changed_and_kept() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(0.2), nn.ReLU(), leaky.torch.LeakyReLU(0.1))
    conversion = leaky.convert(model, 0.1)
    assert [(change.before, change.after) for change in conversion.changes] == [
        ("leaky_relu(0.2)", "leaky_relu(0.1)"),
        ("relu", "leaky_relu(0.1)"),
    ]
    assert [(each.site, each.reason) for each in conversion.left] == [("3", "is leaky_relu(0.1) already")]
    kept = leaky.convert(model, None)
    assert [(change.site, change.after) for change in kept.changes] == [("2", "leaky_relu(0)")]
    plain = leaky.convert(model, to="relu").model
    assert [type(each) for each in plain][1:] == [nn.ReLU] * 3


def test_an_unusual_slope_is_noted() -> None:
    (note,) = leaky.convert(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), -2.0).notes
    assert note.startswith("leaky_relu(-2): a negative slope outside 0 … 1 is unusual")


def test_the_model_and_its_data_are_left_as_they_were() -> None:
    model, x = forms.Twelve().train(), torch.randn(3, 5)
    before, types = copy.deepcopy(model.state_dict()), [type(each) for each in model.modules()]
    model.requires_grad_(False)
    state = torch.random.get_rng_state()
    leaky.convert(model, 0.1, data=x)
    assert [type(each) for each in model.modules()] == types
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(ValueError, match=r"^data: batch 0 failed"):
        leaky.convert(model, 0.1, data=torch.randn(3, 6), inplace=True)
    assert [type(each) for each in model.modules()] == types


@pytest.mark.parametrize(
    "data",
    [
        lambda x: x.numpy(),
        lambda x: (x, torch.zeros(len(x))),
        lambda x: (each for each in x.split(2)),
        lambda x: torch.utils.data.TensorDataset(x, torch.zeros(len(x))),
        lambda x: {"x": x},
    ],
    ids=["array", "tuple", "generator", "data set", "dict"],
)
def test_data_of_any_form(data: Any) -> None:
    conversion = leaky.convert(forms.Twelve(), 0.1, data=data(torch.randn(6, 5)))
    assert len(conversion.changes) == 14


def test_within_wrappers() -> None:
    x = torch.randn(3, 5)
    for wrapped in (nn.DataParallel(forms.Twelve()), torch.compile(forms.Twelve(), backend="eager")):
        conversion = leaky.convert(wrapped, 0.1, data=x)
        assert type(conversion.model) is type(wrapped)
        assert len(conversion.changes) == 14
        assert sites(conversion.model, x) == [("leaky_relu", 0.1)] * 14


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"model": 3}, ValueError, r"^model: int; expected a torch\.nn\.Module"),
        ({"negative_slope": "x"}, TypeError, r"^negative_slope must be a real number, got 'x'"),
        ({"negative_slope": float("nan")}, ValueError, r"^negative_slope must be a real number, got NaN"),
        ({"to": "gelu"}, ValueError, r"^to: 'gelu'; expected one of leaky_relu, relu, prelu"),
        ({"kinds": "gelu"}, ValueError, r"^kinds: 'gelu'; expected some of relu, "),
        ({"only": 3}, TypeError, r"^only: int; expected a pattern of site names"),
        ({"data": 3}, ValueError, r"^data: int; expected an array"),
        ({"data": np.zeros((0, 3), np.float32)}, ValueError, r"^data: no samples; expected at least one"),
        (
            {"data": np.zeros((4, 3), np.float32), "batch_size": 0},
            ValueError,
            r"^batch_size: 0; expected a whole number",
        ),
    ],
)
def test_bad_input_gets_one_line(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    arguments = {"model": nn.Sequential(nn.Linear(3, 3), nn.ReLU()), **arguments}
    with pytest.raises(error, match=text) as caught:
        leaky.convert(**arguments)
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_be_copied() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    model.lock = (each for each in [1])  # type: ignore[assignment]  # modules declare tensors and modules
    with pytest.raises(
        ValueError, match=r"^model: it cannot be copied \(inplace=True takes no copy\): TypeError: cannot"
    ):
        leaky.convert(model)
    assert len(leaky.convert(model, inplace=True).changes) == 1
