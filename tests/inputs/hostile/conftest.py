"""Damaged and hostile files: each is loaded with the shapes it had, or refused in one clear line, and runs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leaky.inputs.loading import LoadingError, load_data, load_model
from leaky.torch import LeakyReLU

MEMORY = 64 * 2**20

# A file may make reading take a little for itself, however it is made.
SLACK = 48 * 2**20

FACTORY = """
from torch import nn

def make():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
"""

Load = Callable[[Path], Any]


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("network") / "hostile_network.py"
    path.write_text(FACTORY)
    return f"{path}:make"


@pytest.fixture
def shapes() -> Load:
    """Return what loads data, goes through them, and returns what came: the shape of each array."""

    def load(path: Path) -> Any:
        data = load_data(str(path), batch_size=4, max_memory=MEMORY)
        came = [_shapes(batch) for batch in data]
        assert len(came) == data.count
        return came

    return load


def _shapes(batch: Any) -> Any:
    if isinstance(batch, dict):
        return [("named", _shapes(array)) for array in batch.values()]
    return [_shapes(array) for array in batch] if isinstance(batch, tuple) else batch.shape


@pytest.fixture
def weights(factory: str) -> Load:
    """Return what loads weights into a network, and returns the shapes that it has."""

    def load(path: Path) -> Any:
        network = load_model(str(path), network=factory, trust=True, max_memory=MEMORY)
        assert isinstance(network, nn.Module)
        return [tensor.shape for tensor in network.state_dict().values()]

    return load


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """Return weights of that network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), LeakyReLU(0.1)).state_dict()


@pytest.fixture
def complaint() -> Callable[[Load, Path], str]:
    """Return what says why a file is refused."""
    return _complaint


def _complaint(load: Load, path: Path) -> str:
    """Return why a file is refused, "" if it is not; anything but one clear line fails the test."""
    try:
        load(path)
    except LoadingError as error:
        text = str(error)
        assert text.isprintable()
        assert text.startswith(("model: ", "data: "))
        assert len(text) < 600
        return text
    return ""


@pytest.fixture
def refused() -> Callable[..., int]:
    """Return what spoils a file so many times, and says how often what is loaded, the file itself or its folder, is refused."""
    return _refused


def _refused(load: Load, loaded: Path, files: list[Path], count: int) -> int:
    expected, rng = load(loaded), np.random.default_rng(2)
    refused = 0
    for _ in range(count):
        path = files[rng.integers(len(files))]
        original = path.read_bytes()
        path.write_bytes(mutated(original, rng))
        if _complaint(load, loaded):
            refused += 1
        else:
            assert load(loaded) == expected
        path.write_bytes(original)
    return refused


def mutated(original: bytes, rng: np.random.Generator) -> bytes:
    """Return the file with one thing wrong with it."""
    data = bytearray(original)
    at, other = sorted(int(i) for i in rng.integers(0, len(data), 2))
    match rng.integers(8):
        case 0 | 1:
            data[at] ^= int(rng.integers(1, 256))
        case 2:
            del data[at:]
        case 3:
            del data[at : min(other, at + 8) + 1]
        case 4:
            data[at:at] = data[at : min(other, at + 64) + 1]
        case 5:
            number = [0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1][rng.integers(6)].to_bytes(8, "little")
            data[at : at + 8] = number[: [2, 4, 8][rng.integers(3)]]
        case 6:
            # Numbers and names in headers: a digit becomes a sign, a letter, a larger number.
            places = [i for i, byte in enumerate(data) if chr(byte) in "0123456789<>(),'\":[]{}."]
            place = places[rng.integers(len(places))]
            data[place : place + 1] = [b"-1", b"9", b"99999999999", b"\x1b[31m", b"\n", b"'", b"(", b"0"][
                rng.integers(8)
            ]
        case 7:
            data += bytes(rng.integers(0, 256, int(rng.integers(1, 50)), np.uint8))
    return bytes(data)


def memory_peak() -> int:
    """Return the most memory the process has had at a time, in bytes, since the last ``forget_peak``."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.fixture
def bounded() -> Iterator[None]:
    """Fail if the test takes more memory than the cap and a little."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this system does not tell the peak of a process's memory")
    forget_peak()
    before = memory_peak()
    yield
    assert memory_peak() - before < MEMORY + SLACK


NASTY = ["../../../etc/passwd", "<script>alert(1)</script>", "a\x1b[31mb\nc\u202ed", "/abs", "", " ", "x" * 100_000]


@pytest.fixture(params=NASTY)
def nasty(request: pytest.FixtureRequest) -> str:
    """Return each of some names that nobody would give."""
    name: str = request.param
    return name
