"""Numbers and names as they are written in the report, besides those that the verdicts write too."""

from __future__ import annotations

from collections.abc import Sequence

from leaky.wording import counted, difference, p_value, plain, score

__all__ = [
    "brief",
    "counted",
    "difference",
    "duration",
    "elements",
    "interval",
    "listed",
    "milliseconds",
    "number",
    "p_value",
    "plain",
    "power",
    "ratio",
    "score",
    "share",
    "shorten",
    "spread",
]

#: stands where a number does not exist
NOTHING = "–"
MINUS = "\N{MINUS SIGN}"

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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
    return sign + _signed(f"{shown:.4g}") + (" %" if metric == "accuracy" and not signed else "")


def share(value: float | None) -> str:
    """Return a share in percent, to a tenth, and never 0 % for what is more than none nor 100 % for less than all."""
    if value is None:
        return NOTHING
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f} %" if 0 < value < 1 else f"{100 * value:.0f} %"


def number(value: float | None) -> str:
    """Return a number of any size in three significant digits: ``0.873``, ``42.0``, ``3.2·10⁻⁷``."""
    if value is None:
        return NOTHING
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return _signed(_three(value))
    digits, exponent = f"{value:.1e}".split("e")
    return _signed(f"{digits}·{power(int(exponent))}")


def milliseconds(seconds: float) -> str:
    """Return a time in milliseconds: ``0.93 ms``."""
    return f"{_three(1000 * seconds)} ms"


def listed(values: Sequence[object], most: int = 20) -> str:
    """Return values in a row, the middle left out where there are more than ``most``."""
    texts = [plain(str(value)) for value in values]
    return ", ".join(texts if len(texts) <= most else [*texts[: most - 2], "…", texts[-1]])


def _three(value: float) -> str:
    """Return three significant digits."""
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")


def _signed(text: str) -> str:
    """Return the number's text with a true minus sign, and without one on a zero."""
    return text.removeprefix("-") if not text.strip("-0.") else text.replace("-", MINUS, 1)


def shorten(name: str, length: int = 22) -> str:
    """Return a name as plain text that fits beside a figure, its middle left out where it is too long."""
    text = plain(name)
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def power(exponent: int) -> str:
    """Return a power of ten: ``10⁻³``."""
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def elements(count: int) -> str:
    """Return a number of elements, in binary thousands and millions where it is a whole number of them: ``64 Ki``."""
    for unit, name in ((1 << 20, "Mi"), (1 << 10, "Ki")):
        if count % unit == 0 and count:
            return f"{count // unit} {name}"
    return f"{count:,}"


def ratio(value: float) -> str:
    """Return how many times as fast: two digits behind the point below 10, one below 100."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Return a time with three digits: ``0.12 µs``, ``2.41 ms``, ``1.5 s``."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.2g} µs"
