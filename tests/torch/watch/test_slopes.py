"""The slopes of a site are told by the unit, whatever axis they are given on."""

import math

import pytest
import torch
from torch import Tensor, nn

import leaky
from leaky_tests.torch.watch.between import IMAGES, ROWS, WORDS, sites_of


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
