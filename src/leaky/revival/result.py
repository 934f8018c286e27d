"""What a revival returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from leaky.checkup.finding import name_units
from leaky.wording import counted, listing, plain, share


@dataclass(frozen=True)
class Revived:
    """Units of one site that were made anew."""

    site: str
    units: tuple[int, ...]
    #: path of the layer whose rows were drawn, and of the normalisations after it whose channels were set anew
    layer: str
    norms: tuple[str, ...]
    #: paths of the layers that read the units, whose weights on them are 0 now
    readers: tuple[str, ...]
    #: the mean over the units of the share of positions, in the data that they were drawn on, at which one is active now
    active: float


@dataclass(frozen=True)
class Unrevived:
    """Units of one site that stay as they were, and why."""

    site: str
    units: tuple[int, ...]
    reason: str


@dataclass(frozen=True, repr=False)
class Revival:
    """Which units of a network were revived, and which were not; ``print`` shows a table."""

    revived: tuple[Revived, ...]
    left: tuple[Unrevived, ...] = ()
    #: on which the outputs were compared, and found the same to the last bit
    samples: int = 0
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        count, kept = (sum(len(each.units) for each in group) for group in (self.revived, self.left))
        text = f"{counted(count, 'unit')} revived, {kept:,} left"
        return f"{text}; the same outputs on {counted(self.samples, 'sample')}." if count else f"{text}."

    def __repr__(self) -> str:
        rows = [
            (
                r.site,
                name_units(r.units),
                f"revived: {listing([*r.norms, r.layer][::-1])} → {listing([*r.readers])}, active {share(r.active)}",
            )
            for r in self.revived
        ]
        rows += [(kept.site, name_units(kept.units), f"left: {kept.reason}") for kept in self.left]
        width = min(max((len(plain(row[0])) for row in rows), default=0), 44)
        lines = [f"{plain(a):{width}} {plain(b):16} {plain(c)}" for a, b, c in rows]
        return "\n".join([self.headline, *lines, *map(plain, self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "headline": self.headline,
            "revived": [asdict(each) for each in self.revived],
            "left": [asdict(each) for each in self.left],
            "samples": self.samples,
            "notes": list(self.notes),
        }
