"""Rectifiers that are modules or that modules hold as functions become others, and stay who they are."""

from __future__ import annotations

import copy
import functools
import io
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky
from leaky.torch.rewriting import modules

SPECIAL = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, -1.0, 2.0, 1e-45, -1e-45]).repeat(5)


def bits(x: Tensor) -> Tensor:
    return x.view(torch.int16 if x.itemsize == 2 else torch.int32 if x.itemsize == 4 else torch.int64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "module", [nn.ReLU(), nn.ReLU(inplace=True), nn.Threshold(0, 0), nn.Threshold(0, 0, True), nn.Hardtanh(0, math.inf)]
)
def test_at_slope_0_it_computes_what_it_did(module: nn.Module, dtype: torch.dtype) -> None:
    x = SPECIAL.to(dtype)
    expected = module(x.clone())
    other = leaky.convert(module, 0.0).model
    assert torch.equal(bits(other(x.clone())), bits(expected))
    other.negative_slope = 0.5
    assert torch.equal(bits(other(x.clone())), bits(F.leaky_relu(x, 0.5)))


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.ReLU(), "relu"),
        (nn.Threshold(0.0, 0.0), "relu"),
        (nn.Threshold(0.1, 0.0), "threshold"),
        (nn.ReLU6(), "relu6"),
        (nn.Hardtanh(), "hardtanh"),
        (nn.Hardtanh(0, 6), "relu6"),
        (nn.Hardtanh(0, math.inf), "relu"),
        (nn.LeakyReLU(0.2), "leaky_relu"),
        (leaky.torch.LeakyReLU(0.2), "leaky_relu"),
        (nn.RReLU(), "rrelu"),
        (nn.PReLU(), "prelu"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("inplace", [False, True])
def test_every_kind_becomes_leaky_and_relu(module: nn.Module, kind: str, inplace: bool) -> None:
    module = copy.deepcopy(module)
    if hasattr(module, "inplace"):
        module.inplace = inplace
    x = torch.randn(50)
    (change,) = leaky.convert(module, 0.3, kinds=kind).changes
    assert (change.how, change.after) == ("module", "leaky_relu(0.3)")
    other = leaky.convert(module, 0.3, kinds=kind).model
    assert torch.equal(other(x.clone()), F.leaky_relu(x, 0.3))
    assert getattr(other, "inplace", inplace) == (
        inplace if hasattr(module, "inplace") else getattr(other, "inplace", inplace)
    )
    assert (
        repr(other)
        == f"LeakyReLU(negative_slope=0.3{', inplace=True' if hasattr(module, 'inplace') and inplace else ''})"
    )
    if kind != "relu":
        plain = leaky.convert(module, kinds=kind, to="relu").model
        assert torch.equal(plain(x.clone()), F.relu(x))
    assert list(other.state_dict()) == list(module.state_dict())
    assert not leaky.convert(module, 0.3, kinds="relu" if kind != "relu" else "prelu").changes


def test_a_module_stays_the_object_that_it_is() -> None:
    act = nn.ReLU(inplace=True)
    seen: list[int] = []
    act.register_forward_hook(lambda *_: seen.append(1))
    act.of_the_author = 3  # type: ignore[assignment]  # modules declare tensors and modules
    model = nn.Sequential(nn.Linear(3, 3), act, nn.Linear(3, 3), act).eval()
    conversion = leaky.convert(model, 0.1, inplace=True)
    assert conversion.model is model
    assert model[1] is model[3] is act
    assert isinstance(act, leaky.torch.LeakyReLU)
    assert (act.negative_slope, act.inplace, act.training, act.of_the_author) == (0.1, True, False, 3)
    model(torch.randn(2, 3))
    assert seen == [1, 1]
    assert [change.site for change in conversion.changes] == ["1"]
    assert [each.site for each in leaky.convert(copy.deepcopy(model), 0.2, data=torch.randn(2, 3)).changes] == [
        "1",
        "1[1]",
    ]


def test_a_copy_is_converted_unless_asked_otherwise() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    other = leaky.convert(model).model
    assert isinstance(model[1], nn.ReLU)
    assert isinstance(other[1], nn.LeakyReLU)
    assert other[0].weight is not model[0].weight


@pytest.mark.parametrize("data", [None, torch.randn(20, 4)], ids=["unseen", "on data"])
def test_what_was_frozen_is_a_leaky_relu(data: torch.Tensor | None) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.PReLU(4))
    model[1].weight.data.uniform_(-2, 2)
    frozen = leaky.convert(model, None, kinds="prelu").model
    (change,) = leaky.convert(frozen, 0.2, data=data).changes
    assert (change.form, change.before, change.after) == (
        "a frozen PReLU",
        "leaky_relu(one slope per channel)",
        "leaky_relu(0.2)",
    )
    assert leaky.convert(frozen, None, to="prelu", data=data).changes


