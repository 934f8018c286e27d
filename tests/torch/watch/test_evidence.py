"""The evidence on planted networks: each unit is just what was made of it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leaky.evidence import Evidence, batch_statistics
from leaky.torch.watch import watch
from leaky.torch.watch.statistics import on_device, statistics

SAMPLES = 3000
BATCH = 500
# of the units planted in each layer: dead, active on one sample in 1000, active on about half, active always
PLANTED = np.array(["dead", "rare", "alive", "on"] * 2)


def verdicts(evidence: Evidence) -> list[str]:
    """Return what the evidence says of each unit."""
    words = []
    for active, low in zip(evidence.active_samples.tolist(), evidence.low.tolist(), strict=True):
        if active == 0:
            words.append("dead")
        elif low == 0:
            words.append("on")
        else:
            words.append("rare" if active <= evidence.samples // 500 else "alive")
    return words


def inputs(*shape: int) -> Tensor:
    """Return noise within -1 and 1, but for a first number (or channel) of 100 in one sample of a thousand, else 0."""
    x = torch.rand(SAMPLES, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x[:, 0] = 0
    x[::1000, 0] = 100
    return x


def plant(layer: nn.Module, groups: int = 1) -> nn.Module:
    """Give a layer of eight units, of whose inputs the first is rare (in each group), what PLANTED says."""

    def turned(weight: Tensor) -> Tensor:
        """Return weights with the units on axis 0, and those so turned as they were."""
        if isinstance(layer, nn.ConvTranspose2d):
            return torch.cat([part.transpose(0, 1) for part in weight.chunk(groups)])
        return weight

    with torch.no_grad():
        weight = turned(layer.weight).clone().uniform_(-0.1, 0.1)
        weight[:, 0] = 0
        size = 0.1 * weight[0].numel()
        for unit, word in enumerate(PLANTED):
            layer.bias[unit] = {"dead": -2 * size, "rare": -2 * size, "alive": 0.0, "on": 2 * size}[word]
            if word == "rare":
                weight[unit, 0] = size
        layer.weight.copy_(turned(weight))
    return layer


class Residual(nn.Module):
    """Adds to a layer's output what leaves each unit as it was planted."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y + 0.001 * x[:, 1:2].clamp(-1, 1).expand_as(y)


def scaled(norm: nn.Module) -> nn.Module:
    """Give a normalisation in evaluation mode scales that differ from unit to unit, and keep every sign."""
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
    return norm.eval()


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], dim=1)


NETWORKS: dict[str, tuple[Callable[[], list[nn.Module]], tuple[int, ...]]] = {
    "linear": (lambda: [plant(nn.Linear(6, 8))], (6,)),
    "convolution": (lambda: [plant(nn.Conv2d(3, 8, 3))], (3, 5, 5)),
    "grouped": (lambda: [Twice(), plant(nn.Conv2d(6, 8, 3, groups=2), 2)], (3, 5, 5)),
    "transposed": (lambda: [plant(nn.ConvTranspose2d(3, 8, 3))], (3, 4, 4)),
    "transposed, grouped": (lambda: [Twice(), plant(nn.ConvTranspose2d(6, 8, 3, groups=2), 2)], (3, 4, 4)),
    "BatchNorm": (lambda: [plant(nn.Conv2d(3, 8, 3)), scaled(nn.BatchNorm2d(8))], (3, 5, 5)),
    "BatchNorm, linear": (lambda: [plant(nn.Linear(6, 8)), scaled(nn.BatchNorm1d(8))], (6,)),
    "dropout": (lambda: [plant(nn.Linear(6, 8)), nn.Dropout(0.3)], (6,)),
    "residual": (lambda: [Residual(plant(nn.Linear(6, 8)))], (6,)),
    "residual, convolution": (lambda: [Residual(plant(nn.Conv2d(3, 8, 3, padding=1)))], (3, 5, 5)),
    "flattened": (lambda: [plant(nn.Conv2d(3, 8, 3)), nn.Flatten()], (3, 5, 5)),
}


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.1)], ids=repr)
@pytest.mark.parametrize("name", NETWORKS)
def test_no_planted_unit_is_misjudged(name: str, activation: nn.Module) -> None:
    torch.manual_seed(1)
    layers, shape = NETWORKS[name]
    model = nn.Sequential(*layers(), activation).eval()
    x = inputs(*shape)
    with torch.no_grad(), watch(model) as seen:
        for batch in x.split(BATCH):
            model(batch)
    ((site, evidence),) = seen.sites.values()
    assert evidence.samples == SAMPLES
    # a leaky unit has no lower limit: what is on is told by the smallest pre-activation
    if isinstance(activation, nn.LeakyReLU):
        evidence.low[:] = evidence.smallest <= 0
    assert verdicts(evidence) == PLANTED.tolist()
    rare = evidence.active_samples[PLANTED == "rare"]
    assert rare.tolist() == [3, 3]
    assert site.judged


