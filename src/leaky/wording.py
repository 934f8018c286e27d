"""How numbers and names are written for people, in sentences, tables and figures alike."""

from __future__ import annotations


def score(value: float | None, metric: str, digits: int = 1) -> str:
    """Write ``93.1 %`` for an accuracy of 0.931; R² as a plain number; a dash for none."""
    if value is None:
        return "–"
    number = f"{100 * value:.{digits}f} %" if metric == "accuracy" else f"{value:.{digits + 2}f}"
    return number.replace("-", "−")


def difference(value: float | None, metric: str, digits: int = 1, *, unit: bool = True) -> str:
    """Write ``+2.4 points`` for accuracies that differ by 0.024, with a true minus sign; a dash for none."""
    if value is None:
        return "–"
    number = f"{100 * value:+.{digits}f}" if metric == "accuracy" else f"{value:+.{digits + 2}f}"
    return number.replace("-", "−") + (" points" if unit and metric == "accuracy" else "")


def p_value(p: float | None) -> str:
    """Write ``p = 0.012``, ``p < 0.001``, or a dash for none."""
    if p is None:
        return "–"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def listing(names: list[str]) -> str:
    """Write ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Write a count with its noun: ``1 seed``, ``2 seeds``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def plain(name: str) -> str:
    """Return a name from user code as one line of printable text: no control characters, no change of direction."""
    return "".join(c for c in " ".join(name.split()) if c.isprintable())
