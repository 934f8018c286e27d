"""Numbers and names as they are written in the report, besides those that the verdicts write too."""

from __future__ import annotations

from collections.abc import Sequence

from leaky.wording import (
    NOTHING,
    counted,
    difference,
    listing,
    minus,
    number,
    p_value,
    plain,
    power,
    ranges,
    score,
    share,
    span,
    three_digits,
)

__all__ = [
    "CONVERT",
    "NOTHING",
    "brief",
    "counted",
    "difference",
    "duration",
    "elements",
    "figure",
    "interval",
    "listed",
    "listing",
    "milliseconds",
    "number",
    "p_value",
    "plain",
    "power",
    "ranges",
    "ratio",
    "score",
    "share",
    "shorten",
    "span",
    "spread",
]

#: the command that converts a network, where nobody knows how it was checked
CONVERT = "leaky convert MODEL -o OUT --slope 0.1"


def spread(mean: float | None, deviation: float | None, metric: str) -> str:
    """Return mean and standard deviation: ``94.2 ± 0.4 %``."""
    if mean is None or deviation is None:
        return score(mean, metric)
    return f"{score(mean, metric).removesuffix(' %')} ± {score(deviation, metric)}"


def interval(low: float | None, high: float | None, metric: str) -> str:
    """Return the ends of an interval of differences: ``[+0.3, +2.2]``."""
    if low is None or high is None:
        return ""
    return f"[{difference(low, metric, unit=False)}, {difference(high, metric, unit=False)}]"


def brief(value: float, metric: str, *, signed: bool = False) -> str:
    """Return a value of the metric, or a difference, with the digits it needs: for the numbers along an axis."""
    shown = 100 * value if metric == "accuracy" else value
    sign = "+" if signed and shown > 0 else ""
    return sign + minus(f"{shown:.4g}") + (" %" if metric == "accuracy" and not signed else "")


def milliseconds(seconds: float) -> str:
    """Return a time in milliseconds: ``0.93 ms``."""
    return f"{three_digits(1000 * seconds)} ms"


def listed(values: Sequence[object], most: int = 20) -> str:
    """Return values in a row, the middle left out where there are more than ``most``."""
    texts = [plain(str(value)) for value in values]
    return ", ".join(texts if len(texts) <= most else [*texts[: most - 2], "…", texts[-1]])


def shorten(name: str, length: int = 22) -> str:
    """Return a name as plain text that fits beside a figure, its middle left out where it is too long."""
    text = plain(name)
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def elements(count: int) -> str:
    """Return a number of elements, in binary thousands and millions where it is a whole number of them: ``64 Ki``."""
    for unit, name in ((1 << 20, "Mi"), (1 << 10, "Ki")):
        if count % unit == 0 and count:
            return f"{count // unit} {name}"
    return f"{count:,}"


def ratio(value: float) -> str:
    """Return how many times as fast: two digits behind the point below 10, one below 100; below 0.1 two that tell."""
    if value < 0.0995:
        return f"{value:.2g}"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def figure(value: float | str | None) -> str:
    """Return whatever was measured: a text as it is, whole numbers whole, others with three digits."""
    if isinstance(value, str):
        return plain(value)
    return minus(f"{value:,}") if isinstance(value, int) else "0" if value == 0 else number(value)


def duration(seconds: float) -> str:
    """Return a time with three digits: ``0.12 µs``, ``2.41 ms``, ``1.5 s``."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.2g} µs"
