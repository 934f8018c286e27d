"""A check on a terminal: a line for each site, and the worst findings, 80 columns wide."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from leaky.checkup import Check, Finding, Seen
from leaky.report import words

#: findings that are shown; the report has all
_WORST = 10
# Characters of the bar that shows the share of active positions, and of the longest site name.
_BAR, _NAME = 10, 34

_STYLE = {"problem": "bold red", "remark": "yellow"}


def show_check(check: Check, console: Console, *, then: str = words.CONVERT) -> None:
    """Print the table of sites, the headline, the worst findings, and what to do about them: the command ``then``."""
    if check.judged:
        console.print(_table(check))
        console.print(Text("active: share of positions above 0; rare: active on less than 1 % of samples", style="dim"))
        console.print()
    console.print(Text(words.plain(f"{check.model}: {check.headline}"), style="bold"))
    found = check.worst
    for finding in found[:_WORST]:
        _show(finding, console)
    if len(found) > _WORST:
        console.print(
            f"\n… and {words.counted(len(found) - _WORST, 'more finding')}; a report (--output) holds them all."
        )
    if remedies := {f"{f.code} {f.title}": f.remedy for f in found[:_WORST]}:
        console.print(Text("\nWhat to do", style="bold"))
        for title, remedy in remedies.items():
            console.print(Padding(Text.assemble((f"{title}: ", "bold"), remedy), (0, 0, 0, 2), expand=False))
    if any(seen.dead.any() for seen in check.judged.values()):
        console.print(Text("\nTo convert it:", style="dim"))
        console.print(Text(f"  {words.plain(then)}", style="dim"), soft_wrap=True)  # to be copied
    for note in (*check.notes, *_apart(check)):
        console.print(Text(words.plain(note), style="dim"))


def _apart(check: Check) -> list[str]:
    """Say which sites are not judged, and why."""
    return [
        f"not judged: {s.site.name} ({s.site.form}): {s.site.note}" for s in check.sites.values() if not s.site.judged
    ]


def _table(check: Check) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("site", overflow="fold")
    for heading in ("units", "dead", "rare"):
        table.add_column(heading, justify="right")
    table.add_column("active", no_wrap=True)
    for name, seen in check.judged.items():
        table.add_row(Text(words.shorten(name, _NAME)), *_row(seen))  # a name in brackets is no markup
    return table


def _row(seen: Seen) -> list[Text | str]:
    dead, rare = int(seen.dead.sum()), int(seen.rare.sum())
    share = seen.active
    full = round(_BAR * (share or 0.0))
    active = Text.assemble(("━" * full, "green"), ("─" * (_BAR - full), "dim"), f" {words.share(share):>7}")
    if seen.saturates:
        return [f"{seen.site.units:,}", words.NOTHING, words.NOTHING, active]
    return [f"{seen.site.units:,}", Text(f"{dead:,}", style="bold red" if dead else ""), f"{rare:,}", active]


def _show(finding: Finding, console: Console) -> None:
    units = f": {words.ranges(finding.units, 8)}" if finding.units and len(finding.units) < finding.of else ""
    site = words.shorten(finding.site, 40) if finding.site is not None else "the network"
    title = Text.assemble((f"{finding.code} {finding.title}", _STYLE[finding.severity]), f" · {site}{units}")
    console.print()
    console.print(title)
    console.print(Padding(Text(words.plain(finding.text)), (0, 0, 0, 2), expand=False))
    if finding.cause:
        console.print(Padding(Text(words.plain(f"Cause: {finding.cause}.")), (0, 0, 0, 2), expand=False))
