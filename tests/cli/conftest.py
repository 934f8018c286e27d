from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

LEAKY = [sys.executable, "-m", "leaky"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, as the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


NETWORK = """
import numpy as np
import torch
from torch import nn


def network():
    print("hello")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        model[0].bias[2] = DEAD
    return model


def loader():
    return [np.random.default_rng(n).normal(size=(50, 4)) for n in range(4)]
"""


@pytest.fixture
def network(here: Path) -> Path:
    """A user's network with a dead unit, and data for it, in the current folder."""
    (here / "net.py").write_text(NETWORK.replace("DEAD", "-100"))
    (here / "alive.py").write_text(NETWORK.replace("DEAD", "0"))
    rng = np.random.default_rng(0)
    np.savez(here / "d.npz", x=rng.normal(size=(300, 4)), y=rng.integers(3, size=300))
    return here


class Terminal:
    """The command in a terminal of its own, 80 columns wide."""

    def __init__(self, *arguments: str) -> None:
        self.leader, follower = pty.openpty()
        environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
        self.process = subprocess.Popen(
            [*LEAKY, *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment,
            start_new_session=True,
        )
        os.close(follower)
        self.text = ""

    def read_until(self, pattern: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, f"{pattern!r} did not come up in:\n{self.text}"
            if select.select([self.leader], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.leader, 65536).decode()
                except OSError:  # the other end is closed
                    assert re.search(pattern, self.text), self.text
                    return

    def read_rest(self) -> None:
        """Read what is said until the end, when no process has the terminal any more."""
        with contextlib.suppress(OSError):
            while said := os.read(self.leader, 65536):
                self.text += said.decode()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.leader)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Return what runs the command in a terminal."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(contextlib.closing(Terminal(*arguments)))
