"""Whether a call lets other Python threads run meanwhile."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable


def is_released_by(call: Callable[[], object]) -> bool:
    """Return whether another thread has run while this was called, at most a thousand times."""
    go, other_ran = threading.Lock(), []
    go.acquire()
    other = threading.Thread(target=lambda: (go.acquire(), other_ran.append(True)))
    other.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody is made to give the lock away
    try:
        go.release()
        for _ in range(1000):
            if other_ran:
                break
            call()
        return bool(other_ran)
    finally:
        sys.setswitchinterval(interval)
        other.join()
