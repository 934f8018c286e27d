from __future__ import annotations

import copy
import math
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leaky.conversion.drift import drift, recalibrate
from leaky.conversion.errors import ConversionError

Pair = namedtuple("Pair", ["hidden", "scores"])


class Says(nn.Module):
    """A network that returns what it is told to make of its input."""

    def __init__(self, make: Callable[[Tensor], Any] = lambda x: x) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: Tensor) -> Any:
        return self.make(x)


X = torch.tensor([[1.0, 2.0], [4.0, 3.0], [0.0, -1.0], [5.0, 5.5]])


def test_differences_and_agreement_over_batches() -> None:
    after = Says(lambda x: x + torch.tensor([1.5, 0.0]))
    found = drift(Says(), after, X, batch_size=3)
    assert (found.samples, found.largest, found.mean) == (4, 1.5, 0.75)
    assert found.scale == pytest.approx(X.abs().mean().item())
    assert found.agreement == 0.5  # the first and the last sample change sides
    assert found.output == ""


def test_the_same_network_does_not_drift() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 3)).train()
    state = copy.deepcopy(model.state_dict())
    before = torch.get_rng_state()
    found = drift(model, copy.deepcopy(model), X.numpy())
    assert (found.largest, found.mean, found.agreement) == (0, 0, 1)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert torch.equal(before, torch.get_rng_state())


def test_both_draw_the_same_random_numbers() -> None:
    noisy = Says(lambda x: x + torch.randn_like(x))
    assert drift(noisy, copy.deepcopy(noisy), X, batch_size=1).largest == 0


@pytest.mark.parametrize(
    ("wrap", "name", "value"),
    [
        (lambda x: (x + 1, x), "0", 1),
        (lambda x: [x.long(), x + 2], "1", 2),
        (lambda x: {"ids": x.long(), "b": {"c": x + 3}, "d": x}, "b.c", 3),
        (lambda x: {"loss": x.sum(), "hidden": x, "logits": x + 4}, "logits", 4),
        (lambda x: {"loss": x.sum(), "hidden": x + 5}, "hidden", 5),
        (lambda x: Pair(x + 6, x), "hidden", 6),
        (lambda x: SimpleNamespace(it=None, scores=x + 7), "scores", 7),
        (lambda x: (x.T + 8, None), "0", 8),
        (lambda x: (None, x.T + 9), "1", 9),
        (lambda x: OrderedDict(deep=[{"logits": x + 10}]), "deep.0.logits", 10),
    ],
)
def test_one_of_several_outputs_is_compared_and_said(wrap: Callable[[Tensor], Any], name: str, value: float) -> None:
    nothing = Says(lambda x: wrap(x * 0 - value))
    found = drift(nothing, Says(wrap), X * 0)
    assert (found.output, found.largest) == (name, value)


def test_outputs_of_transformers() -> None:
    import transformers

    torch.manual_seed(0)
    config = transformers.OPTConfig(
        vocab_size=16, hidden_size=8, ffn_dim=6, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=8
    )
    before = transformers.OPTForCausalLM(config)
    after = copy.deepcopy(before)
    ids = torch.randint(0, 16, (6, 5))
    data = {"input_ids": ids, "labels": ids}
    assert drift(before, after, data).largest == 0
    nn.init.normal_(after.model.decoder.layers[0].fc2.weight)
    found = drift(before, after, data, batch_size=4)
    assert found.output == "logits"
    assert found.samples == 6
    with torch.no_grad():
        one, other = before.eval()(ids).logits, after.eval()(ids).logits
    assert found.largest == pytest.approx((one - other).abs().max().item(), rel=1e-5)
    assert found.agreement == pytest.approx((one.argmax(-1) == other.argmax(-1)).double().mean().item())
    assert found.agreement is not None
    assert 0 < found.agreement < 1


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2, 3), (2, 4)])
def test_outputs_that_are_no_scores_of_classes_have_no_agreement(shape: tuple[int, ...]) -> None:
    model = Says(lambda x: x.new_zeros(shape))
    assert drift(model, model, X).agreement is None


def test_what_is_not_finite() -> None:
    bad = torch.tensor([[math.nan, math.inf, -math.inf, 3.0]])
    same = drift(Says(lambda x: bad), Says(lambda x: bad + 0), X[:1])
    assert (same.largest, same.mean, same.scale) == (0, 0, 0.75)
    assert drift(Says(lambda x: bad), Says(lambda x: bad * 0), X[:1]).largest == math.inf
    assert drift(Says(), Says(lambda x: x * math.nan), X).largest == math.inf


def test_any_data() -> None:
    stream: Iterator[Any] = iter([(X, torch.zeros(4)), (X[:1], torch.zeros(1))])
    assert drift(Says(), Says(lambda x: x + 1), stream).samples == 5
    assert drift(Says(), Says(lambda x: x + 1), torch.utils.data.TensorDataset(X)).samples == 4
    assert drift(Says(), nn.DataParallel(Says()), {"x": X}).samples == 4


@pytest.mark.parametrize(
    ("after", "data", "message"),
    [
        (Says(lambda x: x.long()), X, "data: batch 0 failed: the network returned no tensor of floats; expected one"),
        (
            Says(lambda x: x[:, :1]),
            X,
            r"data: batch 0 failed: outputs of shape \(4, 2\) before, \(4, 1\) after; expected",
        ),
        (Says(lambda x: x.no), X, "data: batch 0 failed: AttributeError: "),
        (Says(), X[:0], "data: no samples; expected at least one"),
        (Says(), 3, "data: int; expected an array"),
    ],
)
def test_what_cannot_be_compared(after: nn.Module, data: Any, message: str) -> None:
    with pytest.raises(ConversionError, match=f"^{message}"):
        drift(Says(), after, data)


