"""What a check returns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from leaky.checkup import rules
from leaky.checkup.finding import Finding
from leaky.checkup.names import named_alike
from leaky.checkup.seen import Bools, Layer, Seen
from leaky.evidence import Evidence, Site
from leaky.exact_sum import ExactSum
from leaky.inputs.arguments import several
from leaky.wording import counted, plain, share, shown

if TYPE_CHECKING:
    from leaky.inputs.feeding import Call

#: rows of the table that ``print`` shows
_ROWS = 30


@dataclass(frozen=True, repr=False)
class Check:
    """What was seen of a network's units, and what is to be said of them; ``print`` shows a table."""

    #: what the network is called: its class, or its file
    model: str
    #: on which it was run
    samples: int
    #: by name, in order of the forward pass
    sites: dict[str, Seen]
    #: the network's inputs, each channel or feature a unit; None where they are no numbers to speak of (token ids)
    inputs: Evidence | None = None
    #: what could not be looked at, and why
    notes: tuple[str, ...] = ()
    #: whether gradients of a loss were computed
    loss: bool = False
    #: False for a network as it is before training
    trained: bool = True
    #: of all inputs for which units are proved dead
    input_range: tuple[float, float] | None = None
    #: the first number in the inputs that is NaN or infinite, and where; "" if all are finite
    nonfinite_input: str = ""
    #: the first of the samples, as the network is called with them: to follow it once more. PyTorch networks only
    example: Call | None = field(default=None, compare=False)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What the rules complain about: problems first, then remarks, each in order of the forward pass."""
        found = [finding for findings in self.verdicts.values() for finding in findings or ()]
        order = {name: place for place, name in enumerate(self.sites)}
        return tuple(sorted(found, key=lambda f: (f.severity == "remark", order.get(f.site or "", -1), f.code)))

    @cached_property
    def verdicts(self) -> dict[rules.Rule, tuple[Finding, ...] | None]:
        """What each rule found; None where it does not apply, such as gradients without a loss."""
        return {rule: rule.look(self) for rule in rules.RULES}

    @property
    def judged(self) -> dict[str, Seen]:
        """The sites that the rules look at: all but those that are no activations."""
        return {name: seen for name, seen in self.sites.items() if seen.site.judged}

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that are more than remarks."""
        return tuple(f for f in self.findings if f.severity == "problem")

    @property
    def worst(self) -> tuple[Finding, ...]:
        """The findings, those first that concern the network as a whole or most of a site's units."""
        return tuple(sorted(self.findings, key=lambda f: (f.severity == "remark", -f.extent)))

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        samples = counted(self.samples, "sample")
        if not self.judged:
            return f"No activation sites were seen on {samples}."
        units = sum(seen.site.units for seen in self.judged.values())
        dead = sum(int(seen.dead.sum()) for seen in self.judged.values())
        where = f"{dead:,} of {counted(units, 'unit')} at {counted(len(self.judged), 'site')}"
        problems, remarks = len(self.problems), len(self.findings) - len(self.problems)
        says = f"{'is' if dead == 1 else 'are'} dead on {samples}"
        return f"{where} {says}; {counted(problems, 'problem')} and {counted(remarks, 'remark')}."

    def __repr__(self) -> str:
        names = [plain(name) for name in self.judged]
        width = max(map(len, ["site", *names[:_ROWS]]))
        width = min(width, 44)
        lines = [
            plain(f"{self.model}: {self.headline}"),
            f"{'site':{width}} {'units':>7} {'dead':>6} {'rare':>6} {'active':>9}",
        ]
        for name, seen in zip(names[:_ROWS], self.judged.values(), strict=False):
            short = name if len(name) <= width else f"…{name[1 - width :]}"
            counts = f"{seen.site.units:7} {int(seen.dead.sum()):6} {int(seen.rare.sum()):6}"
            lines.append(f"{short:{width}} {counts} {share(seen.active):>9}")
        if len(names) > _ROWS:
            lines.append(f"… and {len(names) - _ROWS} more")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain JSON types, no NaN or infinity among them: those become None."""
        return {
            "model": self.model,
            "headline": self.headline,
            "ok": self.ok,
            "samples": self.samples,
            "loss": self.loss,
            "trained": self.trained,
            "input_range": json_types(self.input_range),
            "notes": list(self.notes),
            "findings": [json_types({**asdict(f), "cause": f.cause}) for f in self.findings],
            "sites": [
                {
                    **json_types(_described(seen.site)),
                    "bound": seen.bound,
                    "evidence": _evidence(seen.evidence, self.loss),
                }
                | ({"proved_dead": np.flatnonzero(seen.proved).tolist()} if seen.proved is not None else {})
                for seen in self.sites.values()
            ],
        }


def merge(checks: Iterable[Check]) -> Check:
    """Return one check of what several have seen: shards of one data set, checked apart.

    The counts and sums are exactly those of a single check of all batches, in whatever order they are merged. Units are
    still proved dead only if all were checked with the same ``input_range``. Checks travel by ``pickle``, between processes
    of one version of leaky.

    Raises:
        ValueError: there is none, or they are of different networks, or of one before and after training.
        TypeError: they are no checks.
    """
    given = several("checks", checks, "a list of what leaky.check returns")
    for each in given:
        if not isinstance(each, Check):
            raise TypeError(f"checks: {shown(each)} is among them; expected what leaky.check returns")
    if not given:
        raise ValueError("checks: none; expected at least one")
    checks = named_alike(given)
    order = _in_order([list(check.sites) for check in checks])
    whole = reduce(_merged, checks[1:], checks[0])
    return replace(whole, sites={name: whole.sites[name] for name in order})


def _in_order(orders: list[list[str]]) -> list[str]:
    """Return all names in an order that agrees with each of those given: a shard may not have reached every site.

    Where that leaves a choice, it goes by name, not by which comes first: Kahn's algorithm (1962).
    """
    if all(names == orders[0] for names in orders):
        return orders[0]
    before: dict[str, set[str]] = {name: set() for names in orders for name in names}
    for names in orders:
        for one, next_one in pairwise(names):
            before[next_one].add(one)
    order = []
    while before:
        # None is left before it, unless shards ran through the sites in different orders.
        name = min(before, key=lambda name: (len(before[name]), name))
        del before[name]
        order.append(name)
        for names_before in before.values():
            names_before.discard(name)
    return order


def _merged(one: Check, other: Check) -> Check:
    if one.model != other.model:
        raise ValueError(f"checks: of {one.model!r} and of {other.model!r}; expected checks of one network")
    if one.trained != other.trained:
        raise ValueError("checks: of a trained network and of an untrained one; expected checks of one network")
    same = one.input_range == other.input_range
    notes = dict.fromkeys((*one.notes, *other.notes))
    if not same:
        notes["Proofs are left out: the parts were checked for different ranges of inputs."] = None
    sites = {
        name: _both(one.sites.get(name), other.sites.get(name), proofs=same)
        for name in dict.fromkeys((*one.sites, *other.sites))
    }
    inputs = None
    if one.inputs is not None and other.inputs is not None and one.inputs.units == other.inputs.units:
        inputs = _summed(one.inputs, other.inputs)
    return replace(
        one,
        samples=one.samples + other.samples,
        sites=sites,
        inputs=inputs,
        notes=tuple(notes),
        loss=one.loss and other.loss,
        input_range=one.input_range if same else None,
        nonfinite_input=one.nonfinite_input or other.nonfinite_input,
    )


def _both(one: Seen | None, other: Seen | None, *, proofs: bool) -> Seen:
    """Return what two checks saw at one site; a shard may not have reached it."""
    if one is None or other is None:
        seen = one or other
        assert seen is not None
        return seen if proofs else replace(seen, proved=None)
    if one.site.units != other.site.units or one.site.kind != other.site.kind:
        raise ValueError(
            f"checks: {one.site.name!r} is {one.site.kind} with {one.site.units} units in one and {other.site.kind} with "
            f"{other.site.units} in another; expected checks of one network"
        )
    proved: Bools | None = None
    if proofs and one.proved is not None and other.proved is not None:
        proved = one.proved & other.proved
    return replace(one, evidence=_summed(one.evidence, other.evidence), layer=_one_layer(one, other), proved=proved)


def _one_layer(one: Seen, other: Seen) -> Layer | None:
    """Return the layer that feeds a site, out of two checks of it."""
    if one.layer is None or other.layer is None:
        return one.layer or other.layer
    if not one.layer.resembles(other.layer):
        raise ValueError(f"checks: the weights before {one.site.name!r} differ; expected checks of one network")
    return one.layer if one.layer.by_input is not None else other.layer


def _summed(one: Evidence, other: Evidence) -> Evidence:
    both = Evidence(one.units)
    both.merge(one)
    both.merge(other)
    return both


def _described(site: Site) -> dict[str, Any]:
    return {name: value for name, value in asdict(site).items() if name != "key"}


_COUNTS = ("samples", "positions", "active_samples", "active_positions", "low", "high", "nonfinite")
_NUMBERS = ("smallest", "largest", "mean", "spread", "share", "total", "total_squares", "total_positive")
_GRADIENT = ("gradient", "gradient_positions")


def _evidence(evidence: Evidence, loss: bool) -> dict[str, Any]:
    """Return the numbers of each unit."""
    numbers = {name: getattr(evidence, name) for name in (*_COUNTS, *_NUMBERS, *(_GRADIENT if loss else ()))}
    return {name: json_types(v.value() if isinstance(v, ExactSum) else v) for name, v in numbers.items()}


def json_types(value: Any) -> Any:
    """Return the value in plain JSON types."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: json_types(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_types(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
