"""The benchmark: every peer that is installed, at each size, one way after the other."""

from __future__ import annotations

import math
import operator
import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from leaky import _core
from leaky.benchmark.peers import PEERS, TYPES, WAYS, Case, Peer
from leaky.benchmark.result import Benchmark, Timing
from leaky.benchmark.timing import interleave
from leaky.function import get_num_threads, real_slope
from leaky.wording import counted

#: from three elements, where the call itself is all, to what fits no cache
DEFAULT_SIZES = (3, 1 << 10, 1 << 16, 1 << 20, 1 << 24, 1 << 26)

# Arrays of the size that is timed that are there at once, at most: inputs, outputs, gradients, temporaries (measured: 7).
_ARRAYS = 10

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def bench(
    sizes: Sequence[int] = DEFAULT_SIZES,
    dtype: str = "float32",
    negative_slope: float = 0.01,
    *,
    seconds: float = 2.0,
    progress: Callable[[int, int], None] | None = None,
) -> Benchmark:
    """Time the function and its peers, in turn, many times over, and return the medians of their ratios.

    Args:
        sizes: numbers of elements.
        dtype: float16, bfloat16 (wants ml_dtypes), float32 or float64.
        negative_slope: a number that float32 can hold.
        seconds: for each size, each way; at least five rounds are made.
        progress: is called with the number of sizes done and of all, over all ways.

    Raises:
        TypeError: the slope is not a real number.
        ValueError: no size, one that is no whole number, below 1 or beyond this machine's memory, another type, a slope
            that is infinite or beyond float32, seconds that are no number from 0 up.
    """
    slope = real_slope(negative_slope)
    if abs(slope) > _FLOAT32_MAX:  # not for all peers
        raise ValueError(f"negative_slope: {slope:g}; expected a number that float32 can hold")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds: {seconds}; expected a number from 0 up")
    if dtype not in TYPES:
        raise ValueError(f"dtype: {dtype!r}; expected one of {', '.join(TYPES)}")
    sizes = [_checked_size(size, dtype) for size in sizes]
    if not sizes:
        raise ValueError("sizes: none; expected at least one number of elements")
    peers = [peer for peer in PEERS if peer.runs(dtype)]
    if not peers:  # for want of NumPy's bfloat16
        raise ValueError(f"dtype: {dtype!r} is not to be had without the package ml_dtypes")
    ways = [way for way in WAYS if any(peer.way == way for peer in peers)]
    timings: list[Timing] = []
    for i, way in enumerate(ways):
        for j, size in enumerate(sizes):
            if progress:
                progress(i * len(sizes) + j, len(ways) * len(sizes))
            group = [peer for peer in peers if peer.way == way]
            timings += _time(group, Case(size, dtype, slope), seconds)
    if progress:
        progress(len(ways) * len(sizes), len(ways) * len(sizes))
    return Benchmark(dtype, slope, _machine(peers), tuple(timings))


def _checked_size(given: int, dtype: str) -> int:
    try:
        size = 0 if isinstance(given, bool) else operator.index(given)
    except TypeError:
        size = 0
    if size < 1:
        raise ValueError(f"sizes: {given!r}; expected a whole number of elements above 0")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    bytes_each = {"float64": 8, "float32": 4}.get(dtype, 2)
    if size * bytes_each * _ARRAYS > memory:
        most = memory // (bytes_each * _ARRAYS)
        raise ValueError(f"sizes: {size:,}; expected at most {most:,} elements of {dtype} in this machine's memory")
    return size


def _time(peers: list[Peer], case: Case, seconds: float) -> list[Timing]:
    """Time one way at one size. The first peer is the one that the others are divided by."""
    times = interleave({peer.name: peer.prepare(case) for peer in peers}, seconds)
    timings = []
    for peer in peers:
        ratios = np.divide(times[peer.name], times[peers[0].name])
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75)).tolist()
        seconds_each = float(np.median(times[peer.name]))
        timings.append(Timing(peer.way, peer.name, case.size, seconds_each, middle, low, high, len(ratios)))
    return timings


def _machine(peers: list[Peer]) -> dict[str, str]:
    packages = {"leaky", "numpy", *(name for peer in peers for name in peer.needs)} - {"onnx"}
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "instruction set": _core.ISA,
        "threads": _threads(packages),
        "Python": platform.python_version(),
    } | {name: _version(name) for name in sorted(packages)}


def _threads(packages: set[str]) -> str:
    """Write the number of threads, and that of each package that has another."""
    threads = {"leaky": get_num_threads()}
    if "torch" in packages:
        import torch

        threads["torch"] = torch.get_num_threads()
    if "numba" in packages:
        import numba

        threads["numba"] = numba.get_num_threads()
    if "numexpr" in packages:
        import numexpr

        threads["numexpr"] = numexpr.get_num_threads()
    others = [f"{name} {count}" for name, count in threads.items() if count != threads["leaky"]]
    return ", ".join([counted(threads["leaky"], "thread"), *others])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # installed under another name than it is imported by
        return "?"


def _processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
