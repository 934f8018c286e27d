from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from leaky.checkup import Check, Seen
from leaky.report.check.terminal import show_check

See = Callable[..., Seen]
Checked = Callable[..., Check]


def shown(check: Check) -> str:
    stream = io.StringIO()
    show_check(check, Console(file=stream, width=80, highlight=False))
    return stream.getvalue()


def test_a_line_a_site_and_the_findings(see: See, checked: Checked) -> None:
    turns = np.arange(1000)
    x = np.stack([np.full(1000, -1.0), np.where(turns < 5, 1.0, -1.0), np.where(turns < 500, 1.0, -1.0)], axis=1)
    text = shown(checked(see("layer1.relu", x), see("gate", x, "sigmoid"), notes=("a note",)))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["layer1.relu", "3", "1", "1", "━━────────", "16.8", "%"]
    assert lines[2].split()[:4] == ["gate", "3", "–", "–"]
    assert "Net: 1 of 6 units at 2 sites is dead on 1,000 samples; 1 problem and 1 remark." in text
    assert text.index("L003 dead units · layer1.relu: 0") < text.index("L005 rarely active units · layer1.relu: 1")
    assert text.index("What to do") < text.index("a note")


def test_the_worst_ten(see: See, checked: Checked) -> None:
    def site(number: int) -> Seen:
        x = np.where(np.arange(200)[:, None] % 2, 1.0, -1.0) * np.ones((200, 20))
        x[:, :number] = -1
        return see(f"s{number}", x)

    text = shown(checked(*map(site, range(1, 14))))
    assert [line.split()[4] for line in text.splitlines() if line.startswith("L003")] == [
        f"s{number}:" for number in range(13, 3, -1)
    ]
    assert "… and 3 more findings; a report (--output) holds them all." in text


@pytest.mark.parametrize("start", ["[bold]x", "[/x]y"])
def test_names_are_text(start: str, see: See, checked: Checked) -> None:
    name = f"{start}\x1b[31m\u202e\ny" + "z" * 99
    text = shown(replace(checked(see(name, -np.ones((200, 2))), notes=(f"\x07{start}note",)), model=f"{start}Net"))
    lines = text.splitlines()
    assert lines[1].startswith(start)
    assert f"L001 dead layer · {start}" in text
    assert any(line.startswith(f"{start}note") for line in lines)
    assert any(line.startswith(f"{start}Net: 2 of 2 units") for line in lines)
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert max(map(len, lines)) <= 80


def test_without_a_site(checked: Checked) -> None:
    assert shown(checked()) == "Net: No activation sites were seen on 0 samples.\n"
