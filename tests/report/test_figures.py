from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from leaky.comparison.result import Comparison
from leaky.report import function_figure, save, summary_figure, svg
from leaky.report.comparison import curves, dead, dots, tally
from leaky.report.comparison.dots import _window
from leaky.report.look import COLOURS, _decade, canvas, logarithmic, looks, name_lines, style

DRAW: dict[str, Callable[[Comparison], Figure]] = {
    "scores": dots.scores,
    "differences": dots.differences,
    "learning": curves.scores,
    "losses": curves.losses,
    "gradients": lambda c: curves.gradients(c, after=True),
    "dead": lambda c: dead.units(tally.arms(c)[0]),
    "summary": summary_figure,
}


def texts(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)
    return [e.text or "" for e in root.iter() if e.tag.rpartition("}")[2] == "text"]


@pytest.mark.parametrize("kind", DRAW)
def test_names_are_text(hostile: Comparison, kind: str) -> None:
    picture = svg.standalone(DRAW[kind](hostile))
    assert "<script" not in picture
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", picture)
    if kind in ("scores", "differences", "learning", "losses", "summary"):
        assert {"$x_$", "\"&'", "漢字 🎉"} <= set(texts(picture))


@pytest.mark.parametrize("kind", DRAW)
def test_svg_has_variables_description_and_no_loose_ids(seven: Comparison, kind: str) -> None:
    picture = svg.standalone(DRAW[kind](seven))
    root = ElementTree.fromstring(picture)
    assert len(root.attrib["aria-label"]) > 20
    ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'(?:href="|url\()#([^")]+)', picture))
    assert referred == set(ids)
    assert all(name.startswith("leaky-") for name in ids)
    assert "var(--ink)" in picture
    assert "prefers-color-scheme: dark" in picture
    assert "DejaVu" not in picture


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_same_bytes_every_time(seven: Comparison, tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        save(dots.scores(seven), tmp_path / f"{name}.{suffix}")
    first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
    assert first == second
    assert first.startswith({"svg": b"<svg ", "png": b"\x89PNG", "pdf": b"%PDF"}[suffix])


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path: '.*\.jpg' is not a picture"):
        save(function_figure(), tmp_path / "x.jpg")
    assert not list(tmp_path.iterdir())


def test_settings_of_the_user_neither_matter_nor_change(tmp_path: Path) -> None:
    before = svg.standalone(function_figure())
    with matplotlib.rc_context({"axes.facecolor": "#123456", "font.size": 31, "text.usetex": True}):
        assert svg.standalone(function_figure()) == before
        assert matplotlib.rcParams["font.size"] == 31


def test_diverged_trials_are_seen(seven: Comparison) -> None:
    assert {"× 2 diverged", "× 1 diverged"} <= set(texts(svg.standalone(dots.scores(seven))))


def test_verdicts_stand_as_words(seven: Comparison) -> None:
    written = " ".join(texts(svg.standalone(dots.differences(seven))))
    assert all(v.word in written for v in seven.verdicts)


def test_the_function_is_drawn_without_pytorch_and_pyplot() -> None:
    code = (
        "import sys; from leaky.report import function_figure, save; function_figure();"
        "print(*{'torch', 'matplotlib.pyplot', 'optuna'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"


def test_derivative_jumps() -> None:
    figure = function_figure(0.05)
    for line in figure.axes[1].lines[2:]:
        ys = np.asarray(line.get_ydata())
        assert (ys == ys[0]).all()  # flat pieces and dots, no slanted line across the jump
    dots_ = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    heights = sorted((float(np.asarray(d.get_ydata()).item()), d.get_markerfacecolor() == d.get_color()) for d in dots_)
    assert heights == [(0.0, True), (0.05, True), (1.0, False), (1.0, False)]


@pytest.mark.parametrize("slope", [0.0, -0.5, 1.0, 3.0, 1e6, 0.01])
def test_any_finite_slope_is_drawn(slope: float) -> None:
    assert svg.standalone(function_figure(slope))


@pytest.mark.parametrize("slope", [float("inf"), float("nan")])
def test_other_slopes_are_refused(slope: float) -> None:
    with pytest.raises(ValueError, match="negative_slope"):
        function_figure(slope)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_stand_out_from_the_paper(scheme: int) -> None:
    paper = luminance(COLOURS["paper"][scheme])
    for name in set(COLOURS) - {"paper", "grid"}:
        dark, light = sorted((paper, luminance(COLOURS[name][scheme])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def test_light_colours_differ() -> None:
    light = [pair[0] for pair in COLOURS.values()]
    assert len(set(light)) == len(light)  # each stands for one variable


def test_looks_differ_and_stay() -> None:
    names = ["tanh", "mine", "relu", *(f"leaky_relu({n / 100})" for n in range(1, 15)), "yours"]
    found = looks(names)
    for a, b in combinations(found.values(), 2):
        assert (a.colour, a.marker) != (b.colour, b.marker)
    for name in ("tanh", "relu", "leaky_relu(0.01)"):
        assert looks([name])[name] == looks(["mine", name])[name] == found[name]


@pytest.mark.parametrize("ends", [[0.9, 0.9, 0.9, 0.905], [0.1] * 12, [5.0, -5.0], [float("nan"), 0.5], []])
def test_names_beside_lines_do_not_overlap(ends: list[float]) -> None:
    figure = Figure(figsize=(5, 4))
    axes = figure.add_subplot()
    name_lines(
        axes,
        [
            (y, str(i), look)
            for i, (y, look) in enumerate(zip(ends, looks([*map(str, range(12))]).values(), strict=False))
        ],
    )
    heights = sorted(text.get_position()[1] for text in axes.texts)
    assert all(0 <= h <= 1 + 1e-9 for h in heights)
    assert all(b - a > 9 / 72 / 4 for a, b in pairwise(heights))


@pytest.mark.parametrize("low", [1.9, 0.64, 0.3, 0.05, 1e-3, 1e-12])
def test_logarithmic_axis_is_numbered_in_words(low: float) -> None:
    with style():
        figure = canvas(3)
        axes = figure.add_subplot()
        axes.plot([low, 2.5])
        axes.xaxis.set_visible(False)
        logarithmic(axes)
        written = texts(svg.standalone(figure))
    assert len(written) > 2
    assert all(re.fullmatch(r"[\d.]+|10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", text) for text in written)


def test_numbers_along_a_logarithmic_axis() -> None:
    values = (0.0, 0.3, 1000, 2e5, 1e-5, 1.5e-7)
    assert [_decade(value) for value in values] == ["", "0.3", "1000", "2·10⁵", "10⁻⁵", "1.5·10⁻⁷"]


def test_names_are_on_the_side_of_their_line() -> None:
    axes = Figure(figsize=(5, 4)).add_subplot()
    axes.set_ylim(1e-6, 1)
    logarithmic(axes)
    look = looks(["a", "b"])
    name_lines(axes, [(1e-3, "a", look["a"]), (1e-6, "b", look["b"])])
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert heights == pytest.approx({"a": 0.5, "b": 0.0})


def test_window_leaves_out_whole_arms_far_below() -> None:
    close = [[0.90, 0.94], [0.91, 0.95], [0.92, 0.93]]
    low, high = _window([*close, [0.1, 0.12]], keep=[0.91])
    assert 0.85 < low < 0.90
    assert 0.95 < high < 1.0
    # … but not the baseline, nor an arm that is only now and then far below, nor one of few.
    assert _window([*close, [0.1, 0.12]], keep=[0.1, 0.12])[0] < 0.1
    assert _window([*close, [0.1, 0.94]], keep=[0.91])[0] < 0.1
    assert _window([[0.90], [0.91], [0.1]], keep=[0.9])[0] < 0.1
    assert _window([], keep=[]) == (0.0, 1.0)
    assert _window([[None, 0.5]], keep=[]) == pytest.approx((0.475, 0.525))


def test_dead_share_is_mean_over_seeds_still_training(seven: Comparison) -> None:
    trials = seven.arms["relu"]
    shares = tally.dead_by_site(trials)
    assert shares.shape == (16, 31)
    running = [t for t in trials if len(t.epochs) == 31]
    assert len(running) == 8
    assert shares[5, 30] == pytest.approx(np.mean([t.epochs[30].dead[5] / 64 for t in running]))


def test_shade_shows_a_single_dead_unit() -> None:
    alpha = dead.shade(np.array([[0.0, 1e-6, 0.5, 1.0]]))[0, :, 3]
    assert alpha[0] == 0
    assert alpha[1] > 0.1
    assert (np.diff(alpha) > 0).all()
    assert alpha[3] == 1
