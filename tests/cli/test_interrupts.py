"""Ctrl-C at the command line, in every phase: exit code 130, one line, and neither a process nor a hidden cursor left."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# PLACE is one of the places that say so on standard error and then take long.
MINE = """
import atexit, ctypes, sys, time
from pathlib import Path
import numpy as np
from torch import nn
import leaky


def reach(place):
    if place == "PLACE":
        try:  # the interrupt may come as soon as this is read
            print("at", place, file=sys.stderr, flush=True)
            long()
        finally:
            print("cleaning up", file=sys.stderr, flush=True)
            time.sleep(0.2)
            print("clean", file=sys.stderr, flush=True)


def long():
    time.sleep(60)


def stuck():
    # A call into C that no signal ends: a lock taken twice by the same thread.
    lock = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(lock)


class Traveller:
    '''Is at a place when it arrives in another process.'''

    def __reduce__(self):
        return arrive, ()


def arrive():
    reach("starting")
    return Traveller()


class Net(nn.Sequential):
    def forward(self, x):
        if self.training and Path("other.db").exists():  # no rehearsal
            reach("training")
        return super().forward(x)


traveller = Traveller()


def model(activation):
    traveller
    reach("rehearsing")
    return Net(nn.Linear(100, 8), activation.module(), nn.Linear(8, 3))


reach("loading")
atexit.register(reach, "ending")
# More than a pipe holds.
y = np.arange(300) % 3
x = np.random.default_rng(0).normal(size=(300, 100))
task = leaky.Task(model, x, y, name="mine", epochs=1)
"""

ARGUMENTS = ["--task", "mine.py:task", "--seeds", "2", "--activation", "tanh"]


def at(place: str, folder: Path, terminal: Callable[..., Any], *options: str, how: str = "") -> Any:
    """Run a comparison in a terminal until it is at that place."""
    text = MINE.replace("PLACE", place)
    (folder / "mine.py").write_text(text.replace("            long()", f"            {how}()") if how else text)
    shown = terminal("compare", *ARGUMENTS, *options)
    shown.read_until(f"at {place}")
    return shown


def ends(shown: Any, words: str, code: int = 130) -> None:
    """Expect these last words, and nothing else that would be wrong after an interrupt."""
    shown.read_until(re.escape(words))
    assert shown.process.wait(timeout=60) == code
    end = time.monotonic() + 60
    while left := of_session(shown.process.pid):
        assert time.monotonic() < end, left
        time.sleep(0.1)
    shown.read_rest()
    assert "Traceback" not in shown.text
    assert shown.text.rfind("\x1b[?25l") <= shown.text.rfind("\x1b[?25h")


def of_session(session: int) -> list[str]:
    """Return the command lines of the processes of a session."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.append((process / "cmdline").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_it_loads(number: signal.Signals, here: Path, terminal: Callable[..., Any]) -> None:
    shown = at("loading", here, terminal)
    os.killpg(shown.process.pid, number)
    ends(shown, "Stopped.")


def test_while_processes_start(here: Path, terminal: Callable[..., Any]) -> None:
    # Each has read but the beginning of its task: where Ctrl-C ended it, the rest would be waited with for ever.
    shown = at("starting", here, terminal, "--jobs", "2")
    os.killpg(shown.process.pid, signal.SIGINT)
    ends(shown, "Stopped. Finished trials are in leaky-mine.db; the same command goes on from there.")
    assert "clean" not in shown.text  # it did not reach them


def test_while_it_trains_itself_a_second_one_does_not_spoil_the_cleaning_up(
    here: Path, terminal: Callable[..., Any]
) -> None:
    shown = at("training", here, terminal, "--jobs", "1", "--study", "other.db")
    os.killpg(shown.process.pid, signal.SIGINT)
    shown.read_until("cleaning up")
    os.killpg(shown.process.pid, signal.SIGINT)
    ends(shown, "Stopped. Finished trials are in other.db; the same command goes on from there.")
    assert "clean\r\n" in shown.text


def test_in_a_call_that_does_not_end(here: Path, terminal: Callable[..., Any]) -> None:
    shown = at("rehearsing", here, terminal, how="stuck")
    assert "\x1b[?25l" in shown.text  # the bar hides the cursor
    os.killpg(shown.process.pid, signal.SIGINT)
    ends(shown, "Stopped before the first trial; the same command begins again.")


def test_when_all_is_done(here: Path, terminal: Callable[..., Any]) -> None:
    shown = at("ending", here, terminal, "--jobs", "1")
    assert "Report: leaky-mine.html" in shown.text
    os.killpg(shown.process.pid, signal.SIGINT)
    ends(shown, "Report: leaky-mine.html", code=0)
