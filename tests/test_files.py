from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from leaky.files import write_atomically

posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links and pipes as POSIX has them")


@pytest.mark.parametrize(
    ("data", "found"), [("α → β\n", "α → β\n".encode()), (b"\x00\xff\r\n", b"\x00\xff\r\n"), ("", b"")]
)
def test_writes_what_it_is_given(tmp_path: Path, data: str | bytes, found: bytes) -> None:
    for path in (tmp_path / "new", str(tmp_path / "text")):
        write_atomically(path, data)
        assert Path(path).read_bytes() == found


def test_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk full", "Ctrl-C"]
)
def test_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise failure

    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(failure)):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_reader_never_sees_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replace = tmp_path / "report.html", os.replace
    path.write_text("old")
    seen: list[str] = []

    def look_then_replace(source: str, target: str) -> None:
        seen.append(path.read_text())
        assert Path(source).read_text() == "new" * 100_000  # all of it is there before the name is
        assert Path(source).parent == path.parent
        replace(source, target)

    monkeypatch.setattr(os, "replace", look_then_replace)
    write_atomically(path, "new" * 100_000)
    assert seen == ["old"]


def test_text_that_is_not_utf8_touches_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "x", "\udc80")
    assert not list(tmp_path.iterdir())


def test_error_names_the_file_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "report.html"
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(path, "x")
    assert caught.value.filename == str(path)


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"directory|denied"):
        write_atomically(tmp_path, "x")
    assert not list(tmp_path.iterdir())


def test_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_atomically(path, "x")
    assert path.read_text() == "x"


@posix
def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "file", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@posix
def test_link_to_nothing_makes_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "file").read_text() == "new"


@posix
def test_permissions(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.touch()
    old.chmod(0o600)
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "new", "x")
        write_atomically(old, "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize(
    ("old", "meanwhile", "after"), [(0o600, 0o600, 0o600), (0o664, 0o600, 0o664), (None, 0o644, 0o644)]
)
def test_a_private_file_is_private_all_the_while(
    old: int | None, meanwhile: int, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.touch()
        path.chmod(old)
    fsync, seen = os.fsync, []

    def look_then_sync(descriptor: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look_then_sync)
    before = os.umask(0o022)
    try:
        write_atomically(path, "x")
    finally:
        os.umask(before)
    assert seen == [meanwhile]
    assert stat.S_IMODE(path.stat().st_mode) == after


@posix
def test_device_is_written_to_not_replaced() -> None:
    write_atomically("/dev/null", "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_the_name_is_that_which_the_caller_knows(tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.html"
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(path, "new")
    assert str(caught.value) == f"[Errno 2] No such file or directory: {str(path)!r}"
