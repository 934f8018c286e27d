from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaky.checkup import Check, Seen
from leaky.report import render_check, write_report
from leaky.report.check.bands import ALWAYS, DEAD, FLAT, HIGH, IDLE, LOW, MIDDLE, RARE, STUCK, USED, bands

See = Callable[..., Seen]
Checked = Callable[..., Check]
Read = Callable[[str], Any]

NORMAL = np.random.default_rng(0).normal(size=(200, 64))


def columns(*active: float) -> np.ndarray:
    """Return 1,000 pre-activations of units that are active on these shares of samples."""
    turns = (np.arange(1000) + 0.5) / 1000
    return np.stack([np.where(turns < share, 1.0, -1.0) for share in active], axis=1)


def shapes(see: See, checked: Checked) -> dict[str, Check]:
    nan = np.full((200, 3), np.nan)
    proved = see("relu", -1 - NORMAL[:, :4] ** 2, proved=[True, False, True, False])
    hostile = see("<b>&\"'", columns(0, 1), form="<i>", source="<u>", fed_by="<s>\x1b[31m\n")
    return {
        "nothing seen": checked(),
        "all well": checked(see("relu", NORMAL)),
        "gradients": checked(*(see(f"s{i}", NORMAL, gradient=10.0 ** (3 * i)) for i in range(3)), loss=True),
        "proofs": checked(proved, input_range=(-1.0, 0.5)),
        "not finite": checked(see("relu", nan), see("sigmoid", nan, "sigmoid")),
        "at birth": checked(see("relu", columns(0, 0.5)), trained=False),
        "unknown axis": checked(see("relu", NORMAL[:, :1], axis=None, note="no axis")),
        "one of many": checked(see("relu", columns(*[0.5] * 2047, 0))),
        "not judged": checked(see("clamp", NORMAL, judged=False, note="fed from no weights"), notes=("<TorchScript>",)),
        "hostile": replace(checked(hostile, notes=("<a href='http://x'>\x07",)), model="<script>alert(1)</script>"),
    }


def test_every_shape_makes_a_sound_page(see: See, checked: Checked, sound: Read) -> None:
    for name, check in shapes(see, checked).items():
        text = render_check(check, command="leaky check '<&>'")
        page = sound(text)
        assert "leaky check '<&>'" in page.text, name
        for finding in check.findings:
            assert finding.remedy in page.text, name
            assert finding.text in page.text, name
        assert text == render_check(check, command="leaky check '<&>'"), name


def test_names_are_text(see: See, checked: Checked, read: Read) -> None:
    page = read(render_check(shapes(see, checked)["hostile"], command=""))
    for name in ("<script>alert(1)</script>", "<b>&\"'", "<i>", "<u>", "<s>[31m", "<a href='http://x'>"):
        assert name in page.text
    assert not {"script", "u", "s", "a"} & set(page.tags)


def test_each_unit_is_in_the_band_of_how_often_it_fires(see: See) -> None:
    shares = (0, 0, 0.001, 0.009, 0.02, 0.099, 0.1, 0.5, 0.51, 0.999, 1)
    expected = [(DEAD, 2), (RARE, 2), (LOW, 2), (MIDDLE, 2), (HIGH, 2), (ALWAYS, 1)]
    assert bands(see("relu", columns(*shares))) == expected
    assert bands(see("act", columns(*shares), "leaky_relu"))[0] == (IDLE, 2)
    x = np.where(np.arange(100)[:, None] < [100, 95, 94], 9, 0)
    assert bands(see("gate", x, "sigmoid")) == [(STUCK, 1), (FLAT, 1), (USED, 1)]


def test_the_map_shows_every_unit_of_every_site(see: See, checked: Checked) -> None:
    text = render_check(shapes(see, checked)["one of many"], command="")
    assert re.findall(r'class="band-(\w+)" style="flex-grow: (\d+)"', text) == [("dead", "1"), ("middle", "2047")]
    assert 'aria-label="1 unit dead, 2,047 units at 10 – 50 %"' in text


def test_contents_in_order(see: See, checked: Checked, read: Read) -> None:
    check = checked(see("first", columns(0, 0.5, 0.001)), see("second", columns(0.5, 1)), notes=("a note",))
    page = read(render_check(check, command="leaky check a --data b"))
    parts = (
        "Net",
        check.headline,
        "The network",
        "1 dead of 3",
        "Findings",
        "L003 Dead units",
        "0 of 1,000",
        "L005 Rarely active",
        "L007 Units that are always on",
        "Every site",
        "What to run next",
        "leaky compare",
        "How to read it",
        "leaky check a --data b",
        "What was looked for",
        "does not apply",
        "a note",
    )
    places = [page.text.index(part) for part in parts]
    assert places == sorted(places)


def test_a_long_table_is_cut_and_says_so(see: See, checked: Checked, read: Read) -> None:
    text = render_check(checked(see("relu", columns(*[0] * 300, 0.5))), command="")
    assert "The first 200 units" in read(text).text
    assert text.count("0 of 1,000") == 200


def test_the_command_to_go_on_with(see: See, checked: Checked, read: Read) -> None:
    check = checked(see("relu", columns(0, 0.5)))
    assert "leaky convert MODEL -o OUT --slope 0.1" in read(render_check(check, command="")).text
    text = read(render_check(check, command="", then="leaky convert a.py:net -o '<w>.pt'")).text
    assert "leaky convert a.py:net -o '<w>.pt'" in text
    assert "MODEL" not in text


def test_a_report_of_something_else(tmp_path: Path) -> None:
    for result in ("x", None, 3):
        with pytest.raises(
            TypeError, match=r"^result: \w+; expected what leaky.check, leaky.compare, leaky.tune or leaky.claims.run "
        ):
            write_report(result, tmp_path / "r.html")  # type: ignore[arg-type]
