"""How numbers and names are written for people, in sentences, tables and figures alike."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

#: stands where a number does not exist
NOTHING = "–"
_MINUS = "\N{MINUS SIGN}"

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def score(value: float | None, metric: str, digits: int = 1) -> str:
    """Write ``93.1 %`` for an accuracy of 0.931; R² as a plain number; a dash for none."""
    if value is None:
        return NOTHING
    return minus(f"{100 * value:.{digits}f}") + " %" if metric == "accuracy" else minus(f"{value:.{digits + 2}f}")


def difference(value: float | None, metric: str, digits: int = 1, *, unit: bool = True) -> str:
    """Write ``+2.4 points`` for accuracies that differ by 0.024, with a true minus sign; a dash for none."""
    if value is None:
        return NOTHING
    number = f"{100 * value:+.{digits}f}" if metric == "accuracy" else f"{value:+.{digits + 2}f}"
    return minus(number) + (" points" if unit and metric == "accuracy" else "")


def p_value(p: float | None) -> str:
    """Write ``p = 0.012``, ``p < 0.001``, or a dash for none."""
    if p is None:
        return NOTHING
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def listing(names: list[str], last: str = "and") -> str:
    """Write ``a``, ``a and b``, ``a, b and c``."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Write a count with its noun: ``1 seed``, ``2 seeds``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


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
    """Return a number of any size in three significant digits: ``0.873``, ``42.0``, ``3.2·10⁻⁷``; a dash for none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return minus(three_digits(value))
    digits, exponent = f"{value:.1e}".split("e")
    return minus(f"{digits}·{power(int(exponent))}")


def power(exponent: int) -> str:
    """Return a power of ten: ``10⁻³``."""
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def span(low: float, high: float) -> str:
    """Write a range of inputs: ``from −1 to 0.5``."""
    return f"from {minus(f'{low:g}')} to {minus(f'{high:g}')}"


def three_digits(value: float) -> str:
    """Return three significant digits."""
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")


def minus(text: str) -> str:
    """Return the number's text with a true minus sign, and without any sign on a zero."""
    return text.lstrip("+-") if not text.strip("+-0.") else text.replace("-", _MINUS, 1)


def ranges(numbers: Iterable[int], most: int | None = None) -> str:
    """Write ascending whole numbers with runs drawn together: ``0–2, 7``; ``…`` after ``most`` of these pieces."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    pieces = ["–".join(str(end) for end in run) for run in runs]
    return ", ".join(pieces if most is None or len(pieces) <= most else [*pieces[:most], "…"])


def plain(name: str) -> str:
    """Return a name from user code as one line of printable text: no control characters, no change of direction."""
    return "".join(c for c in " ".join(name.split()) if c.isprintable())


def shown(value: Any) -> str:
    """Return a value as it stands in an error message, in one short line."""
    if getattr(value, "ndim", 0) and hasattr(value, "dtype"):
        return f"an array of {value.dtype}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
