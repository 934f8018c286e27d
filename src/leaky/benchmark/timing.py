"""Timing several functions fairly in one run: in turn, each awake and alone, so that what disturbs one disturbs all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import numpy as np

# Seconds that one burst of calls should take, so that the clock's own cost does not tell.
_BURST = 5e-4

# Seconds of rest before each burst. Libraries keep their threads awake for some milliseconds after their work, and would
# hold the cores against whoever comes next.
_REST = 5e-3

_FEWEST = 5


def interleave(calls: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """Return for each function its time a call, in seconds, in each of as many rounds as take ``seconds``, or in five."""
    bursts = {name: _calls_in_a_burst(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    names = list(calls)
    shuffle = random.Random(0).shuffle
    while len(times[names[0]]) < _FEWEST or time.perf_counter() < end:
        for name in names:
            time.sleep(_REST)
            _burst(calls[name], 1 + bursts[name] // 8)  # awake, its data where they would be
            times[name].append(_burst(calls[name], bursts[name]) / bursts[name])
        shuffle(names)  # each leaves the caches in a state of its own: none shall always come after the same other
    return times


def _calls_in_a_burst(call: Callable[[], object]) -> int:
    _burst(call, 2)  # what is compiled or allocated at first
    count = 1
    while (taken := _burst(call, count)) < _BURST / 2:
        count = int(np.ceil(count * min(10, _BURST / max(taken, 1e-9))))
    return count


def _burst(call: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - start
