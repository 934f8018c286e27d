"""The units of a site, sorted into bands by how often they fire."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leaky.checkup.rules.activity import SATURATED
from leaky.checkup.seen import Bools, Seen


@dataclass(frozen=True)
class Band:
    """One colour of a strip: its name in the style sheet, and what it stands for."""

    name: str
    label: str


DEAD = Band("dead", "dead")
IDLE = Band("idle", "never active, but learns")
RARE = Band("rare", "active on < 1 % of samples")
LOW = Band("low", "at < 10 % of positions")
MIDDLE = Band("middle", "at 10 – 50 %")
HIGH = Band("high", "at > 50 %")
ALWAYS = Band("always", "always on")
STUCK = Band("stuck", "flat everywhere")
FLAT = Band("flat", "flat at ≥ 95 % of positions")
USED = Band("used", "in its range")

RECTIFIER = (DEAD, IDLE, RARE, LOW, MIDDLE, HIGH, ALWAYS)
SATURATING = (STUCK, FLAT, USED)


def bands(seen: Seen) -> list[tuple[Band, int]]:
    """Return how many units of the site are in each band that has any, those that fire least first."""
    left = np.ones(seen.site.units, bool)
    counts = {}
    for band, units in _members(seen).items():
        counts[band] = int((left & units).sum())
        left &= ~units
    return [(band, counts[band]) for band in (*RECTIFIER, *SATURATING) if counts.get(band)]


def _members(seen: Seen) -> dict[Band, Bools]:
    """Return the units of each band, but for those in a band before it."""
    everything = np.ones(seen.site.units, bool)
    if seen.saturates:
        return {STUCK: seen.beyond == 1, FLAT: seen.beyond >= SATURATED, USED: everything}
    share = seen.evidence.share
    return {
        DEAD: seen.dead,
        IDLE: seen.silent,
        RARE: seen.rare,
        ALWAYS: share == 1,
        HIGH: share > 0.5,
        MIDDLE: share >= 0.1,
        LOW: everything,
    }
