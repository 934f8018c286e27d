"""A conversion on a terminal: a line for each site, changed or left, 80 columns wide."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leaky.conversion import Change, Conversion, Drift
from leaky.inputs.models import is_network
from leaky.report import words

# Characters of the longest names of sites, and of what was written there.
_NAME, _FORM = 28, 16

_FAR = "They moved by more than their own size: this network has to be trained on before it is used. "
_TRAINED_ON = "Start at slope 0 and raise it (leaky.torch.SlopeSchedule), or stay with ReLU and revive the dead units (leaky.revive)."
_ELSEWHERE = "An ONNX model is not: convert the network that it was made of, train that on, and export it again."


def show_conversion(conversion: Conversion, console: Console) -> None:
    """Print what changed, what was left and why, how far the outputs moved, and what else there is to say."""
    if conversion.changes:
        console.print(_changes(conversion.changes))
        console.print()
    if conversion.left:
        console.print(_left(conversion))
        console.print()
    console.print(Text(conversion.headline, style="bold"))
    for when, drift in (("", conversion.drift), ("after recalibrating BatchNorm, ", conversion.recalibrated)):
        if drift is not None:
            console.print(Text(f"Outputs {when}{_moved(drift)}"))
    last = conversion.recalibrated or conversion.drift
    if last is not None and last.mean > last.scale:
        advice = _TRAINED_ON if is_network(conversion.model) else _ELSEWHERE
        console.print(Text(_FAR + advice, style="bold"))
    for note in conversion.notes:
        console.print(Text(words.plain(note), style="dim"))


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _changes(changes: tuple[Change, ...]) -> Table:
    rescaled = any(change.rescaled for change in changes)
    table = _table("site", "was", "is", *(["weights before"] if rescaled else []))
    for change in changes:
        row = [*_place(change.site, change.form), Text(words.plain(change.after))]
        if rescaled:
            row.append(Text(f"× {words.number(change.rescaled[1])}" if change.rescaled else ""))
        table.add_row(*row)
    return table


def _left(conversion: Conversion) -> Table:
    table = _table("left", "is", "because")
    for left in conversion.left:
        table.add_row(*_place(left.site, left.form), Text(words.plain(left.reason)))
    return table


def _place(site: str, form: str) -> list[Text]:
    # A name in brackets is no markup.
    return [Text(words.shorten(site, _NAME)), Text(words.shorten(form, _FORM))]


def _moved(drift: Drift) -> str:
    name = f" ({words.shorten(drift.output)})" if drift.output else ""
    text = (
        f"on {words.counted(drift.samples, 'sample')}{name}: moved by {words.number(drift.mean)} on average, "
        f"{words.number(drift.largest)} at most; their size is {words.number(drift.scale)} on average"
    )
    return (
        f"{text}; the largest is the same one on {words.share(drift.agreement)}."
        if drift.agreement is not None
        else f"{text}."
    )
