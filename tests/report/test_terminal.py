from __future__ import annotations

import io

from rich.console import Console

from leaky.comparison import Comparison
from leaky.report.terminal import show


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
