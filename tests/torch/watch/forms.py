"""Every way of writing an activation, and the sites that are found in a network."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import relu as early_bound

import leaky.torch
from leaky.evidence import Site
from leaky.torch.watch import watch

INF = math.inf
RELU = (0.0, INF)
EVERYWHERE = (-INF, INF)


class Written(nn.Module):
    """A layer, and a function of what it puts out."""

    def __init__(self, function: Callable[[Tensor, "Written"], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.layer = nn.Linear(6, 5)
        self.slope = nn.Parameter(torch.tensor(0.25))
        self.slopes = nn.Parameter(torch.linspace(-0.5, 0.5, 5))
        self.learned_zero = nn.Parameter(torch.zeros(5))
        self.register_buffer("zero", torch.zeros(1))
        self.register_buffer("mixing", torch.randn(5, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layer(x), self)


Case = tuple[Callable[[Tensor, Written], Tensor], str, str, tuple[float, float], object]

# what is written, its kind, its form, its limits, its slope
CASES: dict[str, Case] = {
    "F.relu": (lambda x, m: F.relu(x), "relu", "relu", RELU, None),
    "early bound": (lambda x, m: early_bound(x), "relu", "relu", RELU, None),
    "x.relu": (lambda x, m: x.relu(), "relu", "relu", RELU, None),
    "relu_": (lambda x, m: x.relu_(), "relu", "relu", RELU, None),
    "clamp": (lambda x, m: x.clamp(min=0), "relu", "clamp(min=0)", RELU, None),
    "clip": (lambda x, m: torch.clip(x, 0, None), "relu", "clamp(min=0)", RELU, None),
    "clamp_": (lambda x, m: x.clamp_(0, INF), "relu", "clamp(min=0)", RELU, None),
    "clamp_min": (lambda x, m: x.clamp_min(0), "relu", "clamp_min(0)", RELU, None),
    "clamp by tensor": (lambda x, m: x.clamp(min=torch.tensor(0.0)), "relu", "maximum(x, 0)", RELU, None),
    "maximum": (lambda x, m: torch.maximum(x, torch.tensor(0.0)), "relu", "maximum(x, 0)", RELU, None),
    "maximum of a buffer": (lambda x, m: torch.maximum(m.zero, x), "relu", "maximum(x, 0)", RELU, None),
    "max": (lambda x, m: torch.max(x, torch.zeros_like(x)), "relu", "maximum(x, 0)", RELU, None),
    "maximum of a zeroed copy": (lambda x, m: torch.maximum(x, (x * 1).zero_()), "relu", "maximum(x, 0)", RELU, None),
    "threshold": (lambda x, m: F.threshold(x, 0, 0), "relu", "threshold(0, 0)", RELU, None),
    "threshold elsewhere": (lambda x, m: F.threshold(x, 0.1, 0), "threshold", "threshold(0.1, 0)", RELU, None),
    "where": (lambda x, m: torch.where(x > 0, x, 0), "relu", "where(x > 0, x, 0)", RELU, None),
    "where at 0": (
        lambda x, m: torch.where(x >= 0, x, torch.zeros_like(x)),
        "relu",
        "where(x >= 0, x, 0)",
        RELU,
        None,
    ),
    "where turned round": (lambda x, m: torch.where(x < 0, 0.0, x), "relu", "where(x < 0, 0, x)", RELU, None),
    "masked_fill": (lambda x, m: x.masked_fill(x <= 0, 0), "relu", "masked_fill(x <= 0, 0)", RELU, None),
    "times a mask": (lambda x, m: x * (x > 0), "relu", "x * (x > 0)", RELU, None),
    "times a float mask": (lambda x, m: (x > 0).float() * x, "relu", "x * (x > 0)", RELU, None),
    "relu6": (lambda x, m: F.relu6(x), "relu6", "relu6", (0.0, 6.0), None),
    "clamp to 6": (lambda x, m: x.clamp(0, 6), "relu6", "clamp(0, 6)", (0.0, 6.0), None),
    "hardtanh": (lambda x, m: F.hardtanh(x), "hardtanh", "hardtanh", (-1.0, 1.0), None),
    "leaky_relu": (lambda x, m: F.leaky_relu(x, 0.2), "leaky_relu", "leaky_relu", EVERYWHERE, 0.2),
    "leaky_relu_": (lambda x, m: F.leaky_relu_(x, 0.2), "leaky_relu", "leaky_relu", EVERYWHERE, 0.2),
    "slope 0": (lambda x, m: F.leaky_relu(x, 0.0), "leaky_relu", "leaky_relu", RELU, 0.0),
    "ours": (lambda x, m: leaky.torch.leaky_relu(x, 0.2), "leaky_relu", "leaky_relu", EVERYWHERE, 0.2),
    "leaky where": (
        lambda x, m: torch.where(x > 0, x, 0.2 * x),
        "leaky_relu",
        "where(x > 0, x, slope * x)",
        EVERYWHERE,
        0.2,
    ),
    "learned where": (
        lambda x, m: torch.where(x < 0, m.slope * x, x),
        "leaky_relu",
        "where(x < 0, slope * x, x)",
        EVERYWHERE,
        0.25,
    ),
    "leaky maximum": (lambda x, m: torch.maximum(x, 0.2 * x), "leaky_relu", "maximum(x, slope * x)", EVERYWHERE, 0.2),
    "prelu": (lambda x, m: F.prelu(x, m.slopes), "prelu", "prelu", EVERYWHERE, (-0.5, -0.25, 0.0, 0.25, 0.5)),
    "rrelu": (lambda x, m: F.rrelu(x, 0.1, 0.3), "rrelu", "rrelu", EVERYWHERE, 0.2),
    "elu": (lambda x, m: F.elu(x), "elu", "elu", (-4.6052, INF), None),
    "elu of a small alpha": (lambda x, m: F.elu(x, 0.001), "elu", "elu", RELU, None),
    "celu": (lambda x, m: F.celu(x, 2.0), "celu", "celu", (-9.2103, INF), None),
    "selu": (lambda x, m: F.selu(x), "selu", "selu", (-4.6052, INF), None),
    "gelu": (lambda x, m: F.gelu(x), "gelu", "gelu", (-3.0217, INF), None),
    "gelu by tanh": (
        lambda x, m: 0.5 * x * (1 + torch.tanh(0.79788 * (x + 0.044715 * torch.pow(x, 3)))),
        "gelu",
        "x * (1 + tanh(...))",
        (-3.0217, INF),
        None,
    ),
    "gelu by erf": (
        lambda x, m: x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2))),
        "gelu",
        "x * (1 + erf(...))",
        (-3.0217, INF),
        None,
    ),
    "silu": (lambda x, m: F.silu(x), "silu", "silu", (-6.143, INF), None),
    "swish": (lambda x, m: x * torch.sigmoid(x), "silu", "x * sigmoid(x)", (-6.143, INF), None),
    "swish, faster": (lambda x, m: torch.sigmoid(2 * x) * x, "silu", "x * sigmoid(2 * x)", (-3.0715, INF), None),
    "mish": (lambda x, m: F.mish(x), "mish", "mish", (-6.1588, INF), None),
    "mish written": (
        lambda x, m: x * torch.tanh(F.softplus(x)),
        "mish",
        "x * tanh(softplus(x))",
        (-6.1588, INF),
        None,
    ),
    "softplus": (lambda x, m: F.softplus(x), "softplus", "softplus", (-4.5951, INF), None),
    "hardswish": (lambda x, m: F.hardswish(x), "hardswish", "hardswish", (-3.0, INF), None),
    "sigmoid": (lambda x, m: torch.sigmoid(x), "sigmoid", "sigmoid", (-5.9865, 5.9865), None),
    "expit": (lambda x, m: torch.special.expit(x), "sigmoid", "sigmoid", (-5.9865, 5.9865), None),
    "hardsigmoid": (lambda x, m: F.hardsigmoid(x), "hardsigmoid", "hardsigmoid", (-3.0, 3.0), None),
    "logsigmoid": (lambda x, m: F.logsigmoid(x), "logsigmoid", "logsigmoid", (-INF, 4.5951), None),
    "tanh": (lambda x, m: x.tanh(), "tanh", "tanh", (-2.9933, 2.9933), None),
    "tanh_": (lambda x, m: x.tanh_(), "tanh", "tanh", (-2.9933, 2.9933), None),
}

MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "grad": torch.enable_grad,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
}


def sites_of(model: nn.Module, *inputs: Tensor) -> list[Site]:
    with watch(model) as seen:
        model(*inputs)
        model(*inputs)
    for site, evidence in seen.sites.values():
        assert evidence.samples == 2 * len(inputs[0]) or not site.judged, site.name
    assert seen.notes == []
    return [site for site, _ in seen.sites.values()]


class Twelve(nn.Module):
    """Twelve ways of writing ReLU, some called more than once."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(5, 5) for _ in range(12)])
        self.relu = nn.ReLU()
        self.inplace = nn.ReLU(inplace=True)
        self.bare = Bare()

    def forward(self, x: Tensor) -> Tensor:
        forms: list[Callable[[Tensor], Tensor]] = [
            self.relu,
            self.inplace,
            F.relu,
            early_bound,
            lambda x: x.relu(),
            torch.relu_,
            lambda x: x.clamp(min=0),
            lambda x: x.clamp_min(0),
            lambda x: torch.maximum(x, torch.zeros(())),
            lambda x: F.threshold(x, 0, 0),
            lambda x: torch.where(x > 0, x, 0),
            self.bare,
        ]
        for layer, form in zip(self.layers, forms, strict=True):
            x = form(layer(x))
        return self.relu(self.layers[0](self.relu(self.layers[0](x))))


class Bare(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (x > 0)
