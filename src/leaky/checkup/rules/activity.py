"""Units that are active, but hardly ever, always, weakly, or out of their range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from leaky.checkup.finding import Finding
from leaky.checkup.rules.rule import SiteRule, doubt, some_of
from leaky.checkup.seen import Bools, Seen
from leaky.wording import counted, share

if TYPE_CHECKING:
    from leaky.checkup.result import Check

# Sokar et al. 2023 call a unit dormant up to this score, and find the effect of its value small.
TAU = 0.025

# Beyond its limits the function passes at most 1 % of its largest derivative. With 95 % of positions there, about 6 % of
# the gradient is left on average.
SATURATED = 0.95


class RarelyActive(SiteRule):
    """A unit is active on less than 1 % of the samples, but on some.

    It may stand for something rare, or be about to die: see whether the number falls during training. A negative slope
    lets it learn from the other samples too.
    """

    code, title = "L005", "rarely active units"

    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        units = seen.rare & ~seen.learns
        if units.any():
            times = seen.evidence.active_samples[units]
            span = f"{times.min():,}" if times.min() == times.max() else f"{times.min():,} to {times.max():,}"
            verb = "was" if units.sum() == 1 else "were"
            text = f"{some_of(units).capitalize()} {verb} active on only {span} of the {counted(seen.evidence.samples, 'sample')}."
            numbers = {"samples": seen.evidence.samples, "least": int(times.min()), "most": int(times.max())}
            yield self.finding("remark", text, seen, units, numbers=numbers)


class Dormant(SiteRule):
    """A unit is active, but its output is at most 2.5 % of the site's mean (Sokar et al. 2023).

    It adds next to nothing, and what it learns is slow. In reinforcement learning and continual training, where dormant
    units pile up, start it anew from time to time (ReDo); elsewhere it can often be removed at little loss.
    """

    code, title = "L006", "dormant units"

    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        if seen.dormancy is None:
            return
        units: Bools = (seen.dormancy <= TAU) & ~seen.silent
        if units.any():
            most = float(seen.dormancy[units].max())
            have = "has" if units.sum() == 1 else "have"
            text = f"{some_of(units).capitalize()} {have} a mean output of at most {share(most)} of the site's mean."
            yield self.finding("remark", text, seen, units, numbers={"tau": TAU, "highest_score": most})


class AlwaysOn(SiteRule):
    """A unit is active everywhere: on these data it is linear, and its activation does nothing.

    That is no harm by itself, and usual behind a skip connection. Where a whole site is always on, its layer adds no
    depth: look for a bias that is too high, or inputs that are never negative.
    """

    code, title = "L007", "units that are always on"

    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        e = seen.evidence
        if seen.saturates or not e.positions:
            return
        units: Bools = (e.active_positions == e.positions) & (e.nonfinite == 0) & (e.low == 0) & (e.high == 0)
        if units.any():
            verb, it = ("was", "it") if units.sum() == 1 else ("were", "each")
            text = (
                f"{some_of(units).capitalize()} {verb} active at every position of the {counted(e.samples, 'sample')}; at 95 % "
                f"confidence {it} is off on at most {share(seen.bound)} of inputs like them."
            )
            yield self.finding(
                "remark", text + doubt(seen), seen, units, numbers={"samples": e.samples, "bound": seen.bound}
            )


class Saturated(SiteRule):
    """A unit lies on the flat part of its function at 95 % of positions or more: hardly any gradient passes.

    Its pre-activations are too large. Make the weights before it smaller (Glorot initialisation, weight decay,
    normalisation), normalise the inputs, or use a function that does not flatten. A gate that is meant to be open or
    shut may be right as it is.
    """

    code, title = "L008", "saturated units"

    def look(self, check: Check) -> tuple[Finding, ...] | None:
        """Return None for a network in which nothing flattens above."""
        flattens = any(math.isfinite(seen.site.limits[1]) for seen in check.judged.values())
        return super().look(check) if flattens else None

    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        units: Bools = np.asarray(seen.beyond >= SATURATED) & (seen.evidence.positions > 0)
        if units.any():
            stuck = seen.beyond == 1
            low, high = (f"{end:.3g}".replace("-", "−") for end in seen.site.limits)
            outside = f"below {low} or above {high}" if seen.saturates else f"above {high}"
            lies = "lies" if units.sum() == 1 else "lie"
            text = f"{some_of(units).capitalize()} {lies} {outside}, where hardly any gradient passes, "
            least = float(seen.beyond[units].min())
            text += "at every position" if least == 1 else f"at {share(least)} of positions or more"
            text += f"; {int(stuck.sum()):,} of them at every one." if least < 1 and stuck.any() else "."
            yield self.finding(
                "problem" if stuck.any() else "remark",
                text + doubt(seen),
                seen,
                units,
                numbers={"samples": seen.evidence.samples, "stuck": int(stuck.sum())},
            )
