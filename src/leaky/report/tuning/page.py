"""The report of a tuning: one HTML file."""

from __future__ import annotations

from markupsafe import Markup

from leaky.report import svg
from leaky.report.comparison import dots
from leaky.report.rendering import render
from leaky.report.tuning.slopes import rows, score_over_slope
from leaky.tuning import Tuning


def render_tuning(tuning: Tuning, *, command: str) -> str:
    """Return the report as the text of one HTML file.

    Args:
        tuning: what to report.
        command: the command line that repeats it.
    """
    confirmation = tuning.confirmation
    confirmed = [] if confirmation is None else [dots.scores(confirmation), dots.differences(confirmation)]
    return render(
        "tuning.html",
        tuning=tuning,
        command=command,
        rows=rows(tuning),
        curve=Markup(svg.inline(score_over_slope(tuning), "curve")),
        confirmed=[Markup(svg.inline(figure, f"confirmed-{n}")) for n, figure in enumerate(confirmed)],
    )
