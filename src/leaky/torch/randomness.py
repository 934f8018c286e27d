"""The random numbers of a trial: all that a network may draw from, seeded, and the caller's put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Put the global random states of Python, NumPy and PyTorch back at the end."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global state is what it is about
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


def seed_all(seed: int) -> None:
    """Seed the global random numbers of Python, NumPy and PyTorch; ``seed`` is below 2³²."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
