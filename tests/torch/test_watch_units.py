"""The axis of the units, and the layer that feeds them, are told through whatever lies between."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky
from leaky.evidence import Evidence, Site
from leaky.torch.watch import watch


class Between(nn.Module):
    """A layer, what is between, and a ReLU."""

    def __init__(self, layer: nn.Module, between: Callable[[Tensor], Tensor], *more: nn.Module) -> None:
        super().__init__()
        self.layer, self.between, self.more = layer, between, nn.ModuleList(more)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.between(self.layer(x))
        return F.relu(self.seen)


def sites_of(model: nn.Module, *inputs: Tensor) -> list[tuple[Site, Evidence]]:
    with torch.no_grad(), watch(model) as seen:
        model(*inputs)
    return list(seen.sites.values())


def mean_by(x: Tensor, axis: int) -> Tensor:
    return x.double().movedim(axis, 0).flatten(1).mean(dim=1)


CONV = nn.Conv2d(3, 6, 3)
IMAGES = torch.randn(4, 3, 8, 8)
WORDS = torch.randn(4, 7, 5)
ROWS = torch.randn(4, 5)


# the layer, what is between, the input; the axis of the units in what the ReLU gets
@pytest.mark.parametrize(
    ("layer", "between", "x", "axis", "units"),
    [
        (nn.Linear(5, 6), lambda h: h, ROWS, 1, 6),
        (nn.Linear(5, 1), lambda h: h, ROWS, 1, 1),
        (nn.Linear(5, 6), lambda h: h, WORDS, 2, 6),
        (nn.Linear(5, 6), lambda h: h.transpose(1, 2), WORDS, 1, 6),
        (nn.Linear(5, 6), lambda h: h.permute(2, 0, 1), WORDS, 0, 6),
        (nn.Linear(5, 6), lambda h: h.mean(dim=1), WORDS, 1, 6),
        (nn.Linear(5, 6), lambda h: h.amax(dim=1, keepdim=True), WORDS, 2, 6),
        (nn.Linear(5, 6), lambda h: h[:, 0], WORDS, 1, 6),
        (nn.Linear(5, 6), lambda h: h[:, -1:], WORDS, 2, 6),
        (nn.Linear(5, 6), lambda h: h.unsqueeze(1).expand(4, 3, 7, 6), WORDS, 3, 6),
        (nn.Linear(5, 6), lambda h: F.dropout(h) * 2 + 1, WORDS, 2, 6),
        (nn.Linear(5, 6), lambda h: h.chunk(2, dim=-1)[1], WORDS, 2, 3),
        (nn.Linear(5, 6), lambda h: torch.cat([h, h], dim=-1), WORDS, 2, 12),
        (nn.Linear(5, 6), lambda h: torch.cat([h, h], dim=1), WORDS, 2, 6),
        (nn.Linear(5, 6), lambda h: torch.stack([h, h], dim=1), WORDS, 3, 6),
        (nn.Linear(5, 6), lambda h: h + torch.arange(7.0)[:, None], WORDS, 2, 6),
        (nn.Linear(5, 6), lambda h: h.double(), WORDS, 2, 6),
        (nn.Linear(5, 6), lambda h: h.unbind(dim=1)[2], WORDS, 1, 6),
        (nn.Linear(5, 6), lambda h: F.avg_pool1d(h.transpose(1, 2), 3), WORDS, 1, 6),
        (nn.Bilinear(5, 5, 6), lambda h: h, ROWS, 1, 6),
        (CONV, lambda h: h, IMAGES, 1, 6),
        (CONV, lambda h: F.max_pool2d(h, 2), IMAGES, 1, 6),
        (CONV, lambda h: F.avg_pool2d(h, 2), IMAGES, 1, 6),
        (CONV, lambda h: F.adaptive_avg_pool2d(h, 1), IMAGES, 1, 6),
        (CONV, lambda h: F.adaptive_avg_pool2d(h, 1).flatten(1), IMAGES, 1, 6),
        (CONV, lambda h: F.interpolate(h, scale_factor=2), IMAGES, 1, 6),
        (CONV, lambda h: F.pad(h, (1, 1)), IMAGES, 1, 6),
        (CONV, lambda h: h.permute(0, 2, 3, 1), IMAGES, 3, 6),
        (CONV, lambda h: h.flatten(2).transpose(1, 2), IMAGES, 2, 6),
        (CONV, lambda h: h.to(memory_format=torch.channels_last), IMAGES, 1, 6),
        (nn.Conv2d(3, 6, 3, groups=3), lambda h: h, IMAGES, 1, 6),
        (nn.ConvTranspose2d(3, 6, 3, groups=3), lambda h: h, IMAGES, 1, 6),
        (nn.Conv2d(3, 6, 3, padding="same"), lambda h: h, IMAGES, 1, 6),
        (nn.Conv2d(3, 1, 3), lambda h: h, IMAGES, 1, 1),
        (nn.Conv2d(3, 1, 3), lambda h: h.permute(0, 2, 3, 1), IMAGES, 3, 1),
        (nn.Conv2d(3, 8, 3), lambda h: F.pixel_shuffle(h, 2), IMAGES, 1, 2),
        (nn.Conv1d(7, 6, 1), lambda h: h, WORDS, 1, 6),
        (nn.BatchNorm2d(3), lambda h: h, IMAGES, 1, 3),
        (nn.GroupNorm(1, 3), lambda h: h, IMAGES, 1, 3),
        (nn.InstanceNorm2d(3, affine=True), lambda h: h, IMAGES, 1, 3),
        (nn.LayerNorm(5), lambda h: h, WORDS, 2, 5),
        (nn.RMSNorm(5), lambda h: h, WORDS, 2, 5),
        (nn.Embedding(9, 6), lambda h: h, torch.randint(9, (4, 7)), 2, 6),
        (nn.Embedding(9, 6), lambda h: h.mean(dim=1), torch.randint(9, (4, 7)), 1, 6),
        (nn.EmbeddingBag(9, 6), lambda h: h, torch.randint(9, (4, 7)), 1, 6),
    ],
)
@pytest.mark.parametrize("train", [False, True])
def test_units_are_found(
    layer: nn.Module, between: Callable[[Tensor], Tensor], x: Tensor, axis: int, units: int, train: bool
) -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layer

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x, x) if isinstance(layer, nn.Bilinear) else self.inner(x)

    model = Between(Layer(), between).train(train)
    ((site, evidence),) = sites_of(model, x)
    assert (site.units, site.fed_by, site.judged, site.note) == (units, "layer.inner", True, "")
    assert evidence.samples == 4
    assert evidence.positions == model.seen.numel() // units
    assert torch.allclose(torch.from_numpy(evidence.mean), mean_by(model.seen, axis), atol=1e-6)
    # the axis that is told is the one in the sample's shape that is told
    assert site.axis is not None
    assert site.shape[site.axis - 1] == units


@pytest.mark.parametrize(
    ("between", "shape", "axis"),
    [
        (lambda h: h.flatten(1), (6, 36), 1),
        (lambda h: h.flatten(2), (6, 36), 1),
        (lambda h: h.flatten(0, 1), (6, 36), 1),
        (lambda h: h.permute(0, 2, 3, 1).reshape(-1, 6), (36, 6), 2),
        (lambda h: h.permute(2, 0, 3, 1).reshape(-1, 6), (6, 6, 6), 3),
        (lambda h: h.permute(1, 0, 2, 3), (6, 36), 1),
    ],
)
def test_channels_merged_with_positions_or_samples_are_units_still(
    between: Callable[[Tensor], Tensor], shape: tuple[int, ...], axis: int
) -> None:
    x = torch.randn(4, 3, 8, 8)
    model = Between(nn.Conv2d(3, 6, 3), between)
    ((site, evidence),) = sites_of(model, x)
    channels = model.layer(x).detach()
    assert (site.units, site.axis, site.shape, site.note) == (6, axis, shape, "")
    assert evidence.active_samples.tolist() == (channels > 0).any(dim=(2, 3)).sum(dim=0).tolist()
    assert evidence.active_positions.tolist() == (channels > 0).sum(dim=(0, 2, 3)).tolist()


def test_where_the_axis_is_lost_the_units_are_one_and_it_is_said() -> None:
    heads = Between(nn.Linear(5, 6), lambda h: h.view(4, 7, 2, 3).transpose(1, 2).transpose(2, 3))
    ((site, evidence),) = sites_of(heads, WORDS)
    assert (site.units, site.axis, site.shape) == (1, None, (2, 3, 7))
    assert site.note == "the axis of its units could not be told: it is taken as one unit"
    assert (site.judged, evidence.samples, evidence.positions) == (True, 4, 4 * 42)


def test_samples_that_cannot_be_told_apart_are_one_for_each_batch() -> None:
    chosen = Between(nn.Linear(5, 6), lambda h: h[torch.tensor([0, 2, 3])])
    with watch(chosen) as seen:
        chosen(ROWS)
        chosen(ROWS)
    ((site, evidence),) = seen.sites.values()
    assert (site.units, evidence.samples, evidence.positions) == (6, 2, 6)
    assert site.note == "its samples could not be told apart: each batch is taken for one"


@dataclass
class Graph:
    times: Tensor
    x: Tensor


@dataclass(slots=True)
class Slotted:
    x: Tensor


class Bag:
    def __init__(self, x: Tensor) -> None:
        self.names, self.length, self.me = ["a", "b"], len(x), self
        self.x = {"first": [x]}


class Opaque:
    """It tells its tensor only to those who ask for it."""

    __slots__ = ("hidden",)

    def __init__(self, x: Tensor) -> None:
        self.hidden = x


UNTOLD = "its samples could not be told apart: each batch is taken for one"


@pytest.mark.parametrize(
    ("given", "x_of", "samples", "note"),
    [
        (lambda x: (Graph(torch.ones(1), x),), lambda graph: graph.x, 5, ""),
        (lambda x: (Slotted(x),), lambda slotted: slotted.x, 5, ""),
        (lambda x: (Bag(x),), lambda bag: bag.x["first"][0], 5, ""),
        (lambda x: (torch.ones(1), x), lambda time, x: x * time, 5, ""),
        (lambda x: (torch.tensor(1.0), x), lambda time, x: x * time, 5, ""),
        (lambda x: (torch.ones(2, 1, 1), x, torch.ones(5)), lambda state, x, lengths: x, 5, ""),
        (lambda x: (x[:1],), lambda x: x, 1, ""),
        (lambda x: (Opaque(x),), lambda opaque: opaque.hidden, 1, UNTOLD),
        (
            lambda x: (x,),
            lambda x: x.repeat(2, 1)[::2],
            5,
            "its samples are taken to lie on axis 0, which could not be told",
        ),
    ],
)
def test_samples_are_those_of_the_inputs_however_they_come(
    given: Callable[[Tensor], tuple[object, ...]], x_of: Callable[..., Tensor], samples: int, note: str
) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, *inputs: object) -> Tensor:
            return self.layer(x_of(*inputs)).relu()

    model = Model()
    with watch(model) as seen:
        model(*given(torch.randn(5, 3)))
    ((site, evidence),) = seen.sites.values()
    assert (evidence.samples, site.units, site.note, seen.notes) == (samples, 4, note, [])


class Learned(nn.Module):
    """Learned queries, which meet the data in attention."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.layer = nn.Parameter(torch.randn(3, 4)), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        queries = self.queries.expand(len(x), 3, 4)
        return self.layer(F.scaled_dot_product_attention(queries, x, x)).relu()


