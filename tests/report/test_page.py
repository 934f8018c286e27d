from __future__ import annotations

import re
from html.parser import HTMLParser

from leaky.comparison.result import Comparison
from leaky.report import render_html

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page, and fails where elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def test_every_shape_makes_a_sound_page(shape: Comparison) -> None:
    text = render_html(shape, command="leaky compare")
    page = Page(text)
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert "script" not in page.tags
    for name in ("href", "src", "xlink:href", "action", "data"):
        assert all(value.startswith(("#", "data:")) for value in page.all(name))
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert "@import" not in text
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert "nan" not in re.findall(r"\w+", page.text.lower())
    assert "None" not in page.text
    for label in page.all("aria-labelledby"):
        assert label in ids


def test_names_are_text(hostile: Comparison, hostile_names: tuple[str, ...]) -> None:
    command = "leaky compare '<script>&\"'"
    page = Page(render_html(hostile, command=command))
    for name in ("<script>alert(1)</script>", "$x_$", "\"&'", "bell null [31mred", "desrever", "漢字 🎉"):
        assert name in page.text
    assert command in page.text


def test_same_bytes_every_time(small: Comparison) -> None:
    assert render_html(small, command="x") == render_html(small, command="x")


def test_contents_in_order(seven: Comparison) -> None:
    page = Page(render_html(seven, command="leaky compare digits-deep --seeds 10"))
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
