from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main

from leaky.cli import app, main

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group

# A value of each option that is refused, by those who know what it is good for.
TRAINING = {
    "--task": "digit",
    "--epochs": "0",
    "--jobs": "0",
    "--study": "none/s.db",
    "--engine": "mpi",
    "--output": "o.gif",
}
NETWORK = {"--data": "none.npz", "--model": "none.onnx", "--batch": "0", "--max-memory": "much", "--output": "o.gif"}
REFUSED = {
    "bench": {"--size": "0", "--dtype": "int8", "--slope": "nan", "--seconds": "-1", "--output": "o.gif"},
    "check": {**NETWORK, "--loss": "huber", "--range": "1 0", "--at-birth": "0"},
    "claims": {"--jobs": "0", "--study": "none/s.db", "--output": "o.gif"},
    "compare": {**TRAINING, "--activation": "swish", "--seeds": "0", "--baseline": "swish"},
    "convert": {**NETWORK, "--slope": "steep", "--to": "gelu", "--kinds": "gelu"},
    "plot": {"--slope": "nan", "--output": "o.gif"},
    "tune": {**TRAINING, "--tolerance": "0", "--trials": "0", "--time": "0", "--first-seed": "-1"},
}
# Any text is a pattern of names.
NEVER_REFUSED = {"--only", "--skip"}


def options(verb: str) -> list[str]:
    """Return the options of a command that take a value, and not just any."""
    named = [option.opts[0] for option in COMMANDS[verb].params if getattr(option, "is_flag", None) is False]
    return [option for option in named if option not in NEVER_REFUSED]


@pytest.mark.parametrize(("verb", "option"), [(verb, option) for verb in COMMANDS for option in options(verb)])
def test_an_option_is_named_as_it_was_typed(
    verb: str, option: str, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (network / "w.pt").touch()
    usual = {
        "check": ["w.pt" if option == "--model" else "net.py:network", "--data", "d.npz", "--trust"],
        "convert": ["w.pt" if option == "--model" else "net.py:network", "--data", "d.npz", "-o", "c.pt", "--trust"],
        "claims": ["S1"],
    }
    refused = REFUSED[verb][option].split()  # of a new option, say above what it refuses
    assert main([verb, *usual.get(verb, []), option, *refused]) == 2
    out, err = capsys.readouterr()
    err = err.removeprefix("hello\n")
    assert out == ""
    assert re.match(f"leaky: {'data' if option == '--data' else option}(:| must )", err)  # of data, in whatever option
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        # Of two that stand for one argument, the one that was typed.
        (["check", "net.onnx", "--prove"], "--prove: units are not proved dead in an ONNX model; expected none"),
        (["check", "net.onnx", "--range", "0", "1"], "--range: units are not proved dead in an ONNX model"),
        # The network that weights are for, and not the weights.
        (["check", "w.pt", "--model", "alive.py:none", "--trust"], "--model: 'alive.py' defines no 'none'"),
        (
            ["check", "w.pt", "--model", "alive.py:network"],
            "--model: 'alive.py' would be run, and is not on the import",
        ),
        # Positional arguments have no other name.
        (["check", "alive.py:none", "--trust"], "model: 'alive.py' defines no 'none'"),
        (["check", "alive.py:wrong", "--at-birth", "2", "--trust"], "model: its network failed: RuntimeError"),
        # A flag has no value that was typed.
        (["convert", "net.onnx", "-o", "c.onnx", "--untrained"], "--untrained: an ONNX model can only be converted as"),
        (["convert", "net.onnx", "-o", "c.onnx", "--recalibrate"], "--recalibrate: an ONNX model can only be"),
    ],
)
def test_what_was_typed_is_named(
    arguments: list[str], complaint: str, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    for name in ("net.onnx", "w.pt"):
        (network / name).touch()
    with (network / "alive.py").open("a") as file:
        file.write("\n\ndef wrong():\n    return nn.Linear(5, 2)\n")
    if "w.pt" in arguments:
        torch.save({"bias": torch.zeros(3)}, network / "w.pt")
    assert main([*arguments, "--data", "d.npz"]) == 2
    out, err = capsys.readouterr()
    err = err.removeprefix("hello\n")
    assert out == ""
    assert err.startswith(f"leaky: {complaint}")
    assert err.count("\n") == 1


def test_an_option_that_was_not_typed_is_not_blamed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.py").write_text("import leaky\ntask = leaky.Task(lambda a: None, [[1.0]] * 9, [0] * 9, epochs=0)\n")
    assert main(["compare", "--task", "mine.py:task"]) == 2
    assert capsys.readouterr().err == "leaky: epochs: 0; expected a whole number of at least 1\n"
