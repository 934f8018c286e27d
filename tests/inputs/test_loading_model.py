from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from leaky.inputs.loading import LoadingError, load_data, load_factory, load_model

NETWORKS = """
import torch
from torch import nn

print("run")

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))

    def forward(self, x):
        return self.inner(x)

network = Network()

def make():
    return nn.Linear(3, 2)

def lazy():
    return nn.LazyLinear(2)

def number():
    return 3

def needs(more):
    return more

class Sized(nn.Module):
    def __init__(self, size):
        super().__init__()
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "networks.py"
    path.write_text(NETWORKS)
    return str(path)


def test_a_function_a_class_and_a_network(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(load_model(f"{mine}:make", trust=True), nn.Linear)
    assert type(load_model(f"{mine}:Network", trust=True)).__name__ == "Network"
    assert load_model(f"{mine}:network", trust=True) is load_model(f"{mine}:network", trust=True)
    assert capsys.readouterr().out == "run\n"  # once, for it stayed the same
    Path(mine).write_text(NETWORKS + "\nchanged = True")
    load_model(f"{mine}:make", trust=True)
    assert capsys.readouterr().out == "run\n"


@pytest.mark.parametrize(("name", "needed"), [("needs", ["more"]), ("Network", []), ("Sized", ["size"])])
def test_a_factory_takes_what_the_users_takes(name: str, needed: list[str], mine: str) -> None:
    make = load_factory(f"{mine}:{name}", trust=True)
    assert list(inspect.signature(make).parameters) == needed
    if needed:
        with pytest.raises(LoadingError, match="missing 1 required positional argument"):
            make()
        assert isinstance(make(nn.Linear(2, 3)), nn.Module)


def test_a_factory_makes_a_fresh_network_each_time(mine: str) -> None:
    make = load_factory(f"{mine}:Network", trust=True)
    assert make() is not make()
    for name, message in (
        ("network", "is of type Network; expected a function that makes a torch.nn.Module"),
        ("none", "defines no 'none'"),
    ):
        with pytest.raises(LoadingError, match=message):
            load_factory(f"{mine}:{name}", trust=True)
    with pytest.raises(LoadingError, match=r"model: 'w.pt'; expected file.py:factory or package.module:factory"):
        load_factory("w.pt")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "returned an object of type int; expected a torch.nn.Module"),
        ("needs", "failed: TypeError: needs() missing 1 required positional argument: 'more'"),
        ("torch", "is of type module; expected a function that makes a torch.nn.Module"),
    ],
)
def test_what_makes_no_network(name: str, message: str, mine: str) -> None:
    with pytest.raises(LoadingError) as error:
        load_model(f"{mine}:{name}", trust=True)
    assert str(error.value).endswith(message)


def test_code_is_run_only_where_it_is_importable_or_trusted(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LoadingError, match="would be run, and is not on the import path; expected --trust with it"):
        load_model(f"{mine}:make")
    (tmp_path / "inner").mkdir()
    within = Path(mine).rename(tmp_path / "inner" / "networks_within.py")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LoadingError, match="expected --trust"):
        load_model(f"{within}:make")
    assert capsys.readouterr().out == ""
    (tmp_path / "inner" / "__init__.py").touch()
    assert isinstance(load_model(f"{within}:make"), nn.Linear)
    assert isinstance(load_model("inner.networks_within:make"), nn.Linear)


def test_modules_in_the_current_folder_need_trust(mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(mine).rename(tmp_path / "networks_of_here.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    with pytest.raises(LoadingError, match="'networks_of_here' cannot be imported: ModuleNotFoundError"):
        load_model("networks_of_here:make")
    assert isinstance(load_model("networks_of_here:make", trust=True), nn.Linear)


def test_trust_in_a_file_is_not_trust_in_its_neighbours(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "package_beside").mkdir()
    (tmp_path / "package_beside" / "__init__.py").write_text("print('it ran')\nx = [[1.0]]")
    (tmp_path / "file_beside.py").write_text("print('it ran')\nx = [[1.0]]")
    load_model(f"{mine}:make", trust=True)
    capsys.readouterr()
    for spec in (f"{tmp_path}/file_beside.py:x", f"{mine}:network", "file_beside:x", "package_beside:x"):
        with pytest.raises(LoadingError, match="would be run, and is not on the import path; expected --trust with it"):
            load_data(spec)
    monkeypatch.chdir(tmp_path)
    load_data("file_beside:x", trust=True)
    with pytest.raises(LoadingError, match="'file_beside' would be run"):
        load_data("file_beside:x")
    assert capsys.readouterr().out == "it ran\n"


def test_trust_in_modules_of_the_current_folder_is_not_remembered(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(mine).rename(tmp_path / "networks_of_this_place.py")
    (tmp_path / "data_of_this_place.py").write_text("x = [[1.0]]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    load_model("networks_of_this_place:make", trust=True)
    for spec in ("data_of_this_place:x", "data_of_this_place.py:x"):
        with pytest.raises(LoadingError, match="would be run, and is not on the import path"):
            load_data(spec)


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    inner = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    return {f"inner.{name}": value for name, value in inner.state_dict().items()}


def saved(content: Any, path: Path) -> str:
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".PT", ".safetensors"])
def test_weights_are_copied_into_the_network(suffix: str, mine: str, tmp_path: Path) -> None:
    path = saved(weights(), tmp_path / f"w{suffix}")
    network = load_model(path, network=f"{mine}:Network", trust=True)
    assert isinstance(network, nn.Module)
    Path(path).write_bytes(b"")  # nothing of it lies in the file any more
    assert all(torch.equal(value, weights()[name]) for name, value in network.state_dict().items())
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {"state_dict": w, "epoch": 3, "name": "n", "lr": 0.1, "best": None, "history": [1, (2.5, True)]},
        lambda w: {
            "model_state_dict": w,
            "optimizer": torch.optim.AdamW([*map(nn.Parameter, [torch.ones(2)])]).state_dict(),
        },
        lambda w: {"model": {f"module.{name}": value for name, value in w.items()}},
        lambda w: {f"_orig_mod.module.{name}": value for name, value in w.items()},
        lambda w: {"state_dict": {f"model.{name}": value for name, value in w.items()}},
        lambda w: {
            name: nn.Parameter(value, value.is_floating_point()) if value.ndim else value for name, value in w.items()
        },
        lambda w: {name: value.double() if value.is_floating_point() else value for name, value in w.items()},
        lambda w: {name: value.clone().as_strided(value.shape, value.stride()) for name, value in w.items()},
    ],
)
def test_checkpoints_of_training_loops(wrap: Any, mine: str, tmp_path: Path) -> None:
    path = saved(wrap(weights()), tmp_path / "w.pt")
    network = load_model(path, network=f"{mine}:Network", trust=True)
    assert isinstance(network, nn.Module)
    assert all(torch.equal(value, weights()[name]) for name, value in network.state_dict().items())


def test_the_outline_knows_every_type_of_number_that_pytorch_saves(mine: str, tmp_path: Path) -> None:
    from leaky.inputs.loading.weights import read_weights

    types = [getattr(torch, name) for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)]
    seen = 0
    for dtype in set(types):
        try:
            value = (
                torch.zeros(4, dtype=torch.uint8).view(dtype) if dtype.itemsize <= 4 else torch.zeros(4, dtype=dtype)
            )
            torch.save({"a": value}, tmp_path / "w.pt")
        except (RuntimeError, KeyError, ValueError, NotImplementedError, AttributeError):
            continue
        if (
            dtype.is_floating_point
            or dtype.is_complex
            or str(dtype)[6:] in ("bool", "int8", "uint8", "int64", "uint16")
        ):
            weights = read_weights(tmp_path / "w.pt", 2**20)
            assert weights.tensors["a"].dtype == dtype
            seen += 1
    assert seen > 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("inner.0.bias"), "1 tensor missing ('inner.0.bias'); expected those of the network"),
        (lambda w: w.update(more=torch.zeros(2)), "1 tensor that the network has not ('more'); expected"),
        (
            lambda w: w.update({"inner.0.bias": torch.zeros(5)}),
            "1 tensor of another shape or type ('inner.0.bias' (5,) instead of (4,)); expected those of the network",
        ),
        (
            lambda w: w.update({"inner.0.bias": torch.zeros(4, dtype=torch.int8)}),
            "1 tensor of another shape or type ('inner.0.bias' torch.int8 instead of torch.float32); expected",
        ),
        (
            lambda w: w.update({f"a{i}": torch.zeros(1) for i in range(5)}),
            "5 tensors that the network has not ('a0', 'a1',",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_of_another_network(change: Any, message: str, suffix: str, mine: str, tmp_path: Path) -> None:
    state = weights()
    change(state)
    with pytest.raises(LoadingError) as error:
        load_model(saved(state, tmp_path / f"w{suffix}"), network=f"{mine}:Network", trust=True)
    assert message in str(error.value)


def test_lazy_networks_take_their_shape_from_the_weights(mine: str, tmp_path: Path) -> None:
    path = saved(nn.Linear(5, 2).state_dict(), tmp_path / "w.pt")
    network = load_model(path, network=f"{mine}:lazy", trust=True)
    assert isinstance(network, nn.Module)
    assert network.weight.shape == (2, 5)


@pytest.mark.parametrize(
    "content", [torch.zeros(3), [torch.zeros(3)], {}, {"a": 3}, {1: torch.zeros(3)}, {"model": {}}]
)
def test_files_without_weights(content: Any, mine: str, tmp_path: Path) -> None:
    with pytest.raises(LoadingError, match=r"holds no weights by name; expected weights as torch\.save"):
        load_model(saved(content, tmp_path / "w.pt"), network=f"{mine}:make", trust=True)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_code_in_the_place_of_weights(mine: str, tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2), tmp_path / "whole.pt")
    torch.jit.trace(nn.Linear(3, 2), torch.zeros(1, 3)).save(tmp_path / "script.pt")
    for name, message in (
        ("whole", "holds 'torch.nn.modules.linear.Linear'"),
        ("script", "is TorchScript, which is code"),
    ):
        with pytest.raises(LoadingError, match=message):
            load_model(str(tmp_path / f"{name}.pt"), network=f"{mine}:make", trust=True)


def test_an_onnx_file_is_only_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(bytes(1000))
    assert load_model(str(path)) == path
    with pytest.raises(LoadingError, match="takes 1000 bytes; expected at most 999 bytes"):
        load_model(str(path), max_memory=999)
    with pytest.raises(LoadingError, match=r"none\.onnx' is not there; expected an ONNX file"):
        load_model(str(tmp_path / "none.onnx"))


@pytest.mark.parametrize(
    ("spec", "network", "message"),
    [
        ("w.pt", None, "model: 'w.pt' holds weights alone; expected --model file.py:factory with it, their network"),
        ("w.pt", "a.py:b", "model: 'w.pt' is not there; expected a file of weights"),
        ("a.py:b", "a.py:c", "model: 'a.py:b' is no weights; expected .pt or .safetensors beside --model a.py:c"),
        ("a.py", None, "model: 'a.py'; expected file.py:factory, package.module:factory, a .onnx, or weights (.pt,"),
        ("torch.nn:None_", None, "model: 'torch.nn' defines no 'None_'; expected one of its names"),
    ],
)
def test_names_that_stand_for_nothing(spec: str, network: str | None, message: str) -> None:
    with pytest.raises(LoadingError) as error:
        load_model(spec, network=network)
    assert str(error.value).startswith(message)


def test_a_network_named_badly(tmp_path: Path) -> None:
    path = saved(weights(), tmp_path / "w.pt")
    with pytest.raises(LoadingError, match=r"^network: 'x.onnx'; expected file.py:factory or package.module:factory"):
        load_model(path, network="x.onnx")


def test_onnx_and_arrays_need_no_pytorch(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    code = f"""
import sys
sys.modules["torch"] = None
import numpy as np
from leaky.inputs.loading import load_data, load_model
load_model({str(tmp_path / "m.onnx")!r})
np.save({str(tmp_path / "x.npy")!r}, np.zeros((4, 2)))
print(len(list(load_data({str(tmp_path / "x.npy")!r}, batch_size=2))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "2\n"
