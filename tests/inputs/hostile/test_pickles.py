"""Weights as PyTorch saves them, and other pickles."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from leaky.inputs.loading import LoadingError, load_model

Load = Callable[[Path], Any]
Complaint = Callable[[Load, Path], str]
Refused = Callable[..., int]
State = dict[str, torch.Tensor]


@pytest.mark.usefixtures("bounded")
def test_spoilt_files(tmp_path: Path, state: State, weights: Load, refused: Refused) -> None:
    path = tmp_path / "w.pt"
    torch.save(state, path)
    assert refused(weights, path, [path], 10_000) > 4_000


class Payload:
    """When it is unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_the_payload_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "run"), 2))
    assert (tmp_path / "run").exists()


def zip_of(path: Path, **records: bytes) -> Path:
    """Write an archive as PyTorch does; ``pkl`` and ``data_0`` stand for ``data.pkl`` and ``data/0``."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr("w/" + {"pkl": "data.pkl"}.get(name, name.replace("_", "/")), content)
        archive.writestr("w/version", b"3\n")
    return path


def with_payload(kind: str, path: Path, payload: Payload, state: State) -> None:
    """Write a file with a payload in it."""
    match kind:
        case "tensors":
            torch.save({**state, "epoch": payload}, path)
        case "legacy":
            torch.save({**state, "epoch": payload}, path, _use_new_zipfile_serialization=False)
        case "protocol 4":
            zip_of(path, pkl=pickle.dumps(payload, 4))
        case _:
            path.write_bytes(pickle.dumps(payload, 2))


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (
            "tensors",
            "w.pt",
            "holds 'posix.mkdir', which is no tensor; expected weights as torch.save(model.state_dict(), …)",
        ),
        ("legacy", "w.pt", "is no file of PyTorch 1.6 or later; expected weights as torch.save"),
        ("pickle", "w.pt", "is no file of PyTorch 1.6 or later; expected weights as torch.save"),
        ("protocol 4", "w.pt", "is damaged, or not what its name says"),
        ("exported", "w.pt2", "is an exported program, which runs code when it is loaded; expected file.py:factory"),
        ("pickled", "w.pkl", "is a pickle, which runs code when it is read; expected weights"),
    ],
)
def test_no_payload_is_run(
    kind: str, name: str, message: str, tmp_path: Path, state: State, weights: Load, complaint: Complaint
) -> None:
    with_payload(kind, tmp_path / name, Payload(tmp_path / "run"), state)
    assert message in complaint(weights, tmp_path / name)
    assert not (tmp_path / "run").exists()


def test_a_directory_too_large(tmp_path: Path, weights: Load, complaint: Complaint) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        for i in range(6000):
            archive.writestr(f"{i}.npy", b"")
    expected = "of names and shapes; expected at most 256 KiB with 64 MiB of memory"
    assert expected in complaint(weights, tmp_path / "w.pt")


GLOBALS = {
    "ordered": b"ccollections\nOrderedDict\n",
    "tensor": b"ctorch._utils\n_rebuild_tensor_v2\n",
}
STORAGE = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpuK\4tQ"


def tensor(size: bytes, stride: bytes, offset: bytes = b"K\0") -> bytes:
    return GLOBALS["tensor"] + b"(" + STORAGE + offset + size + stride + b"\x89" + GLOBALS["ordered"] + b")RtR"


LARGE = b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(20_000)) + b"uq\1"

# What PyTorch itself would do, or try to do, with weights_only=True.
FORBIDDEN = [
    b"cbuiltins\nbytearray\n\x8a\5\0\0\0\0\4\x85R",
    b"c__builtin__\nbytearray\n\x8a\5\0\0\0\0\4\x85R",
    b"ctorch\nFloatTensor\n\x8a\5\0\0\0\0\1\x85R",
    b"ctorch._utils\n_rebuild_qtensor\n)R",
    b"ctorch.storage\nTypedStorage\n)R",
    # one large dictionary, copied a thousand times, in two ways
    LARGE + b"](" + (GLOBALS["ordered"] + b"h\1\x85R") * 1000 + b"e",
    LARGE + b"](" + (GLOBALS["ordered"] + b")Rh\1b") * 1000 + b"e",
    # a tensor of ten thousand dimensions, many times
    b"(" + b"K\1" * 10_000 + b"tq\1](" + tensor(b"h\1", b"h\1") * 1000 + b"e",
    tensor(b"J\xff\xff\xff\xff\x85", b"K\1\x85"),
    tensor(b"K\4\x85", b"K\1\x85").replace(b"K\4tQ", b"\x8a\x08" + b"\xff" * 7 + b"\x7ftQ"),
    tensor(b"K\4\x85", b"K\1\x85").replace(b"K\4tQ", b"J\xff\xff\xff\xfftQ"),
    tensor(b"K\4\x85", b"K\1\x85").replace(b"K\4tQ", b"K\3tQ"),
    tensor(b"K\4\x85", b"K\1\x85").replace(b"X\1\0\0\x000", b"X\7\0\0\0../../0"),
    b"](" + STORAGE + STORAGE.replace(b"Float", b"Double") + b"e",
    b"h\0",
    b"t",
    b"\x8c\xff",
    b"P0\n",
    b"0",
    b"",
]

# What costs nothing, and is no state_dict.
POINTLESS = [
    tensor(b"K\5\x85", b"K\1\x85"),
    tensor(b"K\4\x85", b"K\1\x85", b"K\1"),
    tensor(b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85", b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85"),
    tensor(b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85", b"K\0\x85"),
    b"]" * 200_000,
    b"(" * 200_000 + b"N",
    b"Nr\xff\xff\xff\xff",
    b"}",
    b"}K\1Ns",
    b"}X\1\0\0\0aNs",
]


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("program", FORBIDDEN, ids=range(len(FORBIDDEN)))
def test_pickles_are_refused_before_pytorch_reads_them(
    program: bytes, tmp_path: Path, weights: Load, complaint: Complaint, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    monkeypatch.setattr(torch, "load", lambda *a, **k: loads.append(a))
    zip_of(tmp_path / "w.pt", pkl=b"\x80\2" + program + b".", data_0=bytes(16))
    assert complaint(weights, tmp_path / "w.pt")
    assert not loads


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("program", POINTLESS, ids=range(len(POINTLESS)))
def test_pickles_that_are_no_weights(program: bytes, tmp_path: Path, weights: Load, complaint: Complaint) -> None:
    zip_of(tmp_path / "w.pt", pkl=b"\x80\2" + program + b".", data_0=bytes(16))
    assert complaint(weights, tmp_path / "w.pt")


def test_the_pickles_above_fail_for_their_own_reasons(tmp_path: Path, weights: Load, complaint: Complaint) -> None:
    entry = b"X\1\0\0\0a" + tensor(b"K\4\x85", b"K\1\x85")
    zip_of(tmp_path / "w.pt", pkl=b"\x80\2}" + entry + b"s.", data_0=bytes(16))
    assert "6 tensors missing ('0.weight', '0.bias', '1.weight', …)" in complaint(weights, tmp_path / "w.pt")


@pytest.mark.usefixtures("bounded")
def test_packed_weights(tmp_path: Path, weights: Load, complaint: Complaint) -> None:
    count = 256 * 2**20
    program = b"\x80\2}X\1\0\0\0a" + tensor(b"K\4\x85", b"K\1\x85") + b"s."
    program = program.replace(b"K\4tQ", b"J" + struct.pack("<i", count // 4) + b"tQ")
    with zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("w/data.pkl", program)
        with archive.open("w/data/0", "w") as member:
            for _ in range(count // 2**20):
                member.write(bytes(2**20))
        archive.writestr("w/version", b"3\n")
    assert "has records that overlap or are compressed" in complaint(weights, tmp_path / "w.pt")


def test_weights_beyond_the_cap(tmp_path: Path, state: State, factory: str) -> None:
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(LoadingError, match="; expected at most 500 bytes"):
        load_model(str(tmp_path / "w.pt"), network=factory, trust=True, max_memory=500)


def test_names_are_text(nasty: str, tmp_path: Path, state: State, weights: Load, complaint: Complaint) -> None:
    torch.save({nasty: torch.zeros(2), **state}, tmp_path / "w.pt")
    assert "1 tensor that the network has not (" in complaint(weights, tmp_path / "w.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pt"]


def test_a_place_that_is_no_file(tmp_path: Path, weights: Load, complaint: Complaint) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    assert complaint(weights, tmp_path / "pipe.pt")
