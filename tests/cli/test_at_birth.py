from __future__ import annotations

import json
from pathlib import Path

import pytest

from leaky.cli import main


def check(*arguments: str) -> int:
    return main(["check", *arguments, "--trust"])


def test_table_and_json(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = (
        "from torch import nn\n\ndef born():\n    parts = [p for _ in range(8) for p in (nn.Linear(2, 2), nn.ReLU())]\n"
    )
    (network / "born.py").write_text(narrow + "    return nn.Sequential(nn.Linear(4, 2), *parts)\n")
    assert check("born.py:born", "--data", "d.npz", "--at-birth", "20") == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith("Born dead, of 20 networks on 300 samples")
    assert [line.split()[0] for line in out.splitlines()[2:6]] == ["0", "0.01", "0.1", "0.2"]
    assert " 0.0 (0.0–" in out.splitlines()[3]
    assert err == ""
    assert check("born.py:born", "--data", "d.npz", "--at-birth", "20", "--json") == 0
    births = json.loads(capsys.readouterr().out)["births"]
    assert births[0]["unit"]["value"] > births[1]["unit"]["value"] == 0
    assert check("born.py:born", "--data", "d.npz", "--at-birth", "0") == 2


@pytest.mark.parametrize(
    "option",
    [
        ["--model", "net.py:network"],
        ["--loss", "mse"],
        ["--prove"],
        ["--range", "0", "0"],
        ["--untrained"],
        ["-o", "r.html"],
    ],
)
def test_options_that_would_do_nothing(option: list[str], network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("net.py:network", "--data", "d.npz", "--at-birth", "2", *option) == 2
    out, err = capsys.readouterr()
    assert out == ""
    name = "--output" if option[0] == "-o" else option[0]
    assert err == f"leaky: {name}: it has no meaning with --at-birth; expected one of the two\n"


def test_a_rectifier_that_does_not_take_the_slope(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (network / "born.py").write_text(
        "from torch import nn\n\ndef born():\n    return nn.Sequential(nn.Linear(4, 2), nn.ReLU6())\n"
    )
    assert check("born.py:born", "--data", "d.npz", "--at-birth", "2") == 0
    assert capsys.readouterr().out.endswith("\nNot given these slopes, being no ReLU or LeakyReLU: 1 (nn.ReLU6).\n")


def test_a_network_that_takes_the_activation(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (network / "mine.py").write_text(
        "from torch import nn\n\n\ndef model(activation):\n    print(activation)\n"
        "    return nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))\n"
    )
    assert check("mine.py:model", "--data", "d.npz", "--at-birth", "1") == 0
    assert capsys.readouterr().err.split() == ["relu", "leaky_relu(0.01)", "leaky_relu(0.1)", "leaky_relu(0.2)"]


def test_json_of_a_network_that_overflows(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (network / "born.py").write_text(
        "import torch\nfrom torch import nn\n\ndef born():\n    layer = nn.Linear(4, 2)\n"
        "    nn.init.constant_(layer.weight, torch.inf)\n    return nn.Sequential(layer, nn.ReLU())\n"
    )
    assert check("born.py:born", "--data", "d.npz", "--at-birth", "2", "--json") == 0
    out = capsys.readouterr().out
    document = json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert document["networks"] == 2


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("nn.Linear(5, 2)", "leaky: model: its network failed: RuntimeError: mat1 and mat2 shapes cannot be"),
        ("1 / 0", "leaky: model: 'born' of 'born.py' failed: ZeroDivisionError: division by zero (born.py, line 3)"),
        ("3", "leaky: model: 'born' of 'born.py' returned an object of type int; expected a torch.nn.Module"),
    ],
)
def test_what_fails_is_told_in_a_line(
    made: str, message: str, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (network / "born.py").write_text(f"from torch import nn\ndef born():\n    return {made}\n")
    assert check("born.py:born", "--data", "d.npz", "--at-birth", "2") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1
