"""Units that are never active."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from leaky.checkup import causes
from leaky.checkup.finding import Finding, Severity
from leaky.checkup.rules.rule import SiteRule, doubt, some_of
from leaky.checkup.seen import Bools, Seen
from leaky.wording import counted, share, span

if TYPE_CHECKING:
    from leaky.checkup.result import Check


class Silence(SiteRule):
    """What the rules about silent units share."""

    severity: ClassVar[Severity] = "problem"

    def silence(self, seen: Seen, check: Check, units: Bools) -> Iterator[Finding]:
        """Yield the finding on units that were silent on all samples."""
        if not units.any():
            return
        samples = counted(seen.evidence.samples, "sample")
        were, it = ("was", "it") if units.sum() == 1 else ("were", "each")
        text = (
            f"{some_of(units).capitalize()} {were} active on none of the {samples}; at 95 % confidence {it} is active on "
            f"at most {share(seen.bound)} of inputs like them."
        )
        yield self.finding(
            self.severity,
            text + proved(seen, units) + doubt(seen),
            seen,
            units,
            causes=causes.of_silence(seen, units, check),
            numbers={"samples": seen.evidence.samples, "bound": seen.bound, "silent": int(units.sum())},
        )


class Dead(Silence):
    """A unit was active on no sample.

    A dead ReLU unit gets no gradient, so training on such data does not bring it back. Give it a negative slope (Leaky
    ReLU, 0.01 to 0.2) and train on; to keep units from dying, lower the learning rate or put normalisation before the
    activation. Left as it is, it can be removed: on such inputs the output stays the same.
    """

    code, title = "L003", "dead units"

    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        if check.trained and not is_dead_layer(seen):
            yield from self.silence(seen, check, seen.unproved)


class DeadAtBirth(Silence):
    """A unit was active on no sample before any training.

    It will not learn unless layers before it move. Initialise for the activation that is used (He et al. 2015: variance
    2 / ((1 + slope²) · inputs), biases 0), normalise the inputs, make narrow layers wider, or give the activation a
    negative slope: then no unit is born dead.
    """

    code, title = "L004", "units dead at birth"

    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        if not check.trained and not is_dead_layer(seen):
            yield from self.silence(seen, check, seen.unproved)


class SilentLeak(Silence):
    """A unit whose activation leaks was active on no sample.

    That is no harm by itself: it still learns, by the share of the gradient that leaks. On these samples it is linear; if
    many units are, the network is less than it could be: look for biases that are too low, and normalise the inputs.
    """

    code, title, severity = "L013", "silent units that leak", "remark"

    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        yield from self.silence(seen, check, seen.silent & seen.learns)


class ProvedDead(SiteRule):
    """A unit cannot be active, whatever the input in the range, and gets no gradient.

    No data in this range will ever change it, and no training step does, unless the layers before it move. Remove it, or
    replace the activation by one with a negative slope and train on.
    """

    code, title = "L002", "units proved dead"

    def look(self, check: Check) -> tuple[Finding, ...] | None:
        """Return nothing where nothing could be proved."""
        return None if check.input_range is None else super().look(check)

    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        if seen.proved is None or check.input_range is None:
            return
        stuck = seen.proved & ~seen.learns
        if not stuck.any():
            return
        are = "is" if stuck.sum() == 1 else "are"
        text = f"{some_of(stuck).capitalize()} {are} never active for any input {span(*check.input_range)}: proved by bounds on every layer."
        yield self.finding(
            "problem",
            text,
            seen,
            stuck,
            causes=causes.of_silence(seen, stuck, check),
            numbers={"low": check.input_range[0], "high": check.input_range[1], "proved": int(stuck.sum())},
        )


class DeadLayer(SiteRule):
    """All units of a site are dead: nothing gets through, neither signal nor gradient.

    What comes after sees a constant, and what comes before learns nothing through this site. Give the activation a slope
    below 0, initialise anew for it, and look at the learning rate and the scale of the inputs; a skip connection or
    normalisation before the activation keeps it from coming back.
    """

    code, title = "L001", "dead layer"

    def _look_at(self, seen: Seen, check: Check) -> Iterator[Finding]:
        if not is_dead_layer(seen):
            return
        dead = seen.dead
        text = f"Nothing gets through: {some_of(dead)} {'was' if dead.sum() == 1 else 'were'} active on none of the "
        text += f"{counted(seen.evidence.samples, 'sample')} (95 %: active on at most {share(seen.bound)} of inputs)."
        yield self.finding(
            "problem",
            text + proved(seen, dead) + doubt(seen),
            seen,
            dead,
            causes=causes.of_silence(seen, dead, check),
            numbers={"samples": seen.evidence.samples, "bound": seen.bound, "silent": int(dead.sum())},
        )


def proved(seen: Seen, units: Bools) -> str:
    """Return what is said of those of the units that are proved to be silent, or nothing."""
    known = units & (False if seen.proved is None else seen.proved)
    return f" {some_of(known).capitalize()} can never be, which is proved." if known.any() else ""


def is_dead_layer(seen: Seen) -> bool:
    """Return whether no unit of the site was active or gets a gradient."""
    return bool(seen.dead.all())