def test_samples_come_by_whatever_of_the_operands_has_them() -> None:
    model = Learned()
    with watch(model) as seen:
        model(torch.randn(5, 7, 4))
    ((site, evidence),) = seen.sites.values()
    assert (evidence.samples, site.units, site.note) == (5, 6, "")


def test_inputs_that_cannot_be_looked_at_end_no_run() -> None:
    class Broken:
        def __init__(self, x: Tensor) -> None:
            self.x = x

        @property
        def values(self) -> object:
            raise ZeroDivisionError

    class Model(nn.Linear):
        def forward(self, broken: Broken) -> Tensor:
            return super().forward(broken.x).relu()

    model = Model(3, 4)
    with watch(model) as seen:
        model(Broken(torch.randn(5, 3)))
    ((site, evidence),) = seen.sites.values()
    assert (evidence.samples, site.units, site.note) == (1, 4, UNTOLD)
    assert seen.notes == ["the inputs could not be looked at (ZeroDivisionError: ): each batch is taken for one sample"]


class Weighted(nn.Module):
    """Weights used without a layer of PyTorch's own."""

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(6, 5)), nn.Parameter(torch.randn(6))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w, b: F.linear(x, w, b),
        lambda x, w, b: F.linear(x, w) + b,
        lambda x, w, b: x @ w.T + b,
        lambda x, w, b: torch.einsum("nc,oc->no", x, w),
        lambda x, w, b: (w @ x.T).T,
        lambda x, w, b: torch.matmul(x[:, None], w.T)[:, 0],
        lambda x, w, b: F.linear(x, w / w.norm(), b),
        lambda x, w, b: F.linear(x, F.softplus(w), b),
        lambda x, w, b: F.linear(x, w * x.mean(), b),
        lambda x, w, b: torch.bmm(x[:, None], w.T.expand(4, 5, 6))[:, 0],
        lambda x, w, b: x @ w.T + x @ w.T.detach(),
    ],
)
def test_weights_of_ones_own_are_a_layer(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    model = nn.Sequential(Weighted(function), nn.ReLU())
    *_, (site, evidence) = sites_of(model, ROWS)
    assert (site.name, site.units, site.axis, site.fed_by, site.judged) == ("1", 6, 1, "0", True)
    assert torch.allclose(torch.from_numpy(evidence.mean), model[0](ROWS).double().mean(dim=0).detach(), atol=1e-6)


def test_a_product_with_one_column_has_one_unit() -> None:
    model = nn.Sequential(Weighted(lambda x, w, b: x @ w[0]), nn.ReLU())
    ((site, evidence),) = sites_of(model, ROWS)
    assert (site.units, site.fed_by, evidence.samples, evidence.positions) == (1, "0", 4, 4)


def test_a_stack_of_matrices_has_no_units_of_its_own() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(2, 5, 6))

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(torch.bmm(x.expand(2, -1, -1), self.weight))

    ((site, evidence),) = sites_of(Experts(), ROWS)
    assert (site.units, site.axis, site.fed_by) == (1, None, "")
    assert evidence.samples == 4


