from __future__ import annotations

import json
import logging
import os
import stat
import struct
import warnings
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

import leaky
from leaky.conversion.weights import load_weights, save_weights
from leaky.inputs.loading import load_model
from leaky.torch import LeakyReLU, SlopeWarning

FILES = ["w.pt", "w.pth", "w.safetensors", "W.PT"]

# Their own, where TorchDynamo is imported.
deprecated = pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")


def net(slope: float, kind: type[nn.LeakyReLU] = LeakyReLU) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), kind(slope), nn.Linear(3, 1))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inward, self.outward = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.outward.weight = self.inward.weight
        self.act = LeakyReLU(0.1)


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def said(model: nn.Module, path: Path) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_weights(model, path)
    assert len(caught) <= 1
    assert all(warning.filename == __file__ and warning.category is SlopeWarning for warning in caught)
    return str(caught[0].message) if caught else ""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", [LeakyReLU, nn.LeakyReLU])
def test_there_and_back(name: str, kind: type[nn.LeakyReLU], tmp_path: Path) -> None:
    path, mine = tmp_path / name, net(0.3, kind)
    save_weights(mine, path)
    again, other = net(0.3, kind), net(0.01, kind)
    assert said(again, path) == ""
    assert same(mine, again)
    wrong = "weights made for another negative slope than the network's: 0.3 where it has 0.01 (2)"
    assert said(other, path) == f"{path}: {wrong}"
    assert same(mine, other)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", FILES)
def test_others_read_it_as_ever(name: str, tmp_path: Path) -> None:
    mine, again = net(0.3), nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.LeakyReLU(), nn.Linear(3, 1))
    save_weights(mine, str(tmp_path / name))
    if name.endswith("safetensors"):
        safetensors.torch.load_model(again, tmp_path / name)
        with safe_open(tmp_path / name, "pt") as file:
            assert file.metadata() == {"format": "pt", "negative_slope": '{"2": 0.3}'}
    else:
        again.load_state_dict(torch.load(tmp_path / name, weights_only=True))
    assert same(mine, again)


def test_what_is_saved_does_not_depend_on_the_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    mine = net(0.3)
    save_weights(mine, tmp_path / "one.pt")
    save_weights(mine, tmp_path / "other.pt")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()


@deprecated
@pytest.mark.parametrize("name", FILES[:3])
def test_wrappers_leave_no_trace(name: str, tmp_path: Path) -> None:
    mine = net(0.3)
    for wrapped in (nn.DataParallel(mine), torch.compile(mine)):
        save_weights(wrapped, tmp_path / name)  # type: ignore[arg-type]
        again = net(0.3)
        assert said(again, tmp_path / name) == ""
        assert said(nn.DataParallel(net(0.3)), tmp_path / name) == ""
        assert same(mine, again)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_prefixes_of_wrappers_in_a_file(suffix: str, tmp_path: Path) -> None:
    path, state = tmp_path / f"w.{suffix}", nn.DataParallel(net(0.3)).state_dict()
    if suffix == "pt":
        torch.save({"state_dict": state}, path)
    else:
        safetensors.torch.save_file(state, path, {"negative_slope": '{"module.2": 0.3}'})
    assert said(net(0.01), path).endswith("0.3 where it has 0.01 (2)")


@pytest.mark.parametrize("name", FILES[:3])
def test_tied_weights(name: str, tmp_path: Path) -> None:
    mine, again = Tied(), Tied()
    save_weights(mine, tmp_path / name)
    load_weights(again, tmp_path / name)
    assert same(mine, again)
    assert again.outward.weight is again.inward.weight
    apart = Tied()
    apart.outward.weight = nn.Parameter(torch.zeros(5, 3))
    if name.endswith("safetensors"):  # holds them under one name
        with pytest.raises(ValueError, match=r"^path: .*: 1 tensor missing \('\w+.weight'\)"):
            load_weights(apart, tmp_path / name)
    else:
        load_weights(apart, tmp_path / name)
        assert torch.equal(apart.outward.weight, mine.outward.weight)


@pytest.mark.parametrize("name", FILES[:3])
def test_the_old_file_stays_when_writing_fails(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    save_weights(net(0.3), path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        save_weights(net(0.3), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize("name", FILES[:3])
def test_permissions_are_kept(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    save_weights(net(0.3), path)
    path.chmod(0o600)
    save_weights(net(0.3), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda folder: save_weights(net(0.1), folder / "w.onnx"), r"^path: '.*w.onnx'; expected a name that ends in"),
        (lambda folder: save_weights(net(0.1), folder / "none" / "w.pt"), "No such file or directory"),
        (lambda folder: save_weights(3, folder / "w.pt"), "^model: int; expected a torch.nn.Module"),
        (lambda folder: load_weights(3, folder / "w.pt"), "^model: int; expected a torch.nn.Module"),
        (lambda folder: load_weights(net(0.1), folder / "w.pt"), "^path: '.*w.pt' is not there; expected a file"),
    ],
)
def test_bad_arguments(call: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        call(tmp_path)


def test_a_pickle_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    torch.save(net(0.1), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"^path: '.*w.pt' holds '.*', which is no tensor"):
        load_weights(net(0.1), tmp_path / "w.pt")


def test_max_memory(tmp_path: Path) -> None:
    save_weights(net(0.1), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"^path: '.*w.pt' takes .*; expected at most 100 bytes"):
        load_weights(net(0.1), tmp_path / "w.pt", max_memory=100)


@pytest.mark.parametrize("claimed", ["[" * 100_000, "{", "3", '{"2": "x"}', '{"2": ' + "9" * 5000 + "}", '{"2": NaN}'])
def test_claims_that_make_no_sense(claimed: str, tmp_path: Path) -> None:
    path, mine = tmp_path / "w.safetensors", net(0.3)
    safetensors.torch.save_file(mine.state_dict(), path, {"negative_slope": claimed})
    again = net(0.01)
    assert said(again, path) == ""
    assert same(mine, again)


FACTORY = """
from torch import nn

def make():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.LeakyReLU({slope}), nn.Linear(3, 1))
"""


@pytest.mark.parametrize("name", FILES[:3])
def test_a_network_is_converted_as_its_weights_were(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    save_weights(net(0.3), path)
    for slope, told in (
        (0.3, []),
        (0.2, [f"{path}: the network is converted as its weights were: leaky_relu(0.3) in 1 place."]),
    ):
        factory = tmp_path / f"network_{slope}.py"
        factory.write_text(FACTORY.format(slope=slope))
        caplog.clear()
        with caplog.at_level(logging.INFO, "leaky"):
            model = load_model(str(path), network=f"{factory}:make", trust=True)
        assert caplog.messages == told
        assert leaky.torch.slopes(model) == {"2": 0.3}  # type: ignore[arg-type]


def test_the_header_of_safetensors_holds_it_as_json(tmp_path: Path) -> None:
    save_weights(net(0.3), tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["negative_slope"]) == {"2": 0.3}
