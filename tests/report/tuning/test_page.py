"""A tuning as a page and on a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from rich.console import Console

from leaky.comparison.result import Comparison
from leaky.report import render_tuning
from leaky.report.tuning.slopes import rows
from leaky.report.tuning.terminal import show_tuning
from leaky.tuning.layers import Layers

Tuned = Callable[..., Any]
Read = Callable[[str], Any]

#: the second seed is a lucky one, and 0.3 was not trained on it
SCORES: dict[float, list[float | None]] = {0.01: [0.80, 0.90], 0.1: [0.81, 0.91], 0.3: [0.82], 0.9: [0.7, None]}


def shown(tuning: Any) -> str:
    stream = io.StringIO()
    show_tuning(tuning, Console(file=stream, width=80, highlight=False))
    return stream.getvalue()


def test_rows_differ_by_slope_alone(tuned: Tuned) -> None:
    table = {row.slope: row for row in rows(tuned(SCORES))}
    assert list(table) == sorted(SCORES)
    means = {slope: row.mean for slope, row in table.items()}
    assert means[0.1] - means[0.01] > 0.009
    assert means[0.3] - means[0.1] > 0  # though their plain means are 0.82 and 0.86
    assert [row.trainings for row in table.values()] == [2, 2, 1, 2]
    assert table[0.3].deviation is None
    assert [row.said for row in table.values()].count("best") == 1
    assert "1 diverged" in table[0.9].said


def test_the_terminal(tuned: Tuned, small: Comparison) -> None:
    layers = Layers(("a", "b"), (0.1, 0.25), (0.2, 0.3), (), None, "accuracy")
    tuning = tuned(SCORES, confirmation=small, layers=layers)
    text = shown(tuning)
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    parts = (
        "digits: scores on data set aside",
        tuning.headline,
        tuning.bound,
        layers.headline,
        "0.1, 0.25",
        small.headline,
    )
    places = [words.index(part) for part in parts]
    assert places == sorted(places)


def test_a_sound_page(tuned: Tuned, small: Comparison, sound: Read) -> None:
    layers = Layers(("first", "<b>"), (0.1, 0.25), (0.2, 0.33), (), None, "accuracy")
    for tuning in (tuned(SCORES), tuned(SCORES, confirmation=small, layers=layers), tuned(SCORES, metric="r2")):
        page = sound(render_tuning(tuning, command="leaky tune"))
        assert tuning.headline in page.text
        assert tuning.bound in page.text
        assert ("Confirmed on fresh seeds" in page.text) == (tuning.confirmation is not None)
        assert ("learned by PReLU" in page.text) == (tuning.layers is not None)
    assert render_tuning(tuned(SCORES), command="x") == render_tuning(tuned(SCORES), command="x")


def test_names_are_text(tuned: Tuned, hostile_names: tuple[str, ...], sound: Read) -> None:
    name = "<script>alert(1)</script>"
    layers = Layers((*hostile_names,), tuple(0.1 + n / 10 for n in range(len(hostile_names))), (), (), None, "accuracy")
    tuning = tuned(SCORES, task=" ".join(hostile_names), recipe={name: name}, layers=layers)
    page = sound(render_tuning(tuning, command=f"leaky tune {name}"))
    assert name in page.text
    assert "\x1b" not in shown(tuning)
    assert "\x07" not in shown(tuning)
