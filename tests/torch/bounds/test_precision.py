"""The bounds where PyTorch is set to compute float32 products with fewer bits than float32 has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import backends, nn

from leaky.torch.bounds import bounds_of, prove, ranged
from leaky.torch.bounds.rounding import arithmetic, product_arithmetic

PRECISE = arithmetic(torch.float32)
COARSE = torch.finfo(torch.bfloat16).eps / 2


# Set beneath torch.backends, parts of which cannot be written to any more where PyTorch's tables for tests were imported.
PLACES = [
    *(("generic", "all"), ("cuda", "all"), ("cuda", "matmul"), ("cuda", "conv")),
    *(("mkldnn", "all"), ("mkldnn", "matmul"), ("mkldnn", "conv")),
]


def settings() -> list[str]:
    return [*(torch._C._get_fp32_precision_getter(*place) for place in PLACES), torch.get_float32_matmul_precision()]


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    before = settings()
    yield
    torch.set_float32_matmul_precision("highest")
    for place, value in zip(PLACES, before, strict=False):
        torch._C._set_fp32_precision_setter(*place, value)
    assert settings() == before


def of_legacy() -> None:
    torch.set_float32_matmul_precision("medium")


def of_products() -> None:
    backends.mkldnn.matmul.fp32_precision = "bf16"


def of_convolutions() -> None:
    backends.mkldnn.conv.fp32_precision = "bf16"


def of_everything() -> None:
    torch._C._set_fp32_precision_setter("generic", "all", "tf32")


def of_graphics_cards() -> None:
    backends.cuda.matmul.fp32_precision = "tf32"


@pytest.mark.parametrize(
    ("setting", "coarse"),
    [
        # Convolutions may be computed as matrix products.
        (of_legacy, {"products", "convolutions"}),
        (of_products, {"products", "convolutions"}),
        (of_convolutions, {"convolutions"}),
        (of_everything, {"products", "convolutions"}),
        (of_graphics_cards, set()),
    ],
)
def test_what_is_rounded_coarsely_stays_in_bounds(setting: Callable[[], None], coarse: set[str]) -> None:
    torch.manual_seed(0)
    layers = {
        "products": (nn.Linear(64, 16), torch.rand(2, 64)),
        "convolutions": (nn.Conv2d(16, 16, 3), torch.rand(2, 16, 4, 4)),
    }
    setting()
    for name, (layer, x) in layers.items():
        with torch.no_grad():
            bounds = bounds_of(layer(ranged(x, x)))
            # As processors with instructions for bfloat16 compute it, which this one need not be.
            rounded = layer.double()
            exact = rounded(x.double())
            rounded.weight.copy_(rounded.weight.bfloat16())
            y = rounded(x.bfloat16().double())
        assert bounds is not None
        inside = (bounds.lower <= y) & (y <= bounds.upper)
        assert bool(inside.all()) == (name in coarse)
        assert ((bounds.lower <= exact) & (exact <= bounds.upper)).all()


def test_a_network_is_proved_whatever_is_set() -> None:
    """For PyTorch's own word for all of it raises, where it was set in two ways."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU())
    nn.init.constant_(model[2].bias, -99)
    of_products()
    with pytest.raises(RuntimeError):
        torch.get_float32_matmul_precision()
    proofs = prove(model, ranged(-torch.ones(2, 4), 1.0))
    assert proofs.notes == ()
    assert proofs.sites["3"].dead.all()


def test_graphics_cards_convolve_coarsely_unless_told_otherwise() -> None:
    card = torch.device("cuda")
    assert product_arithmetic(torch.float32, card) == PRECISE
    assert product_arithmetic(torch.float32, card, convolution=True).unit == COARSE
    assert product_arithmetic(torch.float64, card, convolution=True) == arithmetic(torch.float64)
    torch._C._set_fp32_precision_setter("cuda", "conv", "ieee")
    assert product_arithmetic(torch.float32, card, convolution=True) == PRECISE
    of_graphics_cards()
    assert product_arithmetic(torch.float32, card).unit == COARSE
