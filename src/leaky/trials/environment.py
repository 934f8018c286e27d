"""What a trial's numbers depend on besides its recipe."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch


def environment() -> dict[str, str]:
    """Return versions, processor and threads, as text. Where all are equal, so are the numbers of equal trials."""
    return {
        "leaky": version("leaky"),
        "PyTorch": version("torch"),
        "NumPy": version("numpy"),
        "Python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": "1 per trial",
    }
