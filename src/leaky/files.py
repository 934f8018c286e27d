"""Writing a file so that it is the old one or the new one, never half of one."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write ``data`` to ``path``; whoever reads it meanwhile, or after a crash, finds all of it or all of the old file.

    Text is written as UTF-8. A symbolic link stays one: the file it points to is replaced. An existing file keeps its
    permissions, a new one gets those of the umask. Pipes and devices (``/dev/stdout``) are written to directly.

    Raises:
        OSError: the file cannot be written; what was there is unchanged, and nothing else is left behind.
    """
    content = data.encode() if isinstance(data, str) else data
    with replacing(path) as stream:
        stream.write(content)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a stream to write the file to piece by piece; at the end of the block it takes the old one's place.

    As :func:`write_atomically` in all else. After an exception in the block, too, the old file is what it was.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        mode: int | None = Path(path).stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with Path(path).open("wb") as stream:
            yield stream
        return
    target = Path(os.path.realpath(path))
    # In the same folder, because a rename is atomic only within one file system. A short name always fits.
    temporary = target.with_name(f".leaky-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            # The name the caller knows, not that of the temporary file.
            error.filename, error.filename2 = os.fspath(path), None
        raise
