"""What was found about a statement: the verdict, a sentence with numbers, and what its plots show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["holds", "holds only when", "does not hold here", "not shown", "defined"]

#: in the order in which the page lists them
VERDICTS: tuple[Verdict, ...] = ("does not hold here", "holds only when", "not shown", "holds", "defined")


@dataclass(frozen=True)
class Series:
    """One line, set of points or row of bars, with intervals where there are any."""

    #: the text of an activation gives it the colour that the activation has everywhere
    name: str
    #: numbers, or the names of categories, which are then the same in every series of the plot
    x: tuple[float, ...] | tuple[str, ...]
    #: ``None`` where there is no value
    y: tuple[float | None, ...]
    #: ends of the interval of each value
    low: tuple[float | None, ...] | None = None
    high: tuple[float | None, ...] | None = None
    kind: Literal["line", "points", "bars"] = "line"


@dataclass(frozen=True)
class Plot:
    """What the report draws."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    #: for those who cannot see it: what there is to see, with numbers
    description: str
    log_x: bool = False
    log_y: bool = False
    #: a value of y across the plot, such as that of the criterion
    mark: float | None = None


@dataclass(frozen=True)
class Table:
    """What is better read than seen."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Answer:
    """What was found about a statement."""

    id: str
    verdict: Verdict
    #: a sentence or two with the numbers that decide it; of a definition, the definition
    sentence: str
    #: on which it holds, to be read after "holds only when"
    condition: str = ""
    #: why it is probably so, where the statement fails or holds on a condition
    reason: str = ""
    #: what was measured, by name
    numbers: Mapping[str, float | str | None] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    table: Table | None = None
    #: a formula or a command, to be shown as it is
    code: str = ""

    def __post_init__(self) -> None:
        if bool(self.condition) != (self.verdict == "holds only when"):
            raise ValueError(f"condition: {self.condition!r}; expected one with 'holds only when', and with no other")

    @property
    def in_full(self) -> str:
        """The verdict with its condition."""
        return f"{self.verdict} {self.condition}".rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)
