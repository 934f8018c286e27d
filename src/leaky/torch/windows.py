"""Which units were dead in each window of a training, and when they died and revived. Knows no framework but by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaky.evidence import Counts, Evidence, Identity, Site
from leaky.wording import NOTHING, counted, plain

Bools = NDArray[np.bool_]
Units = NDArray[np.int32]

# Sites that a repr lists.
_ROWS = 10


@dataclass
class Tally:
    """On how many samples each unit was active in a window. Tallies of different samples add up."""

    passes: int = 0
    batches: int = 0
    #: by what the sites are known by on all processes: the site, the samples that it has seen, and those on which each
    #: unit was active
    sites: dict[Identity, tuple[Site, int, Counts]] = field(default_factory=dict)

    @classmethod
    def of(cls, passes: int, batches: int, seen: dict[str, tuple[Site, Evidence]]) -> Tally:
        """Return the tally of what a watch has seen, of the sites where units can be dead."""
        sites: dict[Identity, tuple[Site, int, Counts]] = {
            site.identity: (site, e.samples, e.active_samples) for site, e in seen.values() if can_die(site)
        }
        return cls(passes, batches, sites)

    def add(self, other: Tally) -> None:
        """Take in the tally of other samples."""
        self.passes += other.passes
        self.batches += other.batches
        for key, (site, samples, active) in other.sites.items():
            first, before, counts = self.sites.get(key, (site, 0, 0))
            self.sites[key] = first, before + samples, counts + active


def can_die(site: Site) -> bool:
    """Say whether it makes sense to call a unit dead that is never above 0: not where the function flattens on both sides."""
    low, high = site.limits
    return site.judged and not -np.inf < low < 0 < high < np.inf


class Event(NamedTuple):
    """A unit that was alive in the window before, and is dead in this one, or the other way round."""

    #: from 1
    window: int
    site: str
    unit: int
    #: ``"death"`` or ``"revival"``
    kind: str


@dataclass(frozen=True)
class Window:
    """What was seen in one window, an epoch perhaps. By the names of the sites that were met in it."""

    #: from 1
    number: int
    #: forward passes looked at
    batches: int
    #: samples that the site has seen
    seen: dict[str, int]
    #: units that were active on none of them
    dead: dict[str, int]
    #: units that have died since the window before, and those that have revived, int32; sites without any are left out
    died: dict[str, Units]
    revived: dict[str, Units]

    @property
    def samples(self) -> int:
        """Samples looked at: those of the site that has seen most."""
        return max(self.seen.values(), default=0)

    @property
    def bound(self) -> float:
        """The share of inputs on which a unit that was dead may still be active, at 95 % confidence.

        That of the site that has seen fewest samples; at the others it is less.
        """
        fewest = min(self.seen.values(), default=0)
        return float(1 - 0.05 ** (1 / fewest)) if fewest else 1.0

    def events(self) -> Iterator[Event]:
        """Yield the deaths and then the revivals."""
        for kind, changes in (("death", self.died), ("revival", self.revived)):
            for site, units in changes.items():
                yield from (Event(self.number, site, unit, kind) for unit in units.tolist())

    def to_dict(self) -> dict[str, Any]:
        """Return the window as plain JSON types."""
        return {
            "number": self.number,
            "batches": self.batches,
            "seen": dict(self.seen),
            "dead": dict(self.dead),
            "died": {site: units.tolist() for site, units in self.died.items()},
            "revived": {site: units.tolist() for site, units in self.revived.items()},
        }


class Windows:
    """The windows that have ended. Takes memory by the unit, by the site and window, and by the event."""

    def __init__(self) -> None:
        self.history: list[Window] = []
        self.sites: dict[str, Site] = {}
        #: by site: the units dead in the last window in which the site was met, bool, shape (units,)
        self.dead: dict[str, Bools] = {}
        self._names: dict[Identity, str] = {}

    def end(self, tally: Tally) -> Window:
        """Take in a window that has ended, and return what became of the units in it."""
        died, revived = {}, {}
        sites = self._named(tally)
        for name, (_, _, active) in sites.items():
            now = np.equal(active, 0)
            before = self.dead.get(name, now)
            if (now & ~before).any():
                died[name] = np.flatnonzero(now & ~before).astype(np.int32)
            if (before & ~now).any():
                revived[name] = np.flatnonzero(before & ~now).astype(np.int32)
            self.dead[name] = now
        seen = {name: samples for name, (_, samples, _) in sites.items()}
        dead = {name: int(self.dead[name].sum()) for name in sites}
        window = Window(len(self.history) + 1, tally.batches, seen, dead, died, revived)
        self.history.append(window)
        return window

    def _named(self, tally: Tally) -> dict[str, tuple[Site, int, Counts]]:
        """Return the sites by the names that they first went by, whatever other processes call them since."""
        named = {}
        for key, (site, samples, active) in tally.sites.items():
            if key not in self._names:
                self._names[key] = site.named(self.sites).name
            name = self._names[key]
            self.sites[name] = site = replace(site, name=name)
            named[name] = site, samples, active
        return named

    def headline(self) -> str:
        """Return how many units were dead in the last window, of the sites that were met in it."""
        last = self.history[-1]
        if not last.seen:
            return f"in window {last.number}, no activation was met whose units can die"
        dead, units = sum(last.dead.values()), sum(self.sites[name].units for name in last.dead)
        fewest = min(last.seen.values())
        samples = counted(last.samples, "sample")
        samples = samples if fewest == last.samples else f"the {fewest:,} to {samples} that each has seen"
        text = f"in window {last.number}, {dead} of {counted(units, 'unit')} dead on all of {samples}"
        if not dead:
            return text
        return f"{text} (at 95 % confidence each is active on at most {100 * last.bound:.2g} % of inputs)"

    def table(self) -> Iterator[str]:
        """Yield the lines of a table of the sites with the most dead units in the last window, the worst first."""
        last = self.history[-1]
        worst = sorted(self.sites, key=lambda name: -last.dead.get(name, -1))  # those that were not met, last
        if not worst:
            return
        width = min(max(map(len, ["site", *map(plain, worst[:_ROWS])])), 36)
        yield f"{'site':{width}} {'units':>7} {'samples':>7} {'dead':>7} {'deaths':>7} {'revivals':>8}"
        for name in worst[:_ROWS]:
            deaths, revivals = (
                sum(len(getattr(window, kind).get(name, ())) for window in self.history) for kind in ("died", "revived")
            )
            short = plain(name) if len(name) <= width else f"…{plain(name)[1 - width :]}"
            units, seen, dead = self.sites[name].units, last.seen.get(name, 0), last.dead.get(name, NOTHING)
            yield f"{short:{width}} {units:7} {seen:7} {dead:>7} {deaths:7} {revivals:8}"
        if len(worst) > _ROWS:
            yield f"… and {counted(len(worst) - _ROWS, 'site')} more"
