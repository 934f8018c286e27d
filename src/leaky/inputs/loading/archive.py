"""Opening a zip archive (``.npz``, ``.pt``) of which nothing is believed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import IO

from leaky.inputs.loading.memory import check_description
from leaky.inputs.loading.problem import LoadingError, quoted, reading

_ENCRYPTED = 1


# The most that is read of an archive's end to find where its directory lies.
_END = 2**17


class _Guarded(io.FileIO):
    """A file that is asked for an archive's directory, which is read in one go, and gives it only if it is not too large."""

    def __init__(self, path: Path, what: str, max_memory: int) -> None:
        super().__init__(path)
        self._what, self._max_memory = what, max_memory

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _END:
            check_description(self._what, size, self._max_memory)
        return super().read(size) or b""


def members(path: Path, what: str, max_memory: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members of an archive by name, without reading what is in them.

    Raises:
        LoadingError: it is no archive, its directory is too large or contradicts what stands before the members, a member
            comes twice, is encrypted, or is compressed in another way than by deflate, whose memory is bounded.
    """
    with reading(what), _Guarded(path, what, max_memory) as file, zipfile.ZipFile(file) as archive:
        found = {info.filename: info for info in archive.infolist()}
        if len(found) < len(archive.infolist()):
            raise LoadingError(f"{what} has one name for several members; expected each once")
        for name, info in found.items():
            if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise LoadingError(f"{what}: {quoted(name)} is encrypted or packed unusually; expected plain zip")
            # A comment's length can be made to hide the members that follow; neither NumPy nor PyTorch writes comments.
            if info.comment:
                raise LoadingError(
                    f"{what}: {quoted(name)} has a comment; expected a file as NumPy or PyTorch writes it"
                )
            archive.open(info).close()
    return found


def open_member(path: Path, name: str) -> IO[bytes]:
    """Return a stream of the bytes of one member; it keeps the file open until it is closed itself."""
    with zipfile.ZipFile(path) as archive:
        return archive.open(name)
