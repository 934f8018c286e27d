"""The statements on a terminal: a line each, in 80 columns, and what was found."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leaky.claims import Claims
from leaky.report import words
from leaky.report.claims.page import lead

_STYLE = {"holds": "green", "holds only when": "yellow", "does not hold here": "red", "not shown": "", "defined": "dim"}

# Up to so many statements are told in full.
_FEW = 3


def show_claims(claims: Claims, console: Console) -> None:
    """Print a line for each statement; of few, what was found in full."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    # As much of each statement as leaves room for its number and the longest verdict.
    room = console.width - len("S22 ") - len(" does not hold here")
    for heading in ("", "statement", "verdict"):
        table.add_column(heading, no_wrap=True)
    for statement, answer in zip(claims.statements, claims.answers, strict=True):
        text = Text(words.plain(statement.text))
        text.truncate(max(room, 10), overflow="ellipsis")
        table.add_row(statement.id, text, Text(_short(answer.verdict), style=_STYLE[answer.verdict]))
    console.print(table)
    console.print()
    console.print(Text(lead(claims), style="bold"))
    if len(claims.answers) > _FEW:
        _show_conditions(claims, console)
        return
    for answer in claims.answers:
        console.print()
        said = answer.id if answer.verdict == "defined" else f"{answer.id} {answer.in_full}."
        console.print(Text(words.plain(said), style="bold"))
        for line in answer.code.splitlines():
            console.print(Text(f"    {line}"))
        console.print(Text(words.plain(answer.sentence)))
        if answer.reason:
            console.print(Text(words.plain(f"Probably so because: {answer.reason}")))
        if answer.table is not None:
            console.print(_table(answer.table.headings, answer.table.rows))


def _show_conditions(claims: Claims, console: Console) -> None:
    conditions = tuple((answer.id, answer.condition) for answer in claims.answers if answer.condition)
    if conditions:
        console.print()
        console.print(_table(("holds", "only when"), conditions))


def _short(verdict: str) -> str:
    return "holds only when …" if verdict == "holds only when" else verdict


def _table(headings: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(Text(words.plain(heading)))
    for row in rows:
        table.add_row(*(Text(words.plain(cell)) for cell in row))
    return table
