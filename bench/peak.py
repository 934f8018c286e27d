"""The peak of a process's memory, which its parent's does not tell in."""

from __future__ import annotations

import re
from pathlib import Path


def peak_memory() -> int:
    """Return the most physical memory, in KiB, that this process has had since it started (Linux)."""
    # Not getrusage's ru_maxrss: that begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text("ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1])
