"""Ctrl-C, held back where it would do harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the end, and then do what they would have done.

    By way of Python's handlers, since a signal that this thread blocks is taken by another one. Only the main thread
    can do this; in others nothing is held back, and nothing would be interrupted either.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[int, FrameType | None]] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, handler in before.items() if callable(handler)]
    for number in ours:
        signal.signal(number, lambda *arguments: waiting.append(arguments))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
        for arrived, frame in waiting[:1]:  # also where an error ended it: that may well have come of the interrupt
            handler = before[signal.Signals(arrived)]
            assert callable(handler)
            handler(arrived, frame)


@contextmanager
def interrupts_kept_from_children() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, though a terminal sends it to all: they are for their parent to end.

    What a thread blocks, the processes and threads that it starts inherit, from their first moment on.
    """
    resource_tracker.ensure_running()  # multiprocessing starts it with the first process, and then lets SIGINT through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