def test_a_sum_is_fed_by_the_layer_that_ran_last() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.conv, self.norm = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
            self.gate = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            y = F.relu(x + self.norm(self.conv(x)))
            gate = torch.sigmoid(self.gate(y.mean(dim=(2, 3))))
            return F.relu(y * gate[:, :, None, None])

    found = [(site.kind, site.fed_by, site.units) for site, _ in sites_of(Residual().eval(), IMAGES)]
    # a gate over all positions does not take over from what it lets through
    assert found == [("relu", "norm", 6), ("sigmoid", "gate", 6), ("relu", "norm", 6)]


def test_norms_without_weights_leave_the_layer_before_them() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6, affine=False), nn.InstanceNorm2d(6), nn.ReLU())
    ((site, _),) = sites_of(model, IMAGES)
    assert (site.fed_by, site.units) == ("0", 6)


def test_a_fixed_filter_is_no_layer() -> None:
    class Blur(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kernel", torch.full((6, 1, 2, 2), 0.25))

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.kernel, groups=6)

    ((site, _),) = sites_of(nn.Sequential(nn.Conv2d(3, 6, 1), Blur(), nn.ReLU()), IMAGES)
    assert (site.fed_by, site.units, site.axis) == ("0", 6, 1)


def test_tied_weights_go_by_the_layer_that_uses_them() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(9, 6), nn.Linear(6, 9, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.head(F.relu(self.embed(x))))

    found = [(site.fed_by, site.units) for site, _ in sites_of(Tied(), torch.randint(9, (4, 7)))]
    assert found == [("embed", 6), ("head", 9)]


