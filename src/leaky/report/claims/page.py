"""The report on the statements: one HTML file with an index by verdict and a section for each."""

from __future__ import annotations

from markupsafe import Markup

from leaky.claims import Answer, Claims
from leaky.claims.answer import VERDICTS, Verdict
from leaky.report import function, svg
from leaky.report.claims.plot import draw
from leaky.report.rendering import render
from leaky.wording import counted, listing

#: each verdict's class in the style sheet and its sign, for those who see no colours
BADGES: dict[Verdict, tuple[str, str]] = {
    "holds": ("better", "✓"),
    "holds only when": ("partly", "◐"),
    "does not hold here": ("worse", "✗"),
    "not shown": ("open", "?"),
    "defined": ("given", "="),
}

#: what is shown of those that are defined, by leaky's own plots
_SLOPE = 0.05
_FUNCTION = {"S3": function.derivative, "S4": function.value}


def render_claims(claims: Claims, *, command: str) -> str:
    """Return the report as the text of one HTML file.

    Args:
        claims: what to report.
        command: the command line that repeats it.
    """
    return render(
        "claims.html",
        claims=claims,
        command=command,
        lead=lead(claims),
        index=[(v, found) for v in VERDICTS if (found := [a for a in claims.answers if a.verdict == v])],
        badges=BADGES,
        texts={statement.id: statement.text for statement in claims.statements},
        both=list(zip(claims.statements, claims.answers, strict=True)),
        figures={answer.id: _figures(answer) for answer in claims.answers},
    )


def lead(claims: Claims) -> str:
    """Return how many statements were tested and what became of them, in a sentence."""
    tested: list[Verdict] = [answer.verdict for answer in claims.answers if answer.verdict != "defined"]
    if not tested:
        return f"{counted(len(claims.answers), 'definition')}, and no statement to test."
    words: dict[Verdict, tuple[str, str]] = {
        "holds": ("holds", "hold"),
        "holds only when": ("holds on a condition", "hold on a condition"),
        "does not hold here": ("does not hold here", "do not hold here"),
        "not shown": ("is not shown", "are not shown"),
    }
    parts = [f"{n} {words[v][n != 1]}" for v in words if (n := tested.count(v))]
    return (
        f"Of {counted(len(tested), 'statement')} that {'was' if len(tested) == 1 else 'were'} tested, {listing(parts)}."
    )


def _figures(answer: Answer) -> list[Markup]:
    """Return the figures of an answer as SVG, which is escaped already."""
    drawn = [_FUNCTION[answer.id](_SLOPE)] if answer.id in _FUNCTION else []
    drawn += [draw(plot) for plot in answer.plots]
    return [Markup(svg.inline(figure, f"{answer.id}-{n}")) for n, figure in enumerate(drawn)]
