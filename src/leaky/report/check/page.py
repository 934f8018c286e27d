"""The report of a check: one HTML file with a map of the network, the findings, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leaky.checkup import Check, Finding, Seen
from leaky.report import words
from leaky.report.check.bands import RECTIFIER, SATURATING, bands
from leaky.report.rendering import render

_WHY_CONVERT = (
    "Put Leaky ReLU in the places of its rectifiers, and see what changed (a network before training: --untrained):"
)
# A command, and why.
_COMPARE = (
    "leaky compare --task mine.py:task --activation 'leaky_relu(0.1)'",
    "Train your network with ReLU and with Leaky ReLU on the same seeds, and see whether the leak helps:",
)

# Rows of a table of units; a page of a hundred thousand rows is of no use to anyone.
_MOST_UNITS = 200


@dataclass(frozen=True)
class UnitRow:
    """What is told of one unit that something was found about."""

    site: str
    unit: int
    samples: int
    active: int
    largest: float
    mean: float
    spread: float
    bias: float | None
    cause: str


def render_check(check: Check, *, command: str, then: str = "") -> str:
    """Return the report as the text of one HTML file.

    Args:
        check: what to report.
        command: the command line that repeats it.
        then: the one that converts the network.
    """
    sites = check.judged.values()
    return render(
        "check.html",
        check=check,
        command=command,
        bands=bands,
        legends=[
            legend
            for legend, wanted in (
                (RECTIFIER, not all(s.saturates for s in sites)),
                (SATURATING, any(s.saturates for s in sites)),
            )
            if wanted
        ],
        found={rule: findings for rule, findings in check.verdicts.items() if findings},
        unit_rows=unit_rows,
        apart=[seen.site for seen in check.sites.values() if not seen.site.judged],
        most_units=_MOST_UNITS,
        next_commands=((then or words.CONVERT, _WHY_CONVERT), _COMPARE),
    )


def unit_rows(check: Check, findings: tuple[Finding, ...]) -> list[UnitRow]:
    """Return a row for each unit of the findings, up to the most that are shown."""
    rows: list[UnitRow] = []
    for finding in findings:
        if finding.site is not None and len(rows) < _MOST_UNITS:
            rows += _rows(check.sites[finding.site], finding)
    return rows[:_MOST_UNITS]


def _rows(seen: Seen, finding: Finding) -> Iterator[UnitRow]:
    e, layer = seen.evidence, seen.layer
    mean, spread = e.mean, e.spread
    causes = {unit: cause for cause in finding.causes for unit in cause.units}
    for unit in finding.units:
        yield UnitRow(
            site=seen.site.name,
            unit=unit,
            samples=e.samples,
            active=int(e.active_samples[unit]),
            largest=float(e.largest[unit]),
            mean=float(mean[unit]),
            spread=float(spread[unit]),
            bias=None if layer is None or layer.bias is None else float(layer.bias[unit]),
            cause=causes[unit].name if unit in causes else "",
        )
