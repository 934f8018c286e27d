"""Arrays: .npy, .npz, and folders of .npy."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaky.inputs.loading import LoadingError, load_data

MEMORY = 64 * 2**20

Load = Callable[[Path], Any]
Complaint = Callable[[Load, Path], str]
Refused = Callable[..., int]


def x(n: int = 10) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(size=(n, 3))


def npy_file(folder: Path) -> Path:
    np.save(folder / "x.npy", x())
    return folder / "x.npy"


def npz_file(folder: Path) -> Path:
    np.savez(folder / "x.npz", x=x(), y=np.arange(10) % 3)
    return folder / "x.npz"


def packed_npz_file(folder: Path) -> Path:
    np.savez_compressed(folder / "p.npz", x=x(), y=np.arange(10) % 3)
    return folder / "p.npz"


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(("make", "count"), [(npy_file, 10_000), (npz_file, 6_000), (packed_npz_file, 4_000)])
def test_spoilt_files(make: Callable[[Path], Path], count: int, tmp_path: Path, shapes: Load, refused: Refused) -> None:
    path = make(tmp_path)
    assert refused(shapes, path, [path], count) > 0.6 * count


def test_spoilt_folders(tmp_path: Path, shapes: Load, refused: Refused) -> None:
    for name, n in (("a", 3), ("b", 6), ("c", 1)):
        np.save(tmp_path / f"{name}.npy", x(n).astype(np.float32))
    assert shapes(tmp_path) == [(4, 3), (4, 3), (2, 3)]
    assert refused(shapes, tmp_path, [tmp_path / f"{name}.npy" for name in "abc"], 2_000) > 1_000


class Payload:
    """When it is unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["x.npy", "x.npz", "folder"])
def test_no_payload_is_run(kind: str, tmp_path: Path, shapes: Load, complaint: Complaint) -> None:
    files = tmp_path / "files"
    files.mkdir()
    objects = np.array([Payload(tmp_path / "run")] * 2, dtype=object)
    np.savez(files / "x.npz", x=objects)
    np.save(files / "x.npy", objects)
    np.load(files / "x.npy", allow_pickle=True)  # NumPy itself runs it
    (tmp_path / "run").rmdir()
    message = "is an array of Python objects, which could run code; expected numbers"
    assert message in complaint(shapes, files if kind == "folder" else files / kind)
    assert not (tmp_path / "run").exists()


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
def test_arrays_that_claim_too_much(content: bytes, tmp_path: Path, shapes: Load, complaint: Complaint) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    for name in ("x.npy", "x.npz"):
        assert complaint(shapes, tmp_path / name)
    assert not Path("run").exists()


@pytest.mark.parametrize("shape", ["(3, 3)", "(5, 3)"])
def test_arrays_of_another_size_than_the_file(shape: str, tmp_path: Path, shapes: Load, complaint: Complaint) -> None:
    (tmp_path / "x.npy").write_bytes(npy_of(header(shape), bytes(48)))
    assert f"for shape {shape}, float32" in complaint(shapes, tmp_path / "x.npy")


def test_headers_as_others_write_them(tmp_path: Path, shapes: Load) -> None:
    path = tmp_path / "x.npy"
    for shape, version in (("(4, 3)", 2), ("(4, 3)", 3), ("(4L, 3L)", 1)):
        path.write_bytes(npy_of(header(shape), bytes(48), version))
        assert shapes(path) == [(4, 3)]


@pytest.mark.usefixtures("bounded")
def test_a_packed_bomb_comes_in_batches_or_not_at_all(tmp_path: Path, shapes: Load, complaint: Complaint) -> None:
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


def test_a_directory_too_large(tmp_path: Path, shapes: Load, complaint: Complaint) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for i in range(6000):
            archive.writestr(f"{i}.npy", b"")
    expected = "of names and shapes; expected at most 256 KiB with 64 MiB of memory"
    assert expected in complaint(shapes, tmp_path / "x.npz")


def test_members_twice_encrypted_or_packed_unusually(tmp_path: Path, shapes: Load, complaint: Complaint) -> None:
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


def test_names_are_text(nasty: str, tmp_path: Path, shapes: Load, complaint: Complaint) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for key, n in ((f"{nasty}.npy", 3), ("other.npy", 4)):
            content = io.BytesIO()
            np.save(content, x(n))
            if len(nasty) < 2**15:
                archive.writestr(key, content.getvalue())
    assert complaint(shapes, tmp_path / "x.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_places_that_are_no_files(tmp_path: Path, shapes: Load, complaint: Complaint) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    (tmp_path / "nowhere.npy").symlink_to("none")
    for name in ("pipe.npy", "loop.npy", "nowhere.npy", "folder.npz", "no\0.npy", "n" * 300 + ".npz", "", "none.npz"):
        assert complaint(shapes, tmp_path / name)
