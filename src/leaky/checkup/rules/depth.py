"""What goes wrong along the depth of a network."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from leaky.checkup import causes
from leaky.checkup.finding import Cause, Finding
from leaky.checkup.rules.rule import Rule, some_of
from leaky.checkup.seen import Bools
from leaky.wording import counted, number

if TYPE_CHECKING:
    from leaky.checkup.result import Check
    from leaky.evidence import Evidence

# With gradients a thousand times smaller, one learning rate cannot serve both ends: where the last layer takes a step,
# the first would need a thousand.
FACTOR = 1e3


class GradientRule(Rule):
    """What the rules about gradients share."""

    def look(self, check: Check) -> tuple[Finding, ...] | None:
        """Return None without a loss, with a single site, which has no depth, and with gradients that are not finite."""
        norms = {name: g for name, seen in check.judged.items() if (g := seen.gradient) is not None}
        told = check.loss and len(norms) > 1 and all(map(math.isfinite, norms.values()))
        return self._compare(norms, check) if told else None

    @abstractmethod
    def _compare(self, norms: dict[str, float], check: Check) -> tuple[Finding, ...]:
        """Return what the gradients at the first and the last site tell."""


class VanishingGradient(GradientRule):
    """The gradient at the first site is less than a thousandth of that at the last.

    The first layers hardly learn. Replace sigmoid and tanh by a rectifier with a negative slope, initialise for it, and
    add skip connections or normalisation.
    """

    code, title = "L009", "vanishing gradient"

    def _compare(self, norms: dict[str, float], check: Check) -> tuple[Finding, ...]:
        (first, early), *_, (last, late) = norms.items()
        if early * FACTOR >= late:
            return ()
        less = f"{number(late / early)} times less" if early else "nothing"
        text = f"Of the gradient at {last}, {number(late)} per sample, {less} arrives at {first}"
        text += f": {number(early)}." if early else "."
        numbers = {"first": early, "last": late}
        return (self.finding("problem", text, causes=causes.of_vanishing(check), numbers=numbers),)


class ExplodingGradient(GradientRule):
    """The gradient at the first site is more than a thousand times that at the last.

    Training will jump about or diverge. Initialise with smaller weights (He et al. 2015), put normalisation between the
    layers, or clip the gradient's norm.
    """

    code, title = "L010", "exploding gradient"

    def _compare(self, norms: dict[str, float], check: Check) -> tuple[Finding, ...]:
        (first, early), *_, (last, late) = norms.items()
        if early <= FACTOR * late or not late:
            return ()
        text = f"The gradient at {first} is {number(early)} per sample, {number(early / late)} times larger than at {last}."
        numbers = {"first": early, "last": late}
        return (self.finding("problem", text, causes=causes.of_growth(check), numbers=numbers),)


class ExplodingActivations(Rule):
    """Pre-activations grow more than a thousandfold from the first site to a later one.

    The output swings with the smallest change of the input, and half precision overflows at 65,504. Initialise with
    smaller weights (He et al. 2015) or put normalisation between the layers.
    """

    code, title = "L011", "exploding activations"

    def look(self, check: Check) -> tuple[Finding, ...] | None:
        """Return None with a single site, which has no depth."""
        sizes = {name: s for name, seen in check.judged.items() if (s := seen.size) is not None}
        if len(sizes) < 2:
            return None
        first, name = next(iter(sizes)), max(sizes, key=lambda name: sizes[name])
        if sizes[name] <= FACTOR * sizes[first] or not sizes[first]:
            return ()
        text = f"Pre-activations grow from {number(sizes[first])} (root mean square) at {first} to {number(sizes[name])} at {name}."
        numbers = {"first": sizes[first], "largest": sizes[name]}
        return (self.finding("problem", text, causes=causes.of_growth(check), numbers=numbers),)


class NotFinite(Rule):
    """Pre-activations are NaN or infinite, or else the gradients of the loss.

    Nothing after them can be trusted, and one step of training spreads them over the network. Look at the first site
    where they occur: at the inputs, at divisions, logarithms and half precision before it, and at the learning rate if
    weights are not finite.
    """

    code, title = "L012", "numbers that are not finite"

    def look(self, check: Check) -> tuple[Finding, ...] | None:
        """Return the sites where they occur; the first says where they come from."""
        if check.nonfinite_input and check.inputs is not None:
            return (self._data(check.nonfinite_input, check.inputs),)
        found: list[Finding] = []
        for seen in check.sites.values():
            units: Bools = seen.evidence.nonfinite > 0
            if not units.any():
                continue
            count, of = int(seen.evidence.nonfinite.sum()), seen.evidence.positions * seen.site.units
            text = f"{count:,} of {counted(of, 'pre-activation')} are NaN or infinite, in {some_of(units)}."
            why = f"they come from {found[0].site}, before it" if found else causes.of_nonfinite(seen, check)
            cause = Cause("not finite", tuple(np.flatnonzero(units).tolist()), why)
            found.append(
                self.finding("problem", text, seen, units, causes=(cause,), numbers={"count": count, "of": of})
            )
        return tuple(found) or self._gradients(check)

    def _data(self, first: str, inputs: Evidence) -> Finding:
        """Return one finding for all that comes of numbers in the data."""
        count = int(inputs.nonfinite.sum())
        others = f", and {counted(count - 1, 'other')}" if count > 1 else ""
        text = f"In the data: {first} (counted from 0){others}. What the network makes of them tells nothing."
        return self.finding("problem", text, numbers={"count": count})

    def _gradients(self, check: Check) -> tuple[Finding, ...]:
        """Return the last site that such gradients reach: backward passes come to it first."""
        reached = [seen for seen in check.sites.values() if not math.isfinite(seen.gradient or 0.0)]
        if not reached:
            return ()
        last = reached[-1]
        units: Bools = ~np.isfinite(last.evidence.gradient.value())
        before = f", and so it is at {counted(len(reached) - 1, 'site')} before it" if len(reached) > 1 else ""
        text = f"The gradient that arrives is NaN or infinite, in {some_of(units)}{before}."
        why = "it comes from what is after it: the loss, or a root, a division or a logarithm of 0"
        cause = Cause("not finite", tuple(np.flatnonzero(units).tolist()), why)
        return (self.finding("problem", text, last, units, causes=(cause,), numbers={"sites": len(reached)}),)
