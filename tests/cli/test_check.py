from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaky.cli import main
from leaky.inputs.loading import default_memory


def check(*arguments: str) -> int:
    return main(["check", *arguments, "--trust"])


def test_finds_the_dead_unit(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("net.py:network", "--data", "d.npz", "--prove") == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[:4] == ["1", "8", "1", "0"]
    assert "L002 units proved dead · 1: 2" in out
    assert "Cause: bias too low for the weights (−100)" in out
    assert err == "hello\n"
    assert not list(network.glob("*.html"))


def test_what_finds_nothing_exits_0(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("alive.py:network", "--data", "alive.py:loader", "--loss", "model") == 2
    assert check("alive.py:network", "--data", "alive.py:loader") == 0
    assert "0 of 8 units at 1 site are dead on 200 samples; 0 problems" in capsys.readouterr().out


def test_as_json_with_report(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["net.py:network", "-d", "d.npz", "--loss", "cross_entropy", "--range", "-9", "9", "--batch", "7"]
    assert check(*arguments, "--json", "--output", "r.html") == 1
    out, err = capsys.readouterr()
    document = json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert document["samples"] == 300
    assert document["input_range"] == [-9, 9]
    assert document["sites"][0]["proved_dead"] == [2]
    assert len(document["sites"][0]["evidence"]["gradient"]) == 8
    assert document["findings"][0]["code"] == "L002"
    assert "Report: r.html" in err
    assert "leaky check net.py:network -d d.npz" in (network / "r.html").read_text()


@pytest.mark.parametrize("more", ["", "--json"])
@pytest.mark.parametrize(("name", "code"), [("net", 1), ("alive", 0)])
def test_what_is_found_counts_behind_a_closed_pipe(network: Path, name: str, code: int, more: str) -> None:
    command = f"{sys.executable} -m leaky check {name}.py:network --data d.npz --trust {more}"
    script = f"set -o pipefail; {command} | true; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == f"{code}\n"
    assert "Error" not in done.stderr


TWO = """
import torch
from torch import nn


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.act = nn.Linear(4, 8), nn.Linear(3, 8), nn.ReLU()

    def forward(self, a, b):
        return self.act(self.a(a) + self.b(b))


torch.manual_seed(0)
a, b = torch.randn(50, 4), torch.randn(50, 3)
pair, named, odd, batches = (a, b), {"b": b, "a": a}, (a, b[:7]), [(a[:30], b[:30]), (a[30:], b[30:])]
"""


def test_a_network_of_two_inputs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "two.py").write_text(TWO)
    printed = []
    for data in ("two.py:pair", "two.py:named", "two.py:batches"):
        assert check("two.py:Two", "--data", data) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] == printed[2]
    assert "0 of 8 units at 1 site are dead on 50 samples" in printed[0]
    assert check("two.py:Two", "--data", "two.py:odd") == 2
    assert "data: 'odd' of 'two.py' has shape (7, 3); expected 50 samples, as of the first" in capsys.readouterr().err
    assert check("two.py:Two", "--data", "two.py:a") == 2
    assert "; for several inputs: expected a tuple (a, b), or a dict" in capsys.readouterr().err


def test_before_training(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("net.py:network", "--data", "d.npz", "--untrained") == 1
    assert "L004 units dead at birth" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.py:network"], "leaky: Missing option '--data'"),
        (["none.py:network", "--data", "d.npz"], "leaky: model: 'none.py' is not there"),
        (["net.py:network", "--data", "none.npz"], "leaky: data: 'none.npz' is not there"),
        (["net.py:network", "--data", "d.npz", "--loss", "huber"], "leaky: --loss: 'huber' is unknown; expected"),
        (["net.py:network", "--data", "d.npz", "--batch", "0"], "leaky: --batch: 0; expected a whole number"),
        (["net.py:network", "--data", "d.npz", "--range", "1", "0"], "leaky: --range: (1.0, 0.0); expected"),
        (["net.py:network", "--data", "d.npz", "-o", "r.svg"], "leaky: --output: 'r.svg'; expected a name"),
        (["net.py:network", "--data", "d.npz", "--max-memory", "much"], "leaky: --max-memory: 'much'; expected"),
    ],
)
def test_bad_input(network: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    err = err.removeprefix("hello\n")
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.fixture
def graph(network: Path) -> Path:
    """An ONNX model with a dead unit in the folder too."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    body = "g (float[N,4] x) => (float[N,4] y) { h = Gemm(x, w, b) y = Relu(h) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {body}')
    for name, array in (("w", np.eye(4)), ("b", [0, 0, -100, 0])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array, np.float32), name))
    onnx.save(model, network / "net.onnx")
    return network


def test_an_onnx_model(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("net.onnx", "--data", "d.npz", "--output", "r.html") == 1
    assert "L003 dead units · Relu_y: 2" in capsys.readouterr().out
    assert "net.onnx" in (graph / "r.html").read_text()


def test_without_onnx_it_says_what_to_install(graph: Path) -> None:
    code = (
        "import sys; sys.modules['onnx_ir'] = None; from leaky.__main__ import main; "
        "sys.argv = ['leaky', 'check', 'net.onnx', '--data', 'd.npz']; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "leaky: leaky.onnx needs onnx_ir: pip install 'leaky[onnx]'\n"


@pytest.mark.parametrize(("given", "expected"), [([], None), (["--max-memory", "64MiB"], 64 << 20)])
def test_an_onnx_model_is_run_in_bounded_memory(
    graph: Path, given: list[str], expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import leaky.onnx

    caps = []
    watch = leaky.onnx.watch

    def noting(*arguments: Any, max_memory: int | None, **more: Any) -> Any:
        caps.append(max_memory)
        return watch(*arguments, max_memory=max_memory, **more)

    monkeypatch.setattr(leaky.onnx, "watch", noting)
    assert check("net.onnx", "--data", "d.npz", *given) == 1
    assert caps == [expected or default_memory()]


def test_runs_no_file_that_is_not_trusted(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Not this process's import path, on which other tests put folders.
    command = [sys.executable, "-m", "leaky", "check", "net.py:network", "--data", "d.npz"]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--trust" in done.stderr


def test_shows_progress_on_a_terminal(network: Path, terminal: Callable[..., Any]) -> None:
    slow = (
        (network / "alive.py").read_text()
        + "\n\ndef slow():\n    import time\n\n    for each in loader() * 20:\n        time.sleep(0.2)\n        yield each\n"
    )
    (network / "slow.py").write_text(slow)
    shown = terminal("check", "slow.py:network", "--data", "slow.py:slow", "--trust")
    shown.read_until(r"batches.*[2-9]/")
    os.killpg(shown.process.pid, signal.SIGINT)
    assert shown.process.wait(timeout=30) == 130
    assert "Traceback" not in shown.text