def convolutions() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.5),
        nn.Conv2d(4, 3, 3),
        nn.BatchNorm2d(3, momentum=0.9),
        nn.Flatten(),
        nn.Linear(3 * 4 * 4, 5),
        nn.BatchNorm1d(5, affine=False),
    )


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    over = [axis for axis in range(x.ndim) if axis != 1]
    return x.double().mean(over).float(), x.double().var(over).float()


def test_statistics_are_those_that_the_network_has_itself() -> None:
    """Each BatchNorm's input, in evaluation mode and with the new statistics before it, has the statistics in the layer."""
    model, data = convolutions(), torch.randn(30, 2, 8, 8) * 3 + 1
    assert recalibrate(model, data, batch_size=30) == ()
    model.eval()
    x = data
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                mean, variance = statistics(x)
                torch.testing.assert_close(layer.running_mean, mean, rtol=1e-5, atol=1e-6)
                torch.testing.assert_close(layer.running_var, variance, rtol=1e-5, atol=1e-6)
                assert layer.num_batches_tracked == 1
            x = layer(x)


@pytest.mark.parametrize("size", [1, 7, 13, 30])
def test_the_batches_do_not_matter_to_what_no_batchnorm_feeds(size: int) -> None:
    """Neither batches of one, nor a last one that is smaller than the others; numbers far from 0 lose no digits."""
    model, data = convolutions().double(), torch.randn(30, 2, 8, 8, dtype=torch.float64) + 1e5
    recalibrate(model, data, batch_size=size)
    mean, variance = statistics(model[0](data))
    assert model[1].running_mean.float() == pytest.approx(mean.detach().numpy(), rel=1e-6)
    assert model[1].running_var.float() == pytest.approx(variance.detach().numpy(), rel=1e-6)
    assert model[1].num_batches_tracked == math.ceil(30 / size)


def test_all_else_is_as_it_was() -> None:
    model = convolutions().train()
    model[5].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = torch.randn(8, 2, 8, 8)
    random = torch.get_rng_state()
    recalibrate(model, data)
    assert [module.training for module in model] == [True] * 5 + [False] + [True] * 3
    assert model[5].momentum == 0.9
    assert torch.equal(random, torch.get_rng_state())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) != ("running" in name or "tracked" in name), name
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("failure", ["raise", "nan", "empty"])
def test_after_an_error_the_statistics_are_the_old_ones(failure: str) -> None:
    model = convolutions()
    before = copy.deepcopy(model.state_dict())
    good = torch.randn(4, 2, 8, 8)
    data = {
        "raise": [(good, torch.zeros(4)), (torch.randn(4, 3, 8, 8), torch.zeros(4))],
        "nan": good.where(torch.arange(8) > 0, math.nan),
        "empty": good[:0],
    }[failure]
    message = {
        "raise": "^data: batch 1 failed: RuntimeError",
        "nan": "^data: the input of 1 is NaN or infinite; expected finite ones",
        "empty": "^data: no samples; expected at least one",
    }[failure]
    with pytest.raises(ConversionError, match=message):
        recalibrate(model, data)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_network_without_batchnorm() -> None:
    nothing = ("The network has no BatchNorm with running statistics: there was nothing to recalibrate.",)
    assert recalibrate(nn.Linear(2, 2), X) == nothing
    assert recalibrate(nn.BatchNorm1d(2, track_running_stats=False), X) == nothing


def test_a_batchnorm_that_the_data_do_not_reach() -> None:
    model = nn.ModuleDict({"unused": nn.BatchNorm1d(2), "used": nn.BatchNorm1d(2)})
    model.forward = lambda x: model["used"](input=x)
    assert recalibrate(model, X) == ("1 BatchNorm not reached by the data, and left as it was: unused.",)
    assert torch.equal(model["unused"].running_mean, torch.zeros(2))
    assert torch.equal(model["used"].running_mean, X.mean(0))


def test_one_that_runs_twice_sees_both() -> None:
    shared = nn.BatchNorm1d(2)
    model = nn.Sequential(Says(lambda x: torch.cat([x, x * 0 + 3])), shared)
    twice = nn.Sequential(shared, Says(lambda x: x * 0 + 3), shared)
    recalibrate(twice, X)
    mean, variance = shared.running_mean.clone(), shared.running_var.clone()
    recalibrate(model, X)
    torch.testing.assert_close(shared.running_mean, mean)
    torch.testing.assert_close(shared.running_var, variance)


def test_recalibration_makes_up_for_part_of_the_drift() -> None:
    """A network that was trained with ReLU, and has Leaky ReLU now: its outputs come back towards what they were."""
    torch.manual_seed(1)
    layers = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(6)]
    before = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 36, 4))
    data = torch.randn(64, 8, 6, 6)
    recalibrate(before, data)
    after = copy.deepcopy(before)
    for layer in after[:6]:
        layer[2] = nn.LeakyReLU(0.3)
    moved = drift(before, after, data)
    recalibrate(after, data)
    again = drift(before, after, data)
    assert again.mean < 0.8 * moved.mean
    assert np.isfinite([moved.scale, again.scale]).all()
