"""Writing a file so that it is the old one or the new one, never half of one."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write ``data`` to ``path``; whoever reads it meanwhile, or after a crash, finds all of it or all of the old file.

    Text is written as UTF-8. See :func:`replacing` for links, permissions, pipes and errors.
    """
    content = data.encode() if isinstance(data, str) else data
    with replacing(path) as written:
        written.write_bytes(content)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the name of a file to write, which is what ``path`` names once the context is left without an error.

    A symbolic link stays one: the file it points to is replaced. An existing file keeps its permissions, a new one gets
    those of the umask. Pipes and devices (``/dev/stdout``) are written to directly.

    Raises:
        OSError: the file cannot be written; what was there is unchanged, and nothing else is left behind.
    """
    try:
        mode: int | None = Path(path).stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        yield Path(path)
        return
    target = Path(os.path.realpath(path))
    # In the same folder, because a rename is atomic only within one file system. A short name always fits.
    temporary = target.with_name(f".leaky-{secrets.token_hex(8)}.tmp")
    try:
        # What replaces a private file is private from the start.
        temporary.touch(0o666 if mode is None else 0o600, exist_ok=False)
        yield temporary
        with temporary.open("r+b") as stream:
            os.fsync(stream.fileno())
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            # The name the caller knows, not that of the temporary file.
            error.filename = os.fspath(path)
            del error.filename2  # as None it would be written: 'a' -> None
        raise
