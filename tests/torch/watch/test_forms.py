"""Every way of writing an activation is found, each once, and nothing that is none."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.torch.watch import watch
from leaky_tests.torch.watch.forms import CASES, MODES, Written, sites_of


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_each_way_of_writing_it_is_one_site(name: str, mode: str) -> None:
    function, kind, form, limits, slope = CASES[name]
    model, x = Written(function), torch.randn(4, 6)
    with MODES[mode]():
        plain = model(x)
        (site,) = sites_of(model, x)
        with watch(model):
            assert torch.equal(model(x), plain)
    assert (site.kind, site.form, site.units, site.axis, site.shape) == (kind, form, 5, 1, (5,))
    assert site.limits == pytest.approx(limits, abs=1e-4)
    assert site.slope == (pytest.approx(slope) if slope is not None else None)
    assert (site.fed_by, site.module, site.judged) == ("layer", "", True)
    assert site.name.endswith("()")
    assert site.source is not None
    assert site.source.startswith("forms.py:")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "function",
    [
        lambda x, m: x.clamp(min=1e-6),
        lambda x, m: x.clamp(-5, 5),
        lambda x, m: x.clamp(max=0),
        lambda x, m: torch.maximum(x, x.flip(0)),
        lambda x, m: torch.maximum(x, m.slopes),
        lambda x, m: torch.maximum(x, m.learned_zero),
        lambda x, m: torch.maximum(x, 2 * x),
        lambda x, m: torch.where(x > 0, x, x - x),
        lambda x, m: torch.where(x > 0, x.exp(), 0),
        lambda x, m: torch.where(x > 0.1, x, 0),
        lambda x, m: torch.where(x > 0, x, 1),
        lambda x, m: x * (x.flip(-1) > 0),
        lambda x, m: x * (x < 0),
        # Two results of the same operation, on the same operand: of other buffers, indices, parts or random numbers.
        lambda x, m: torch.where(x * m.mixing[0] > 0, x * m.mixing[1], 0.0),
        lambda x, m: (x @ m.mixing) * (x @ (m.mixing + 1) > 0),
        lambda x, m: x[:, torch.tensor([0, 2])] * (x[:, torch.tensor([1, 3])] > 0),
        lambda x, m: x[:, :2] * (x[:, 2:4] > 0),
        lambda x, m: F.dropout(x) * (F.dropout(x) > 0),
        lambda x, m: two_masks(x * m.mixing[0], x * m.mixing[1]),
        lambda x, m: torch.where(x > 0, x.add_(1), 0.0),
        lambda x, m: F.threshold(x.long(), 0, 0),
        lambda x, m: F.dropout(x),
        lambda x, m: x.softmax(-1),
    ],
)
def test_what_only_looks_like_one_is_none(function: Callable[[Tensor, Written], Tensor], mode: str) -> None:
    with MODES[mode]():
        assert sites_of(Written(function), torch.randn(4, 6)) == []


def two_masks(one: Tensor, other: Tensor) -> Tensor:
    mask, _ = one > 0, other > 0
    return torch.where(mask, other, 0.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, m: (x @ m.mixing) * torch.sigmoid(x @ (m.mixing + 1)),
        lambda x, m: x[:, torch.tensor([0, 2])] * torch.sigmoid(x[:, torch.tensor([1, 3])]),
        lambda x, m: x.chunk(2, 1)[0][:, :2] * torch.sigmoid(x.chunk(2, 1)[1]),
    ],
)
def test_a_gate_made_like_its_operand_but_of_other_numbers_stays_a_sigmoid(
    function: Callable[[Tensor, Written], Tensor],
) -> None:
    assert [site.kind for site in sites_of(Written(function), torch.randn(4, 6))] == ["sigmoid"]


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x, m: x[:, :2] * torch.sigmoid(x[:, :2]), "silu"),
        (lambda x, m: torch.where(x.T > 0, x.T, 0.0).T, "relu"),
        (lambda x, m: torch.where(x.view(2, 2, 5) > 0, x.view(2, 2, 5), 0.0), "relu"),
        (lambda x, m: [torch.where(y > 0, y, 0.0) for y in (x * m.mixing[0], x * m.mixing[1])][1], "relu"),
    ],
)
def test_parts_and_turned_tensors_are_known_again(function: Callable[[Tensor, Written], Tensor], kind: str) -> None:
    sites = sites_of(Written(function), torch.randn(4, 6))
    assert {site.kind for site in sites} == {kind}


def test_gates_stay_sigmoids() -> None:
    def gated(x: Tensor, m: Written) -> Tensor:
        y = m.layer(torch.cat([x, x[:, :1]], dim=1))
        return x * torch.sigmoid(y) + torch.tanh(x) * (1 - torch.sigmoid(y))

    assert [site.kind for site in sites_of(Written(gated), torch.randn(4, 6))] == ["sigmoid", "tanh", "sigmoid"]


@pytest.mark.parametrize(
    ("function", "note"),
    [
        (lambda x, m: x.var(-1, keepdim=True).clamp(min=0), "a maximum with 0 of a sum or mean"),
        (lambda x, m: (x[:, None] - x[None]).pow(2).sum(-1).clamp_min(0).sqrt(), "a maximum with 0 of a sum or mean"),
        (lambda x, m: torch.maximum(x @ x.T, torch.tensor(0.0)), "a maximum with 0 of a sum or mean"),
        (lambda x, m: (m.layer.weight.relu() @ x.new_ones(6)).expand(4, 5), "of weights alone"),
    ],
)
def test_a_maximum_that_is_no_activation_is_listed_but_not_judged(
    function: Callable[[Tensor, Written], Tensor], note: str
) -> None:
    (site,) = sites_of(Written(function), torch.randn(4, 6))
    assert (site.kind, site.judged) == ("relu", False)
    assert site.note.startswith(note)


def test_what_no_weights_feed_is_not_judged() -> None:
    class Raw(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x.mean(dim=1, keepdim=True) - x).clamp(min=0)

    first, second = sites_of(Raw(), torch.randn(4, 6))
    assert not first.judged
    assert not second.judged
    assert first.note == second.note == "fed from no weights"
    assert first.fed_by is None


def test_a_mean_beside_a_layer_takes_nothing_from_it() -> None:
    def centred(x: Tensor, m: Written) -> Tensor:
        return (x.mean(-1, keepdim=True).expand_as(x) - x).clamp(min=0)

    (site,) = sites_of(Written(centred), torch.randn(4, 6))
    assert (site.judged, site.units) == (True, 5)


def test_a_mean_is_a_unit_where_an_activation_follows() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.conv(x).mean(dim=(2, 3)))

    (site,) = sites_of(Pooled(), torch.randn(4, 2, 5, 5))
    assert (site.judged, site.units, site.fed_by) == (True, 3, "conv")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[1] != "threshold" and case[4] is None])
def test_beyond_the_limits_the_derivative_is_negligible(name: str) -> None:
    """At most 1 % of its maximum, and more just inside."""
    function, _, _, limits, _ = CASES[name]
    model = Written(function)
    x = torch.linspace(-11, 11, 220_001, dtype=torch.float64, requires_grad=True)
    derivative = torch.autograd.grad(function(x.clone(), model).sum(), x)[0].abs()
    grid = x.detach()
    beyond = (grid < limits[0]) | (grid > limits[1])
    negligible = 0.01 * derivative.max()
    assert bool((derivative[beyond] <= negligible).all())
    for limit, side in zip(limits, (1, -1), strict=True):
        if math.isfinite(limit):
            inside = (grid - limit) * side
            assert bool((derivative[(inside > 0.02) & (inside < 0.03)] > negligible).all()), limit
