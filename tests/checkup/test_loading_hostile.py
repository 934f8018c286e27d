"""Damaged and hostile files: each is loaded with the shapes it had, or refused in one clear line, and runs nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from leaky.checkup.loading import LoadingError, load_data, load_model
from leaky.torch import LeakyReLU

MEMORY = 64 * 2**20

# A file may make reading take a little for itself, however it is made.
SLACK = 48 * 2**20

FACTORY = """
from torch import nn

def make():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
"""


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("network") / "hostile_network.py"
    path.write_text(FACTORY)
    return f"{path}:make"


Load = Callable[[Path], Any]


def shapes(path: Path) -> Any:
    """Load data, go through them, and return what came: the shape and type of each array."""
    data = load_data(str(path), batch_size=4, max_memory=MEMORY)
    came = [_shapes(batch) for batch in data]
    assert len(came) == data.count
    return came


def _shapes(batch: Any) -> Any:
    if isinstance(batch, dict):
        return [("named", _shapes(array)) for array in batch.values()]
    return [_shapes(array) for array in batch] if isinstance(batch, tuple) else batch.shape


@pytest.fixture
def weights(factory: str) -> Load:
    def load(path: Path) -> Any:
        network = load_model(str(path), network=factory, trust=True, max_memory=MEMORY)
        assert isinstance(network, nn.Module)
        return [tensor.shape for tensor in network.state_dict().values()]

    return load


def complaint(load: Load, path: Path) -> str:
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


# ---------------------------------------------------------------------------------------------- ten thousand of each


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


def x(n: int = 10) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(size=(n, 3))


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), LeakyReLU(0.1)).state_dict()


def npy_file(path: Path) -> Path:
    np.save(path / "x.npy", x())
    return path / "x.npy"


def npz_file(path: Path) -> Path:
    np.savez(path / "x.npz", x=x(), y=np.arange(10) % 3)
    return path / "x.npz"


def packed_npz_file(path: Path) -> Path:
    np.savez_compressed(path / "p.npz", x=x(), y=np.arange(10) % 3)
    return path / "p.npz"


def torch_file(path: Path) -> Path:
    torch.save(state(), path / "w.pt")
    return path / "w.pt"


def safetensors_file(path: Path) -> Path:
    save_file(state(), path / "w.safetensors", {"negative_slope": '{"2": [0.1, 0.2]}'})
    return path / "w.safetensors"


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


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("make", "count", "fewest_refused"),
    [
        (npy_file, 10_000, 0.6),
        (npz_file, 6_000, 0.6),
        (packed_npz_file, 4_000, 0.6),
        (torch_file, 10_000, 0.4),
        (safetensors_file, 10_000, 0.6),
    ],
)
def test_mutated_files(
    make: Callable[[Path], Path], count: int, fewest_refused: float, tmp_path: Path, weights: Load
) -> None:
    path = make(tmp_path)
    load = weights if path.suffix in (".pt", ".safetensors") else shapes
    expected, original, rng = load(path), path.read_bytes(), np.random.default_rng(2)
    refused = 0
    for _ in range(count):
        path.write_bytes(mutated(original, rng))
        if complaint(load, path):
            refused += 1
        else:
            assert load(path) == expected
    assert refused > fewest_refused * count


def test_mutated_folders(tmp_path: Path) -> None:
    for name, n in (("a", 3), ("b", 6), ("c", 1)):
        np.save(tmp_path / f"{name}.npy", x(n).astype(np.float32))
    expected, rng = shapes(tmp_path), np.random.default_rng(3)
    assert expected == [(4, 3), (4, 3), (2, 3)]
    refused = 0
    for _ in range(2_000):
        path = tmp_path / f"{'abc'[rng.integers(3)]}.npy"
        original = path.read_bytes()
        path.write_bytes(mutated(original, rng))
        if complaint(shapes, tmp_path):
            refused += 1
        else:
            assert shapes(tmp_path) == expected
        path.write_bytes(original)
    assert refused > 1_000


# ------------------------------------------------------------------------------------------------------ nothing is run


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


def with_payload(path: Path, payload: Payload, kind: str) -> Path:
    objects = np.array([payload, payload], dtype=object)
    match kind:
        case "array":
            np.save(path / "x.npy", objects)
            return path / "x.npy"
        case "member":
            np.savez(path / "x.npz", x=objects)
            return path / "x.npz"
        case "folder":
            np.save(path / "x.npy", objects)
            return path
        case "tensors":
            torch.save({**state(), "epoch": payload}, path / "w.pt")
        case "legacy":
            torch.save({**state(), "epoch": payload}, path / "w.pt", _use_new_zipfile_serialization=False)
        case "pickle":
            (path / "w.pt").write_bytes(pickle.dumps(payload, 2))
        case "protocol 4":
            zip_of(path / "w.pt", pkl=pickle.dumps(payload, 4))
        case "exported" | "pickled":
            target = path / {"exported": "w.pt2", "pickled": "w.pkl"}[kind]
            target.write_bytes(pickle.dumps(payload, 2))
            return target
    return path / "w.pt"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("array", "is an array of Python objects, which could run code; expected numbers"),
        ("member", "array 'x', is an array of Python objects, which could run code; expected numbers"),
        ("folder", "is an array of Python objects, which could run code; expected numbers"),
        ("tensors", "holds 'posix.mkdir', which is no tensor; expected weights as torch.save(model.state_dict(), …)"),
        ("legacy", "is no file of PyTorch 1.6 or later; expected weights as torch.save"),
        ("pickle", "is no file of PyTorch 1.6 or later; expected weights as torch.save"),
        ("protocol 4", "is damaged, or not what its name says"),
        ("exported", "is an exported program, which runs code when it is loaded; expected file.py:factory"),
        ("pickled", "is a pickle, which runs code when it is read; expected weights"),
    ],
)
def test_no_payload_is_run(kind: str, message: str, tmp_path: Path, weights: Load) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    path = with_payload(folder, Payload(tmp_path / "run"), kind)
    load = weights if path.suffix in (".pt", ".pt2", ".pkl") else shapes
    assert message in complaint(load, path)
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------------------- sizes that are claimed


def npy_of(header: str, content: bytes = b"", version: int = 1, length: int | None = None) -> bytes:
    text = header.encode("latin-1") + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + content


def header(shape: str, dtype: str = "'<f4'") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}"


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    "content",
    [
        npy_of(header("(1099511627776, 3)"), bytes(48)),
        npy_of(header("(2147483648, 2147483648, 2147483648)")),
        npy_of(header(f"({'9' * 4000},)")),
        npy_of(header(f"({'9' * 5000},)")),
        npy_of(header("(-1, -12)"), bytes(48)),
        npy_of(header("(4, -3)"), bytes(48)),
        npy_of(header("(0, 3)")),
        npy_of(header("(3, 0)")),
        npy_of(header("()"), bytes(4)),
        npy_of(header("(True, 3)"), bytes(12)),
        npy_of(header("(" + "1, " * 40 + ")"), bytes(4)),
        npy_of(header("(1, 1)", "'<V4294967295'")),
        npy_of(header("(2,)", "'<U2147483647'")),
        npy_of(header("(2,)", "[('a', '<f4'), ('b', '<f4')]"), bytes(16)),
        npy_of(header("(2,)", "'<c8'"), bytes(16)),
        npy_of(header("(" * 3000 + ")" * 3000), bytes(4)),
        npy_of(header("(" + "-" * 9000 + "1,)"), bytes(4)),
        npy_of(header("(1, 1)"), bytes(4), version=2, length=2**32 - 1),
        npy_of(header("(1, 1)") + " " * 50_000, bytes(4), version=2),
        npy_of(header("(1, 1)"), bytes(4), version=4),
        npy_of(header("(1L, 1L)"), bytes(3)),
        npy_of("__import__('os').mkdir('run')", bytes(4)),
        b"",
        b"\x93NUMPY",
    ],
)
def test_arrays_that_claim_too_much(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    for name in ("x.npy", "x.npz"):
        assert complaint(shapes, tmp_path / name)
    assert not Path("run").exists()


@pytest.mark.parametrize("shape", ["(3, 3)", "(5, 3)"])
def test_arrays_of_another_size_than_the_file(shape: str, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(npy_of(header(shape), bytes(48)))
    assert f"for shape {shape}, float32" in complaint(shapes, tmp_path / "x.npy")


def test_headers_as_others_write_them(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    for shape, version in (("(4, 3)", 2), ("(4, 3)", 3), ("(4L, 3L)", 1)):
        path.write_bytes(npy_of(header(shape), bytes(48), version))
        assert shapes(path) == [(4, 3)]


@pytest.mark.usefixtures("bounded")
def test_a_packed_bomb_comes_in_batches_or_not_at_all(tmp_path: Path) -> None:
    rows = 400 * 2**10
    for name, shape in (("many", (rows, 256)), ("large", (2, rows // 2, 256))):
        with (
            zipfile.ZipFile(tmp_path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("x.npy", "w", force_zip64=True) as member,
        ):
            member.write(npy_of(header(str(shape))))
            for _ in range(400):
                member.write(bytes(2**20))
    data = load_data(str(tmp_path / "many.npz"), batch_size=4096, max_memory=MEMORY)
    assert sum(len(batch) for batch in data) == data.samples == rows
    assert "in batches of 2, takes 1.56 GiB; expected at most 64 MiB (--max-memory)" in complaint(
        shapes, tmp_path / "large.npz"
    )


def test_fortran_order_is_read_whole_and_counted_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    array = np.asfortranarray(np.random.default_rng(0).normal(size=(1000, 30)))
    np.save(path, array)
    data = load_data(str(path), batch_size=7, max_memory=2**20)
    np.testing.assert_array_equal(np.concatenate(list(data)), array)
    with pytest.raises(LoadingError, match="in batches of 7, takes 474 KiB; expected at most 400 KiB"):
        load_data(str(path), batch_size=7, max_memory=400 * 2**10)


def test_a_directory_too_large(tmp_path: Path, weights: Load) -> None:
    for name in ("x.npz", "w.pt"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for i in range(6000):
                archive.writestr(f"{i}.npy", b"")
    for name, load in (("x.npz", shapes), ("w.pt", weights)):
        assert "of names and shapes; expected at most 256 KiB with 64 MiB of memory" in complaint(load, tmp_path / name)


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
    program: bytes, tmp_path: Path, weights: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    monkeypatch.setattr(torch, "load", lambda *a, **k: loads.append(a))
    zip_of(tmp_path / "w.pt", pkl=b"\x80\2" + program + b".", data_0=bytes(16))
    assert complaint(weights, tmp_path / "w.pt")
    assert not loads


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("program", POINTLESS, ids=range(len(POINTLESS)))
def test_pickles_that_are_no_weights(program: bytes, tmp_path: Path, weights: Load) -> None:
    zip_of(tmp_path / "w.pt", pkl=b"\x80\2" + program + b".", data_0=bytes(16))
    assert complaint(weights, tmp_path / "w.pt")


def test_the_pickles_above_fail_for_their_own_reasons(tmp_path: Path, weights: Load) -> None:
    entry = b"X\1\0\0\0a" + tensor(b"K\4\x85", b"K\1\x85")
    zip_of(tmp_path / "w.pt", pkl=b"\x80\2}" + entry + b"s.", data_0=bytes(16))
    assert "6 tensors missing ('0.weight', '0.bias', '1.weight', …)" in complaint(weights, tmp_path / "w.pt")


@pytest.mark.usefixtures("bounded")
def test_packed_weights(tmp_path: Path, weights: Load) -> None:
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


def test_weights_beyond_the_cap(tmp_path: Path, factory: str) -> None:
    for path in (torch_file(tmp_path), safetensors_file(tmp_path)):
        with pytest.raises(LoadingError, match="; expected at most 500 bytes"):
            load_model(str(path), network=factory, trust=True, max_memory=500)


def safetensors_of(path: Path, entries: object, content: bytes = bytes(16), length: int | None = None) -> Path:
    text = json.dumps(entries).encode() if not isinstance(entries, bytes) else entries
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + content)
    return path


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("entries", "length"),
    [
        ({"a": entry([4], 0, 16), "b": entry([4], 0, 16)}, None),
        ({"a": entry([2], 0, 8), "b": entry([3], 4, 16)}, None),
        ({"a": entry([2**40, 2**40], 0, 16)}, None),
        ({"a": entry([2**32, 2**32], 0, 16)}, None),
        ({"a": entry([4], 0, 2**62)}, None),
        ({"a": entry([-4], 0, 16)}, None),
        ({"a": entry([4], 16, 0)}, None),
        ({"a": entry([4], 0, 16, "F33")}, None),
        ({"a": entry([2], 0, 8)}, None),
        ({"a": [1, 2]}, None),
        ([], None),
        ({}, None),
        (b"[" * 100_000, None),
        (b"{" + b'"a":' * 50_000, None),
        ({"a": entry([4], 0, 16)}, 2**63),
        ({"a": entry([4], 0, 16)}, 2**64 - 1),
        ({"a": entry([4], 0, 16)}, 99_000_000),
        ({"a": entry([4], 0, 16)}, 0),
        (b"", None),
    ],
)
def test_safetensors_that_claim_too_much(entries: object, length: int | None, tmp_path: Path, weights: Load) -> None:
    assert complaint(weights, safetensors_of(tmp_path / "w.safetensors", entries, length=length))


# -------------------------------------------------------------------------------------------------------- names and places

NASTY = ["../../../etc/passwd", "<script>alert(1)</script>", "a\x1b[31mb\nc\u202ed", "/abs", "", " ", "x" * 100_000]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_text(name: str, tmp_path: Path, weights: Load) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for key, n in ((f"{name}.npy", 3), ("other.npy", 4)):
            content = io.BytesIO()
            np.save(content, x(n))
            if len(name) < 2**15:
                archive.writestr(key, content.getvalue())
    torch.save({name: torch.zeros(2), **state()}, tmp_path / "w.pt")
    save_file({name: torch.zeros(2), **state()}, tmp_path / "w.safetensors")
    assert complaint(shapes, tmp_path / "x.npz")
    for path in (tmp_path / "w.pt", tmp_path / "w.safetensors"):
        assert "1 tensor that the network has not (" in complaint(weights, path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pt", "w.safetensors", "x.npz"]


def test_members_twice_encrypted_or_packed_unusually(tmp_path: Path) -> None:
    path, content = tmp_path / "x.npz", npy_of(header("(1, 3)"), bytes(12))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", content)
    assert "one name for several members" in complaint(shapes, path)
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", kind) as archive:
            archive.writestr("x.npy", content)
        assert "packed unusually" in complaint(shapes, path)
    np.savez(path, x=x())
    path.write_bytes(path.read_bytes().replace(b"PK\1\2-\3-\0\0\0", b"PK\1\2-\3-\0\1\0"))
    assert "encrypted" in complaint(shapes, path)


def test_places_that_are_no_files(tmp_path: Path, weights: Load) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    (tmp_path / "nowhere.npy").symlink_to("none")
    os.mkfifo(tmp_path / "pipe.pt")
    for name in ("pipe.npy", "loop.npy", "nowhere.npy", "folder.npz", "no\0.npy", "n" * 300 + ".npz", "", "none.npz"):
        assert complaint(shapes, tmp_path / name)
    for name in ("pipe.pt", "none.safetensors"):
        assert complaint(weights, tmp_path / name)
