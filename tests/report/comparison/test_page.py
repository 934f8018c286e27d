from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leaky.comparison.result import Comparison
from leaky.report import render_html

Read = Callable[[str], Any]


def test_every_shape_makes_a_sound_page(shape: Comparison, sound: Read) -> None:
    sound(render_html(shape, command="leaky compare"))


def test_names_are_text(hostile: Comparison, read: Read) -> None:
    command = "leaky compare '<script>&\"'"
    page = read(render_html(hostile, command=command))
    for name in ("<script>alert(1)</script>", "$x_$", "\"&'", "bell null [31mred", "desrever", "漢字 🎉"):
        assert name in page.text
    assert command in page.text


def test_same_bytes_every_time(small: Comparison) -> None:
    assert render_html(small, command="x") == render_html(small, command="x")


def test_contents_in_order(seven: Comparison, read: Read) -> None:
    page = read(render_html(seven, command="leaky compare digits-deep --seeds 10"))
    places = [
        page.text.index(part)
        for part in (
            seven.headline,
            seven.verdicts[0].sentence,
            seven.verdicts[-1].sentence,
            "The arms",
            "2 of 10",
            "Every seed",
            "Training loss",
            "Dead units",
            "Left out: sigmoid, tanh.",
            "At birth",
            "Largest activations",
            "α = 0.05",
            "How to read it",
            "leaky compare digits-deep --seeds 10",
            "Adam(lr=0.001)",
            "0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        )
    ]
    assert places == sorted(places[:3]) + places[3:]
    assert page.tags.count("svg") == 2 + 2 + 5 + 2 + 2
    assert all(label for label in page.all("aria-label"))
    assert page.all("lang") == ["en"]
    assert set(page.all("scope")) == {"col", "row"}