def test_slopes_that_were_learned_are_frozen_and_thawed_exactly() -> None:
    for count in (1, 4):
        model = nn.Sequential(nn.Linear(3, 4), nn.PReLU(count))
        with torch.no_grad():
            model[1].weight.copy_(torch.linspace(-1.28, 1.3, count))
        x = torch.randn(9, 3)
        frozen = leaky.convert(model, None, kinds="prelu").model
        assert torch.equal(frozen(x), model(x))
        assert list(frozen.state_dict()) == list(model.state_dict())
        assert [name for name, _ in frozen.named_parameters()] == ["0.weight", "0.bias"]
        assert frozen[1].negative_slope == (model[1].weight.item() if count == 1 else model[1].weight.tolist())
        thawed = leaky.convert(frozen, None, to="prelu").model
        assert type(thawed[1]) is nn.PReLU
        assert torch.equal(thawed[1].weight, model[1].weight)
        assert thawed[1].weight.requires_grad
        assert repr(thawed) == repr(model)
        assert torch.equal(thawed(x), model(x))
        frozen.load_state_dict(model.state_dict())
        model.load_state_dict(frozen.state_dict())


def test_a_slope_thaws_into_a_weight() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.3), nn.ReLU()).double()
    conversion = leaky.convert(model, None, to="prelu")
    assert [change.after for change in conversion.changes] == ["prelu(0.3)", "prelu(0)"]
    assert conversion.model[1].weight.dtype == torch.float64
    x = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(conversion.model(x), model(x))
    assert conversion.notes == ("PReLU adds its weights to the network's state: checkpoints from before lack them.",)


class Holds(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.act = nn.Linear(6, 5), function

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layer(x))


@pytest.mark.parametrize(
    "function",
    [F.relu, torch.relu, torch.relu_, Tensor.relu, functools.partial(F.relu, inplace=True), F.leaky_relu],
)
@pytest.mark.parametrize("data", [False, True])
def test_a_function_that_a_module_holds_becomes_a_module(function: Callable[[Tensor], Tensor], data: bool) -> None:
    model, x = Holds(function), torch.randn(7, 6)
    conversion = leaky.convert(model, 0.3, data=x if data else None)
    (change,) = conversion.changes
    assert (change.how, change.module, conversion.left) == ("attribute", "", ())
    torch.testing.assert_close(conversion.model(x), F.leaky_relu(model.layer(x), 0.3))
    assert list(conversion.model.state_dict()) == list(model.state_dict())
    assert torch.equal(copy.deepcopy(conversion.model)(x), conversion.model(x))
    if function is not F.leaky_relu:
        assert torch.equal(leaky.convert(model, 0.0).model(x), model(x))


def encoder(activation: object = "relu") -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=activation, batch_first=True)  # type: ignore[arg-type]
    return nn.TransformerEncoder(layer, 2).eval()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("activation", ["relu", F.relu, nn.ReLU()], ids=["name", "function", "module"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_fused_path_of_transformers_hides_no_slope(activation: object, masked: bool) -> None:
    model, x = encoder(activation), torch.randn(2, 3, 8)
    mask = torch.tensor([[False, False, True], [False, False, False]]) if masked else None
    conversion = leaky.convert(model, 0.0)
    assert {change.how for change in conversion.changes} <= {"attribute", "module"}
    assert len(conversion.changes) == 2
    with torch.no_grad():
        before = model(x, src_key_padding_mask=mask)
        assert torch.equal(conversion.model(x, src_key_padding_mask=mask), before)
        for layer in conversion.model.layers:
            layer.activation.negative_slope = 0.5
        slow = conversion.model(x, src_key_padding_mask=mask)
        assert not torch.allclose(slow, before, atol=1e-3)
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            torch.testing.assert_close(conversion.model(x, src_key_padding_mask=mask), slow)
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
        back = leaky.convert(conversion.model, to="relu").model
        torch.testing.assert_close(back(x, src_key_padding_mask=mask), before)


def test_gelu_keeps_its_fused_path() -> None:
    model = leaky.convert(encoder("gelu")).model
    assert model.layers[0].activation_relu_or_gelu == 2


class Own(nn.ReLU):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) ** 2


def test_a_subclass_is_converted_only_when_asked() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Own())
    (left,) = leaky.convert(model).left
    assert left.reason == "a subclass of nn.ReLU: only when asked for (subclasses)"
    (change,) = leaky.convert(model, subclasses=True).changes
    assert change.after == "leaky_relu(0.01)"


class Scripted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


@pytest.mark.parametrize("data", [False, True])
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_is_opaque_is_left_and_says_why(data: bool) -> None:
    scripted = torch.jit.script(Scripted())
    model = nn.Sequential(nn.Linear(3, 4), scripted, nn.RNN(4, 4, nonlinearity="relu", batch_first=True))
    conversion = leaky.convert(model, data=torch.randn(2, 5, 3) if data else None, inplace=True)
    assert conversion.changes == ()
    reasons = {each.reason for each in conversion.left}
    assert reasons == {"TorchScript: its code is fixed", "does its steps in one call"}


def test_the_weights_and_the_pickle_of_what_was_converted_go_on_to_load() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.PReLU())
    conversion = leaky.convert(model, 0.2, kinds=("relu", "prelu"))
    file = io.BytesIO()
    torch.save(conversion.model, file)
    file.seek(0)
    x = torch.randn(4, 3)
    assert torch.equal(torch.load(file, weights_only=False)(x), conversion.model(x))
    conversion.model.load_state_dict(model.state_dict())
    assert modules.written(conversion.model[2]) == "leaky_relu(0.25)"
