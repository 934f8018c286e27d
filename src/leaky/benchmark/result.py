"""What a benchmark returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """One peer at one size."""

    #: one of ``leaky.benchmark.peers.WAYS``
    way: str
    peer: str
    #: number of elements
    size: int
    #: median time of a call
    seconds: float
    #: median over the rounds of the peer's time divided by leaky's in the same round: above 1, leaky is faster
    ratio: float
    #: quartiles of the same
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Benchmark:
    """Times of the function and its peers, all from one run. The first peer of a way is leaky itself."""

    dtype: str
    negative_slope: float
    #: processor, instruction set, threads and versions, as text
    machine: dict[str, str]
    timings: tuple[Timing, ...]

    @property
    def ways(self) -> list[str]:
        """The ways that were timed, in order."""
        return list(dict.fromkeys(t.way for t in self.timings))

    @property
    def sizes(self) -> list[int]:
        """The sizes, in order."""
        return list(dict.fromkeys(t.size for t in self.timings))

    def peers(self, way: str) -> list[str]:
        """Return the peers that took this way, leaky first."""
        return list(dict.fromkeys(t.peer for t in self.timings if t.way == way))

    def timing(self, way: str, peer: str, size: int) -> Timing | None:
        """Return one timing, or None if there is none."""
        found = [t for t in self.timings if (t.way, t.peer, t.size) == (way, peer, size)]
        return found[0] if found else None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        return asdict(self) | {"timings": [asdict(t) for t in self.timings]}
