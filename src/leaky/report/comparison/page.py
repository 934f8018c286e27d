"""The report: one HTML file that holds all of a comparison and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from leaky.comparison.result import Comparison
from leaky.report import function, svg
from leaky.report.comparison import curves, dead, dots
from leaky.report.comparison.tally import Arm, arms, mean, rectifies
from leaky.report.look import looks
from leaky.report.rendering import render

#: the slope with which the function is drawn, large enough to be seen
SLOPE = 0.05


def render_html(comparison: Comparison, *, command: str) -> str:
    """Return the report as the text of one HTML file.

    Args:
        comparison: what to report.
        command: the command line that repeats it.
    """
    return render(
        "comparison.html",
        comparison=comparison,
        command=command,
        arms=arms(comparison),
        looks=looks(comparison.activations),
        smooth=[a for a in comparison.activations if not rectifies(a)],
        verdicts={v.activation: v for v in comparison.verdicts},
        figures=_figures(comparison),
        slope=SLOPE,
        rectifies=rectifies,
        site_rows=site_rows,
        variable=svg.variable,
    )


def _figures(comparison: Comparison) -> dict[str, list[Markup]]:
    """Return the figures of each section as SVG."""
    drawn: dict[str, list[Figure]] = {
        "scores": [dots.scores(comparison)] + ([dots.differences(comparison)] if comparison.verdicts else []),
        "learning": [curves.scores(comparison), curves.losses(comparison)],
        "dead": [dead.units(arm) for arm in arms(comparison) if rectifies(arm.activation) and arm.trials[0].sites],
        "gradients": [curves.gradients(comparison, after=after) for after in (False, True)],
        "function": [function.value(SLOPE), function.derivative(SLOPE)],
    }
    # Markup, because what stands in the figures is escaped already.
    return {
        section: [Markup(svg.inline(figure, f"{section}-{n}")) for n, figure in enumerate(figures)]
        for section, figures in drawn.items()
    }


Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class SiteRow:
    """What is told of one site of one arm: at birth, and after training."""

    name: str
    units: int
    #: mean share of dead units over the seeds
    dead: Ends
    #: mean share of outputs that are exactly 0
    zeros: Ends
    #: largest absolute output on any seed
    largest: Ends


def site_rows(arm: Arm) -> list[SiteRow]:
    """Return a row for each site of the arm, in order of the forward pass."""
    first = arm.trials[0]
    birth, after = [t.epochs[0] for t in arm.trials], [t.epochs[-1] for t in arm.finished]
    return [
        SiteRow(
            name,
            units,
            dead=(mean(e.dead[i] / max(units, 1) for e in birth), mean(e.dead[i] / max(units, 1) for e in after)),
            zeros=(mean(e.zeros[i] for e in birth), mean(e.zeros[i] for e in after)),
            largest=(_highest(e.largest[i] for e in birth), _highest(e.largest[i] for e in after)),
        )
        for i, (name, units) in enumerate(zip(first.sites, first.units, strict=True))
    ]


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