class Kept(nn.Module):
    """A network that keeps its pre-activations, of shared modules too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 3, 3), nn.Linear(3 * 4 * 4, 3 * 4 * 4)
        self.relu = nn.ReLU(inplace=True)
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        self.kept.append(y.detach().clone())
        y = self.relu(y).flatten(1)
        for _ in range(2):
            y = self.fc(y)
            self.kept.append(y.detach().clone())
            y = self.relu(y)
        return torch.tanh(y)


@pytest.mark.parametrize("sizes", [(7,), (4, 3), (1, 6), (1, 1, 1, 1, 1, 1, 1)])
def test_evidence_is_a_plain_calculation_over_all_samples(sizes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = Kept()
    x = torch.randn(7, 2, 6, 6)
    x[2, 0, 0, 0] = torch.nan
    with torch.no_grad(), watch(model) as seen:
        for batch in x.split(sizes):
            model(batch)
    assert list(seen.sites) == ["relu", "relu[1]", "relu[2]", "tanh()"]
    for number, (site, evidence) in enumerate(list(seen.sites.values())[:3]):
        x = torch.cat(model.kept[number::3])
        whole = Evidence(site.units)
        whole.add(batch_statistics(x.numpy(), 1, site.limits))
        assert (evidence.samples, evidence.positions) == (whole.samples, whole.positions)
        assert np.array_equal(evidence.counts, whole.counts)
        assert np.array_equal(evidence.extremes, whole.extremes)
        assert np.allclose(evidence.mean, whole.mean, equal_nan=True)
        assert evidence.nonfinite.any()


def test_a_threshold_elsewhere_is_where_units_become_active() -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.Threshold(0.5, 0.0))
    x = torch.randn(64, 4)
    with torch.no_grad(), watch(model) as seen:
        y = model(x)
    ((site, evidence),) = seen.sites.values()
    assert evidence.active_samples.tolist() == (y > 0).sum(dim=0).tolist()
    assert evidence.low.tolist() == (y == 0).sum(dim=0).tolist()
    assert site.note == "its pre-activation is what exceeds 0.5"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("shape", "axis"), [((6, 5), 1), ((6, 5), None), ((6, 3, 4, 2), 1), ((6, 3, 4), 2), ((6,), None), ((1, 1), 1)]
)
def test_a_device_of_its_own_comes_to_the_same(dtype: torch.dtype, shape: tuple[int, ...], axis: int | None) -> None:
    x = torch.randn(shape, dtype=torch.float64).to(dtype)
    x.view(-1)[0] = torch.nan
    if x.numel() > 3:
        x.view(-1)[1:4] = torch.tensor([torch.inf, -torch.inf, 0.0])
    mine, theirs = on_device(x, axis, (-0.5, 1.0)), batch_statistics(x.double().numpy(), axis, (-0.5, 1.0))
    assert vars(mine).keys() == vars(theirs).keys()
    for key, value in vars(theirs).items():
        assert np.allclose(getattr(mine, key), value, rtol=1e-12), key
        assert np.asarray(getattr(mine, key)).dtype == np.asarray(value).dtype, key
    for key, value in vars(statistics(x, axis, (-0.5, 1.0))).items():
        assert np.allclose(value, getattr(theirs, key), rtol=1e-12), key


def test_a_scaled_copy_is_not_taken_for_the_pre_activation() -> None:
    class Gelu(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            self.x = x = self.layer(x)
            return 0.5 * x * (1 + torch.tanh(0.79788 * (x + 0.044715 * x**3)))

    model = Gelu()
    with torch.no_grad(), watch(model) as seen:
        model(torch.randn(5, 3))
    ((_, evidence),) = seen.sites.values()
    assert np.array_equal(evidence.largest, model.x.amax(dim=0).double().numpy())
