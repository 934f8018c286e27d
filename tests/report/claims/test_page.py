"""The statements on a page and on a terminal, and whatever their answers draw."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from leaky.claims import Answer, Claims, Plot, Published, Series, Statement, Table
from leaky.report import render_claims, write_report
from leaky.report.claims.page import lead
from leaky.report.claims.plot import draw
from leaky.report.claims.terminal import show_claims

Read = Callable[[str], Any]

NAMES = ("relu", "leaky_relu(0.01)", "tanh")
SHAPES = {
    "lines": Plot("T", "x", "y", tuple(Series(n, (1.0, 2.0, 3.0), (1.0, 2.0, 3.0)) for n in NAMES), "Lines."),
    "a band": Plot("T", "x", "y", (Series("relu", (1.0, 2.0), (1.0, 2.0), (0.5, 1.0), (1.5, None)),), "A band."),
    "logarithmic": Plot(
        "T",
        "x",
        "y",
        tuple(Series(n, (1.0, 10.0, 1e4), (1e-9, None, 1e6)) for n in NAMES),
        "Decades.",
        log_x=True,
        log_y=True,
        mark=0.01,
    ),
    "nothing finite": Plot("T", "x", "y", (Series("relu", (1.0, 2.0), (None, None)),), "Nothing."),
    "bars": Plot("T", "", "%", tuple(Series(n, ("a", "b" * 50), (1.0, 0.0), kind="bars") for n in NAMES), "Bars."),
    "bars with ranges": Plot(
        "T", "", "%", (Series("relu", ("a", "b"), (1.0, 2.0), (0.5, 1.5), (1.5, 2.5), kind="bars"),), "Ranges."
    ),
    "logarithmic bars": Plot(
        "T", "", "times", (Series("tanh", ("a", "b"), (0.5, 20.0), kind="bars"),), "Ratios.", log_y=True, mark=1.0
    ),
    "dots": Plot(
        "T", "", "%", tuple(Series(n, (n,) * 3, (1.0, 2.0, None), kind="points") for n in NAMES), "A dot per seed."
    ),
    "points over numbers": Plot("T", "x", "y", (Series("relu", (1.0, 2.0), (3.0, 4.0), kind="points"),), "Points."),
}
ANSWERS = (
    Answer("S1", "defined", "It is so.", code="y = x < 0"),
    Answer("S6", "defined", "As measured.", table=Table(("", "ReLU"), (("output", "0"), ("slope", "<1>")))),
    Answer("S7", "holds only when", "10 of 10.", condition="it rains", reason="Water.", plots=tuple(SHAPES.values())),
    Answer("S8", "does not hold here", "0 of 10.", numbers={"share": 0.123456, "count": 12345, "<text>": "<b>", "no": None}),
    Answer("S9", "holds", "All of them."),
    Answer("S10", "not shown", "Some of them."),
)  # fmt: skip


def claims(answers: tuple[Answer, ...] = ANSWERS) -> Claims:
    statements = tuple(
        Statement(
            answer.id,
            f"What {answer.id} says, at such a length that no line of a terminal has room for all of it: <i>.",
            "define" if answer.verdict == "defined" else "test",
            *(() if answer.verdict == "defined" else (f"Recipe of {answer.id}.", f"Criterion of {answer.id}.")),
            published=(Published("for", "So it was.", "A 2001"), Published("between", "Perhaps.", "B & C 2002")),
        )
        for answer in answers
    )
    return Claims(statements, answers, {"leaky": "0.1.0"})


@pytest.mark.parametrize("name", SHAPES)
def test_every_kind_of_plot_is_drawn(name: str) -> None:
    figure = draw(SHAPES[name])
    assert isinstance(figure, Figure)
    assert figure.get_label() == SHAPES[name].description
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "T"
    figure.draw_without_rendering()


def test_bars_are_as_long_as_their_values() -> None:
    (axes,) = draw(SHAPES["bars"]).axes
    lengths = [bar.get_width() for bar in axes.patches]
    assert lengths == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert axes.get_yticklabels()[0].get_text() == "a"
    (axes,) = draw(SHAPES["logarithmic bars"]).axes
    assert [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches] == [(1.0, 0.5), (1.0, 20.0)]


def test_intervals_reach_from_end_to_end() -> None:
    plot = replace(SHAPES["a band"], series=(replace(SHAPES["a band"].series[0], kind="points"),))
    (lines,) = draw(plot).axes[0].collections
    assert lines.get_segments()[0].tolist() == [[1.0, 0.5], [1.0, 1.5]]
    (band,) = draw(SHAPES["a band"]).axes[0].collections
    assert {0.5, 1.5} <= set(band.get_paths()[0].vertices[:, 1])


def test_dots_are_all_there_with_their_mean() -> None:
    (axes,) = draw(SHAPES["dots"]).axes
    first, mean, *_ = axes.lines
    assert [x for x in first.get_xdata() if not math.isnan(x)] == [1.0, 2.0]
    assert list(mean.get_xdata()) == [1.5, 1.5]


def test_the_page_is_sound_and_holds_everything(sound: Read) -> None:
    text = render_claims(claims(), command="leaky claims '<&>'")
    page = sound(text)
    for answer in ANSWERS:
        assert answer.sentence in page.text
        assert answer.code in page.text
        assert ("id", answer.id) in page.attributes
        assert ("href", f"#{answer.id}") in page.attributes
    for said in (
        "it rains",
        "Water.",
        "Recipe of S7.",
        "Criterion of S10.",
        "B & C 2002",
        "leaky claims S8",
        "<1>",
        "<b>",
    ):
        assert said in page.text
    assert "leaky claims S1\n" not in page.text
    assert page.tags.count("svg") == len(SHAPES)
    assert text == render_claims(claims(), command="leaky claims '<&>'")


def test_what_fails_comes_first_in_the_index(sound: Read) -> None:
    page = sound(render_claims(claims(), command=""))
    assert page.all("href")[1:7] == ["#S8", "#S7", "#S10", "#S9", "#S1", "#S6"]


def test_the_function_is_drawn_where_it_is_defined(sound: Read) -> None:
    answers = tuple(Answer(key, "defined", "It is so.") for key in ("S3", "S4"))
    page = sound(render_claims(claims(answers), command=""))
    assert page.tags.count("svg") == 2
    assert any("Their derivatives" in value for name, value in page.attributes if name == "aria-label")


def test_the_lead_counts() -> None:
    assert lead(claims()) == (
        "Of 4 statements that were tested, 1 holds, 1 holds on a condition, 1 does not hold here and 1 is not shown."
    )
    twice = (ANSWERS[4], replace(ANSWERS[4], id="S11"))
    assert lead(claims(twice)) == "Of 2 statements that were tested, 2 hold."
    assert lead(claims(ANSWERS[:1])) == "1 definition, and no statement to test."


def test_a_report_is_a_page(tmp_path: Any) -> None:
    write_report(claims(), tmp_path / "c.html", command="leaky claims")
    assert "<h1>" in (tmp_path / "c.html").read_text("utf-8")
    with pytest.raises(ValueError, match=r"expected a name that ends in \.html"):
        write_report(claims(), tmp_path / "c.svg")


def shown(found: Claims) -> list[str]:
    stream = io.StringIO()
    show_claims(found, Console(file=stream, width=80, highlight=False))
    return stream.getvalue().splitlines()


def test_a_line_each_on_the_terminal() -> None:
    lines = shown(claims())
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[1:7]] == [answer.id for answer in ANSWERS]
    assert lines[3].rstrip().endswith("… holds only when …")
    assert lines[4].rstrip().endswith("… does not hold here")
    assert [line.split() for line in lines[-2:]] == [["holds", "only", "when"], ["S7", "it", "rains"]]
    assert not any("Water." in line for line in lines)  # six are too many to be told in full


def test_few_are_told_in_full() -> None:
    text = "\n".join(shown(claims(ANSWERS[:3])))
    for said in (
        "S7 holds only when it rains.",
        "10 of 10.",
        "Probably so because: Water.",
        "    y = x < 0",
        "output 0",
    ):
        assert said in text