def test_layers_that_share_weights_each_go_by_their_own_name() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(5, 6), nn.Linear(5, 6)
            self.other.weight, self.other.bias = self.one.weight, self.one.bias

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.one(x)) + F.relu(self.other(x))

    assert [site.fed_by for site, _ in sites_of(Shared(), ROWS)] == ["one", "other"]


def test_one_slope_for_each_unit_tells_their_axis() -> None:
    class Torn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.act = nn.Linear(5, 6), nn.PReLU(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.layer(x).view(4, 7, 2, 3).transpose(1, 3))

    ((site, _),) = sites_of(Torn(), WORDS)
    assert (site.units, site.axis, site.note) == (3, 1, "")


def test_slopes_of_each_position_are_told_by_the_unit() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.PReLU(6 * 36))
    with torch.no_grad():
        model[2].weight[:36] = 0.0
        model[2].weight[40] = 0.1
    ((site, _),) = sites_of(model, IMAGES)
    assert (site.units, site.shape) == (6, (6, 36))
    assert site.slope == pytest.approx((0, math.nan, 0.25, 0.25, 0.25, 0.25), nan_ok=True)
    assert len(leaky.check(model, IMAGES).sites["2"].learns) == 6


def test_slopes_on_another_axis_than_the_units() -> None:
    class Across(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.act = nn.Linear(5, 7), nn.PReLU(7)  # of the 7 words, not of the 7 units

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.layer(x))

    model = Across()
    ((site, _),) = sites_of(model, WORDS)
    assert (site.axis, site.slope) == (2, (0.25,) * 7)
    with torch.no_grad():
        model.act.weight[0] = 0
    ((site, _),) = sites_of(model, WORDS)
    assert site.slope == pytest.approx((math.nan,) * 7, nan_ok=True)


