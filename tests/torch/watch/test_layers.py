"""The layer that feeds an activation is told, weights of one's own and tied ones included."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky_tests.torch.watch.between import IMAGES, ROWS, sites_of


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
