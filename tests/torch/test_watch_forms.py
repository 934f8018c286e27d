"""Every way of writing an activation is found, each once, and nothing that is none."""

import importlib.util
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
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
    assert site.source.startswith("test_watch_forms.py:")


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


def test_twelve_forms_and_shared_modules_in_one_network() -> None:
    sites = sites_of(Twelve(), torch.randn(3, 5))
    assert [site.name for site in sites] == [
        "relu",
        "inplace",
        "relu()",
        "relu()[1]",
        "relu()[2]",
        "relu()[3]",
        "clamp()",
        "clamp_min()",
        "maximum()",
        "threshold()",
        "where()",
        "bare",
        "relu[1]",
        "relu[2]",
    ]
    assert {site.kind for site in sites} == {"relu"}
    assert [site.fed_by for site in sites] == [f"layers.{i}" for i in [*range(12), 0, 0]]
    assert [site.form for site in sites][:3] == ["nn.ReLU", "nn.ReLU", "relu"]
    assert [site.form for site in sites][-3:] == ["x * (x > 0)", "nn.ReLU", "nn.ReLU"]
    assert sites[0].source is None
    assert len({site.source for site in sites[2:11]}) == 7  # three share the line of the loop


def test_a_branch_not_taken_takes_no_name_from_the_other() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow, self.wide = nn.Linear(5, 2), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = torch.sigmoid((self.wide if x.sum() > 0 else self.narrow)(x))
            if x.sum() > 0:
                return F.relu(self.wide(x)), y
            return F.relu(self.narrow(x)), y

    model, x = Branches(), torch.ones(4, 5)
    with watch(model) as seen:
        for sign in (1, -1, 1):
            model(sign * x)
    found = {name: (site.units, evidence.samples) for name, (site, evidence) in seen.sites.items()}
    assert found == {"sigmoid()": (3, 8), "relu()": (3, 8), "sigmoid()[1]": (2, 4), "relu()[1]": (2, 4)}


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    functions = []
    for package in ("upper", "lower"):
        file = tmp_path / package / "blocks.py"
        file.parent.mkdir()
        file.write_text("def act(x):\n    return x.relu()\n")
        spec = importlib.util.spec_from_file_location(f"{package}.blocks", file)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
        functions.append(module.act)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(5, 5), nn.Linear(5, 5)])

        def forward(self, x: Tensor) -> Tensor:
            pairs = list(zip(self.layers, functions, strict=True))
            for layer, act in pairs if x.sum() > 0 else pairs[1:]:
                x = act(layer(x))
            return x

    model = Both()
    with watch(model) as seen:
        for sign in (1, -1):
            model(sign * torch.ones(4, 5))
    found = [(name, s.source, s.fed_by, evidence.samples) for name, (s, evidence) in seen.sites.items()]
    assert found == [("relu()", "blocks.py:2", "layers.0", 4), ("relu()[1]", "blocks.py:2", "layers.1", 8)]


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.ReLU(), "relu"),
        (nn.ReLU6(), "relu6"),
        (nn.Hardtanh(), "hardtanh"),
        (nn.LeakyReLU(), "leaky_relu"),
        (leaky.torch.LeakyReLU(), "leaky_relu"),
        (nn.PReLU(), "prelu"),
        (nn.RReLU(), "rrelu"),
        (nn.Threshold(0.0, 0.0), "relu"),
        (nn.ELU(), "elu"),
        (nn.CELU(), "celu"),
        (nn.SELU(), "selu"),
        (nn.GELU(), "gelu"),
        (nn.SiLU(), "silu"),
        (nn.Mish(), "mish"),
        (nn.Softplus(), "softplus"),
        (nn.Hardswish(), "hardswish"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.Hardsigmoid(), "hardsigmoid"),
        (nn.LogSigmoid(), "logsigmoid"),
        (nn.Tanh(), "tanh"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__module__,
)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("training", [True, False])
def test_modules_go_by_their_own_names(module: nn.Module, kind: str, mode: str, training: bool) -> None:
    with MODES[mode]():
        (site,) = sites_of(nn.Sequential(nn.Linear(6, 5), module).train(training), torch.randn(4, 6))
    assert (site.name, site.kind, site.form, site.units) == ("1", kind, f"nn.{type(module).__name__}", 5)
    assert site.module == "1"
    assert site.source is None


def test_a_network_that_is_one_module_is_named_by_its_call() -> None:
    (site,) = sites_of(nn.ReLU(), torch.randn(4, 6))
    assert (site.name, site.form, site.module) == ("relu()", "nn.ReLU", "")


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
