"""The axis of the units is told through whatever lies between a layer and an activation."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky_tests.torch.watch.between import IMAGES, ROWS, WORDS, Between, sites_of


def mean_by(x: Tensor, axis: int) -> Tensor:
    return x.double().movedim(axis, 0).flatten(1).mean(dim=1)


CONV = nn.Conv2d(3, 6, 3)


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
