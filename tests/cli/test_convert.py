from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import leaky
from leaky.cli import main
from leaky.cli.commands import convert_command
from leaky.inputs.loading import load_model

NETWORK = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.act = nn.ReLU()
        self.outer = nn.Linear(8, 8)
        self.learned = nn.PReLU()
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        x = self.act(self.norm(self.inner(x)))
        return self.last(self.learned(F.relu(self.outer(x))))


def network():
    print("hello")
    torch.manual_seed(0)
    model = Net()
    with torch.no_grad():
        model.outer.bias[2] = -100
    return model
"""


@pytest.fixture
def net(here: Path) -> Path:
    """A user's network with a rectifier in a module and one in a call, which has a dead unit, and data for it."""
    (here / "net.py").write_text(NETWORK)
    np.save(here / "d.npy", np.random.default_rng(0).normal(size=(300, 4)))
    return here


def convert(*arguments: str) -> int:
    return main(["convert", *arguments, "--trust"])


def converted(**options: Any) -> torch.nn.Module:
    model = load_model("net.py:network", trust=True)
    return leaky.convert(model, 0.1, **options).model  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_writes_weights_with_their_slopes(net: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("net.py:network", "-o", name) == 0
    out, err = capsys.readouterr()
    assert err == "hello\n"
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert ["act", "nn.ReLU", "leaky_relu(0.1)"] in [line.split() for line in lines]
    assert ["relu()", "relu", "leaky_relu(0.1)"] in [line.split() for line in lines]
    assert any(line.startswith("learned nn.PReLU only when asked for (kinds: prelu)") for line in lines)
    assert "2 sites converted, 1 left." in lines
    assert f"Weights, with their slopes: {name}" in lines
    leaky.load_weights(converted(), net / name)  # a warning, which is an error, if the slopes were others
    with pytest.warns(UserWarning, match="weights made for another negative slope than the network's: 0.1 where"):
        leaky.load_weights(load_model("net.py:network", trust=True), net / name)  # type: ignore[arg-type]


def test_the_next_command_puts_nothing_in_the_place_of_what_it_reads() -> None:
    for name in ("cured.pt", "cured.onnx", "net.py:network"):
        command = convert_command(name, None, "d.npy", batch=None, untrained=False, trust=False).split()
        assert command[command.index("-o") + 1] != name


@pytest.mark.parametrize("name", ["cured.pt", "cured.safetensors"])
def test_what_was_converted_can_be_checked_and_converted_again(
    name: str, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert("net.py:network", "-o", name, "--data", "d.npy", "--slope", "0.3") == 0
    printed = capsys.readouterr().out.splitlines()
    command = f"leaky check {name} --model net.py:network --data d.npy --trust"
    assert (
        printed[printed.index("To check the network with them, which is converted as it is read:") + 1]
        == f"  {command}"
    )
    assert main([*command.split()[1:], "--json"]) in (0, 1)
    out, err = capsys.readouterr()
    sites = {site["name"]: (site["kind"], site["slope"]) for site in json.loads(out)["sites"]}
    assert sites == {"act": ("leaky_relu", 0.3), "leaky_relu()": ("leaky_relu", 0.3), "learned": ("prelu", 0.25)}
    assert f"{name}: the network is converted as its weights were: leaky_relu(0.3) in 2 places.\n" in err
    assert convert(name, "--model", "net.py:network", "-o", "again.pt", "--slope", "0.2") == 0
    assert leaky.torch.slopes(load_model("again.pt", network="net.py:network", trust=True)) == {"": [0.2], "act": 0.2}  # type: ignore[arg-type]


def test_learned_slopes_are_frozen_and_thawed(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--slope", "own"]
    assert convert("net.py:network", "-o", "f.pt", "--kinds", "prelu", *own) == 0
    frozen = load_model("f.pt", network="net.py:network", trust=True)
    assert "learned.weight" not in dict(frozen.named_parameters())  # type: ignore[union-attr]
    assert (
        convert("f.pt", "--model", "net.py:network", "-o", "t.pt", "--to", "prelu", "--kinds", "leaky_relu", *own) == 0
    )
    thawed = load_model("t.pt", network="net.py:network", trust=True)
    assert type(thawed.learned) is torch.nn.PReLU  # type: ignore[union-attr]
    assert torch.equal(thawed.learned.weight, frozen.learned.weight)  # type: ignore[union-attr, operator]
    assert convert("net.py:network", "-o", "l.pt", "--to", "prelu", "--only", "act", "--slope", "0.2") == 0
    learned = load_model("l.pt", network="net.py:network", trust=True)
    assert learned.act.weight.tolist() == [pytest.approx(0.2)]  # type: ignore[union-attr]
    assert type(learned.act) is torch.nn.PReLU  # type: ignore[union-attr]


def test_subclasses_when_asked(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = NETWORK.replace("self.act = nn.ReLU()", "self.act = Own()") + "\n\nclass Own(nn.ReLU):\n    pass\n"
    (net / "own.py").write_text(code)
    assert convert("own.py:network", "--dry-run") == 0
    assert "a subclass of nn.ReLU: only when asked for (subclasses)" in " ".join(capsys.readouterr().out.split())
    assert convert("own.py:network", "-o", "w.pt", "--subclasses") == 0
    assert "2 sites converted, 1 left." in capsys.readouterr().out
    made = load_model("w.pt", network="own.py:network", trust=True)
    assert leaky.torch.slopes(made) == {"": [0.1], "act": 0.1}  # type: ignore[arg-type]


def test_where_no_unit_is_dead_it_is_said(here: Path, network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("alive.py:network", "-o", "w.pt", "--data", "d.npz", "--only-dead") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "No unit is dead on 300 samples: nothing was converted, so nothing was written." in out
    assert "1 nn.ReLU none of its units is dead" in out
    assert not (here / "w.pt").exists()


def test_weights_come_from_a_file_as_well(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = load_model("net.py:network", trust=True)
    with torch.no_grad():
        trained.last.bias.fill_(7.0)  # type: ignore[union-attr]
    torch.save(trained.state_dict(), net / "old.pt")  # type: ignore[union-attr]
    assert convert("old.pt", "--model", "net.py:network", "-o", "new.pt", "--slope", "0.3") == 0
    weights = torch.load(net / "new.pt", weights_only=True)
    assert weights["last.bias"].tolist() == [7.0] * 3
    assert weights._metadata["act"]["negative_slope"] == 0.3


def test_data_show_how_far_the_outputs_move(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["net.py:network", "-o", "w.pt", "--data", "d.npy", "--untrained", "--recalibrate", "--batch", "100"]
    assert convert(*arguments) == 0
    out, _ = capsys.readouterr()
    text = " ".join(out.split())
    # A command is one line, to be copied.
    assert max(len(line) for line in out.splitlines() if not line.startswith("  leaky ")) <= 80
    assert "Outputs on 300 samples: moved by" in text
    assert "Outputs after recalibrating BatchNorm, on 300 samples: moved by" in text
    assert "Initial weights stay as they are before 1 site (act): a normalisation" in text
    expected = converted(data=np.load(net / "d.npy"), recalibrate=True, trained=False)
    mean = torch.load(net / "w.pt", weights_only=True)["norm.running_mean"]
    torch.testing.assert_close(mean, expected.norm.running_mean)


def test_initial_weights_are_rescaled(here: Path, network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("alive.py:network", "-o", "w.pt", "--data", "d.npz", "--untrained", "--slope", "0.5") == 0
    assert "1    nn.ReLU leaky_relu(0.5) × 0.894" in capsys.readouterr().out
    before = load_model("alive.py:network", trust=True).state_dict()  # type: ignore[union-attr]
    after = torch.load(here / "w.pt", weights_only=True)
    torch.testing.assert_close(after["0.weight"], before["0.weight"] * (1 / 1.25) ** 0.5)


def test_only_the_sites_with_dead_units(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("net.py:network", "--dry-run", "--data", "d.npy", "--only-dead", "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert [change["site"] for change in document["changes"]] == ["relu()"]
    assert {left["site"]: left["reason"] for left in document["left"]}["act"] == "none of its units is dead"
    assert document["drift"]["samples"] == 300
    assert "Nothing was written (--dry-run)." in err


def test_what_is_chosen(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def changes(*more: str) -> dict[str, str]:
        assert convert("net.py:network", "--dry-run", "--json", *more) == 0
        return {change["site"]: change["after"] for change in json.loads(capsys.readouterr().out)["changes"]}

    assert changes("--only", "a*") == {"act": "leaky_relu(0.1)"}
    assert changes("--skip", "a*", "--skip", "none") == {"relu()": "leaky_relu(0.1)"}
    assert changes("--kinds", "prelu", "--kinds", "relu").keys() == {"act", "relu()", "learned"}
    assert changes("--kinds", "prelu", "--to", "relu") == {"learned": "leaky_relu(0)"}


def test_a_dry_run_writes_nothing(net: Path) -> None:
    assert convert("net.py:network", "-o", "w.pt", "--dry-run") == 0
    assert not (net / "w.pt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "leaky: --output: none; expected a file to write, or --dry-run"),
        (["-o", "w.onnx"], "leaky: --output: 'w.onnx'; expected a name that ends in .pt, .pth, .safetensors"),
        (["-o", "none/w.pt"], "leaky: --output: the folder 'none' is not there"),
        (["-o", "w.pt", "--slope", "nan"], "leaky: --slope: 'nan'; expected a number, or own"),
        (["-o", "w.pt", "--slope", "mine"], "leaky: --slope: 'mine'; expected a number, or own"),
        (["-o", "w.pt", "--to", "gelu"], "leaky: --to: 'gelu'; expected one of leaky_relu, relu, prelu"),
        (["-o", "w.pt", "--kinds", "gelu"], "leaky: --kinds: 'gelu'; expected some of"),
        (["-o", "w.pt", "--only-dead"], "leaky: --only-dead: the network has to be run for it; expected --data"),
        (["-o", "w.pt", "--untrained"], "leaky: --untrained: the network has to be run for it; expected --data"),
        (["-o", "w.pt", "--recalibrate"], "leaky: --recalibrate: the network has to be run for it; expected --data"),
        (["-o", "w.pt", "-d", "d.npy", "--only-dead", "--only", "a"], "leaky: --only: it has no meaning with"),
        (["-o", "w.pt", "-d", "none.npy"], "leaky: data: 'none.npy' is not there"),
        (["-o", "w.pt", "-d", "d.npy", "--batch", "0"], "leaky: --batch: 0; expected a whole number"),
    ],
)
def test_bad_input(net: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("net.py:network", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    err = err.removeprefix("hello\n")
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert {path.name for path in net.iterdir()} <= {"net.py", "d.npy", "__pycache__"}


def test_a_model_is_not_written_over_itself(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(load_model("net.py:network", trust=True).state_dict(), net / "old.pt")  # type: ignore[union-attr]
    weights = (net / "old.pt").read_bytes()
    assert convert("old.pt", "--model", "net.py:network", "-o", "./old.pt") == 2
    assert capsys.readouterr().err == "leaky: --output: 'old.pt' is the model itself; expected another file\n"
    assert (net / "old.pt").read_bytes() == weights


def test_an_onnx_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    body = "g (float[N,4] x) => (float[N,4] y) { h = Relu(x) k = Neg(h) y = Relu(k) }"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {body}'), here / "net.onnx")
    np.save(here / "d.npy", np.random.default_rng(0).normal(size=(300, 4)))
    assert main(["convert", "net.onnx", "-o", "out.onnx", "--slope", "0.2", "--data", "d.npy", "--skip", "*h*"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert "1 site converted, 1 left." in out
    assert "Outputs on 300 samples: moved by" in out
    assert "Model: out.onnx" in out
    nodes = onnx.load(here / "out.onnx").graph.node
    assert [node.op_type for node in nodes] == ["Relu", "Neg", "LeakyRelu"]
    assert nodes[2].attribute[0].f == np.float32(0.2)
    assert main(["convert", "net.onnx", "-o", "out.pt"]) == 2
    assert "expected a name that ends in .onnx" in capsys.readouterr().err
    assert main(["convert", "net.onnx", "-o", "o.onnx", "-d", "d.npy", "--untrained"]) == 2
    assert not (here / "o.onnx").exists()


def test_what_converts_nothing_writes_nothing(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (net / "w.pt").write_bytes(b"earlier weights")
    assert convert("net.py:network", "-o", "w.pt", "--only", "xx*") == 2
    assert "Nothing was converted, so nothing was written." in capsys.readouterr().out
    assert (net / "w.pt").read_bytes() == b"earlier weights"
    assert convert("net.py:network", "--dry-run", "--only", "xx*") == 2
    assert "Nothing was converted, so nothing was written." in capsys.readouterr().out
