"""Ctrl-C on the command line: back at the prompt within two seconds, whatever is going on."""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

#: exit code after SIGINT or SIGTERM
INTERRUPTED = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Seconds for cleaning up. What has not ended then is ended as by a crash, through which nothing recorded is lost.
_PATIENCE = 1.5

_asked = False
_said = False
_code: int | None = None
_last_words: Callable[[], str]


def begin() -> None:
    """Take charge of how this process ends. To be called first: what is loaded before may be interrupted with a traceback.

    SIGINT and SIGTERM raise ``KeyboardInterrupt`` as usual, but once: a second one must not spoil the cleaning up after the
    first. A thread sees to it that this takes no longer than it may, since the interrupt may be held up by a long call
    into C, or be lost in a callback.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # its signals are not ours
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    atexit.register(_leave)  # the first is called last


def end(code: int) -> int:
    """Return the exit code, which stands from now on: there is nothing left to interrupt."""
    global _code
    for number in _SIGNALS:
        signal.signal(number, _ignore)
    _code = code
    return code


def say_at_the_end(words: Callable[[], str] = lambda: "Stopped.") -> None:
    """Set the line that an interrupt ends with: what is kept, and how to go on."""
    global _said, _last_words
    _said, _last_words = False, words


say_at_the_end()


def asked() -> bool:
    """Say whether there was an interrupt: an error after it may well have come of it."""
    return _asked


def farewell() -> int:
    """Say that line, and return the exit code of an interrupt."""
    global _said
    if not _said:
        _said = True
        print(_last_line(), file=sys.stderr)
    return INTERRUPTED


def _last_line() -> str:
    # In a terminal, in place of the ^C or of what was left of a progress bar, which hides the cursor.
    return ("\r\x1b[K\x1b[?25h" if os.isatty(2) else "") + _last_words()


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    for each in _SIGNALS:
        signal.signal(each, _ignore)
    raise KeyboardInterrupt


def _ignore(number: int, frame: FrameType | None) -> None:
    pass


def _watch(reader: int) -> None:
    while os.read(reader, 1)[0] not in _SIGNALS:
        pass
    time.sleep(_PATIENCE)
    if multiprocessing := sys.modules.get("multiprocessing"):
        for child in multiprocessing.active_children():
            with suppress(OSError):
                os.kill(child.pid, signal.SIGKILL)
    # Not by sys.stderr, which the main thread may be at; and not where nobody reads.
    if not _said and select.select([], [2], [], 0)[1]:
        os.write(2, f"{_last_line()}\n".encode(errors="replace"))
    os._exit(INTERRUPTED if _code is None else _code)


def _leave() -> None:
    """Leave without taking Python apart, which with PyTorch loaded takes a second, and in which signals kill."""
    if _code is not None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(_code)
