"""What a rule has found at a site, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from leaky.wording import listing, ranges

Severity = Literal["problem", "remark"]


@dataclass(frozen=True)
class Cause:
    """Why some of a finding's units are as they are, as far as the numbers show it."""

    name: str
    units: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Finding:
    """One rule's complaint about one site, or about the network as a whole."""

    #: of the rule: ``L002``
    code: str
    title: str
    #: a problem harms or wastes; a remark is worth knowing
    severity: Severity
    #: name of the site; None where it is the whole network
    site: str | None
    #: the units concerned, ascending; empty where it is the site as a whole
    units: tuple[int, ...]
    #: units of the site
    of: int
    #: what was seen, with its numbers
    text: str
    remedy: str
    causes: tuple[Cause, ...] = ()
    #: the numbers that the finding rests on
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def cause(self) -> str:
        """The causes in one line."""
        if len(self.causes) == 1 and len(self.causes[0].units) == len(self.units):
            return self.causes[0].text
        return "; ".join(f"{name_units(c.units)}: {c.text}" if c.units else c.text for c in self.causes)

    @property
    def extent(self) -> float:
        """The share of the site's units that are concerned; 1 where it is the site or the network as a whole."""
        return len(self.units) / self.of if self.units else 1.0


def name_units(units: tuple[int, ...], most: int = 12) -> str:
    """Return units in words: ``unit 3``, ``units 0–2, 7``."""
    return f"{'unit' if len(units) == 1 else 'units'} {ranges(units, most)}"


def name_sites(names: list[str], most: int = 5) -> str:
    """Return names in a row, the rest as a count."""
    rest = len(names) - most
    return listing([*names[:most], f"{rest} more"] if rest > 0 else names)
