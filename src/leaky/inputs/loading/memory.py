"""How much memory reading may take: a cap, which every size that a file claims is held against beforehand."""

from __future__ import annotations

import os
import re

from leaky.inputs.loading.problem import LoadingError

_UNITS = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", 1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", 1)},
}
_FACTORS = {unit.lower(): factor for unit, factor in _UNITS.items()}

# Where the machine does not say how much it has.
_FALLBACK = 4 * 1024**3

# A byte of a pickle, of a zip archive's directory or of a JSON header becomes at most about so many bytes of objects.
_GROWTH = 256


def bytes_of(size: str | int) -> int:
    """Return a size in bytes: ``4GiB``, ``1.5 GB``, ``800MB`` (1 GB is 1000³ bytes, 1 GiB is 1024³), or a number.

    Raises:
        LoadingError: a :class:`ValueError`; it is no size, or less than one byte.
    """
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)\s*([a-z]*)", str(size).strip().lower(), re.ASCII)
    factor = _FACTORS.get(match[2] or "b") if match else None
    count = int(float(match[1]) * factor) if match and factor else 0
    if count < 1:
        raise LoadingError(f"max_memory: {size!r}; expected a size such as 4GiB or 800MB")
    return count


def default_memory() -> int:
    """Return half of the machine's memory, in bytes; 4 GiB where that is not known."""
    try:
        pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _FALLBACK
    return pages * page // 2 if pages > 0 and page > 0 else _FALLBACK


def in_words(size: int) -> str:
    """Write ``3.5 GiB``."""
    for unit, factor in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size >= 1024**5:
            return "more than 1,024 TiB"
        if size >= factor:
            return f"{size / factor:.3g} {unit}" if size < 1000 * factor else f"{size / factor:.0f} {unit}"
    return f"{size} bytes"


def check_size(what: str, size: int, max_memory: int, remedy: str = "") -> None:
    """Hold a size against the cap.

    Raises:
        LoadingError: it is beyond.
    """
    if size > max_memory:
        raise LoadingError(f"{what} takes {in_words(size)}; expected at most {in_words(max_memory)}{remedy}")


def check_description(what: str, size: int, max_memory: int) -> None:
    """Hold the size of a part that says what a file holds against the cap: such parts grow when they are read.

    Raises:
        LoadingError: what it becomes may be beyond.
    """
    if size * _GROWTH > max_memory:
        raise LoadingError(
            f"{what} has {in_words(size)} of names and shapes; expected at most {in_words(max_memory // _GROWTH)} "
            f"with {in_words(max_memory)} of memory"
        )
