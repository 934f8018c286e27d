"""What sites are called: by their modules, or by what was called and where."""

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leaky.torch
from leaky.torch.watch import watch
from leaky_tests.torch.watch.forms import MODES, Twelve, sites_of


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
