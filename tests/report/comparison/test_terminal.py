from __future__ import annotations

import io

from rich.console import Console

from leaky.comparison import Comparison
from leaky.report.comparison.terminal import show


def shown(comparison: Comparison) -> str:
    stream = io.StringIO()
    show(comparison, Console(file=stream, width=80, highlight=False))
    return stream.getvalue()


def test_every_shape_fits(shape: Comparison) -> None:
    lines = shown(shape).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("±" in line for line in lines)


def test_names_are_text(hostile: Comparison) -> None:
    text = shown(hostile)
    assert any(line.startswith("[/x] [bold]y ") for line in text.splitlines())
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_the_same_advice_is_given_once(few: Comparison, small: Comparison) -> None:
    text = " ".join(shown(few).split())
    assert len(few.verdicts) == 2
    assert text.count("Too few seeds") == 1
    assert "tanh and gelu: Too few seeds to tell: at least 5 are needed." in text
    assert "verdicts for all 2 (Holm)" in text
    assert len(small.verdicts) == 1
    assert "(Holm)" not in shown(small)