def test_several_slopes_for_each_pre_activation() -> None:
    class Spread(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.slopes = nn.Linear(5, 7), nn.Parameter(torch.rand(3, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            h = self.layer(x)
            return torch.where(h > 0, h, self.slopes * h)

    ((site, _),) = sites_of(Spread(), ROWS)
    assert (site.kind, site.units) == ("leaky_relu", 7)
    assert math.isnan(site.slope)


def test_attention_hands_its_output_on() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2)  # the sequence first: it is transposed on the way
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            x = x.transpose(0, 1)
            return self.relu(self.attention(x, x, x, need_weights=False)[0])

    ((site, evidence),) = sites_of(Block(), torch.randn(4, 7, 6))
    assert (site.fed_by, site.units, site.axis) == ("attention.out_proj", 6, 2)
    assert (evidence.samples, evidence.positions) == (4, 28)


def test_parametrised_weights_are_the_layers_own() -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Conv1d(6, 3, 1), nn.ReLU(), nn.Linear(1, 2), nn.ReLU())
    nn.utils.parametrizations.weight_norm(model[0])
    nn.utils.parametrizations.spectral_norm(model[2])
    model.append(nn.utils.spectral_norm(nn.Linear(2, 3))).append(nn.ReLU())
    nn.utils.parametrizations.orthogonal(model[4])
    found = []

    class Through(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = model

        def forward(self, x: Tensor) -> Tensor:
            x = self.layers[1](self.layers[0](x))
            x = self.layers[3](self.layers[2](x[:, :, None]))
            return self.layers[7](self.layers[6](self.layers[5](self.layers[4](x))))

    for train in (True, False):
        found = [(site.fed_by, site.units) for site, _ in sites_of(Through().train(train), ROWS) if site.judged]
        assert found == [("layers.0", 6), ("layers.2", 3), ("layers.4", 2), ("layers.6", 3)]
