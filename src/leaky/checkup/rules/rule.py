"""What every rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from leaky.checkup.finding import Finding, Severity
from leaky.checkup.seen import Bools, Seen
from leaky.wording import counted, share

if TYPE_CHECKING:
    from leaky.checkup.result import Check

#: below this many samples, the bound of a unit that was never active is above 3 %: too weak to act on
FEW_SAMPLES = 100


class Rule(ABC):
    """A rule: its code, its title, and in the docstring of its class, after the first line, the remedy."""

    code: ClassVar[str]
    title: ClassVar[str]

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return " ".join((type(self).__doc__ or "").partition("\n\n")[2].split())

    @abstractmethod
    def look(self, check: Check) -> tuple[Finding, ...] | None:
        """Return what the check shows of this kind; None where the rule does not apply to it."""

    def finding(
        self, severity: Severity, text: str, seen: Seen | None = None, units: Bools | None = None, **more: Any
    ) -> Finding:
        """Return a finding of this rule; without ``units`` it is the site as a whole, without ``seen`` the network."""
        return Finding(
            code=self.code,
            title=self.title,
            severity=severity,
            site=seen.site.name if seen else None,
            units=() if units is None else tuple(np.flatnonzero(units).tolist()),
            of=seen.site.units if seen else 0,
            text=text,
            remedy=self.remedy,
            **more,
        )


class SiteRule(Rule):
    """A rule that looks at one site at a time."""

    def look(self, check: Check) -> tuple[Finding, ...] | None:
        """Return what is found at the sites, at most one finding each."""
        return tuple(found for seen in check.judged.values() for found in self._look_at(seen, check))

    @abstractmethod
    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        """Yield the finding at one site, if there is one."""


def some_of(units: Bools) -> str:
    """Return how many units: ``3 of 64 units``, ``all 64 units``, ``the only unit``."""
    count, of = int(units.sum()), len(units)
    if of == 1:
        return "the only unit"
    return f"all {of:,} units" if count == of else f"{count:,} of {counted(of, 'unit')}"


def doubt(seen: Seen) -> str:
    """Return what is to be said where the samples are few; else nothing."""
    samples = seen.evidence.samples
    if samples >= FEW_SAMPLES:
        return ""
    return f" {counted(samples, 'sample')}: weak evidence. With 300, the bound is 1 % instead of {share(seen.bound)}."
