from __future__ import annotations

import pytest

from leaky.report import words


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("leaky_relu(0.1)", "leaky_relu(0.1)"),
        ("two\nlines\ttab", "two lines tab"),
        ("bell\x07 null\x00 \x1b[31mred\x9b", "bell null [31mred"),
        ("\u202edesrever\u2066", "desrever"),
        ("\ud800\ufffe", ""),
        ("漢字 🎉", "漢字 🎉"),
    ],
)
def test_plain(name: str, text: str) -> None:
    assert words.plain(name) == text


def test_shorten_keeps_both_ends() -> None:
    assert words.shorten("relu") == "relu"
    short = words.shorten("encoder." * 20 + "activation", 22)
    assert len(short) == 22
    assert short.startswith("encoder.")
    assert short.endswith("ivation")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0 %"), (1.0, "100 %"), (0.1234, "12.3 %"), (0.0001, "< 0.1 %"), (0.9999, "> 99.9 %")],
)
def test_share(value: float | None, text: str) -> None:
    assert words.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (0.34812, "0.348"),
        (-0.34812, "−0.348"),
        (2.5, "2.50"),
        (9.999, "10.0"),
        (123.4, "123"),
        (99999, "99999"),
        (3.24e-7, "3.2·10⁻⁷"),
        (9.99e-7, "1.0·10⁻⁶"),
        (1.5e12, "1.5·10¹²"),
        (5e-324, "4.9·10⁻³²⁴"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-5, -1e-5, -0.00049])
def test_what_rounds_to_zero_has_no_sign(value: float) -> None:
    assert words.difference(value, "accuracy") == "0.0 points"
    assert words.difference(value, "r2") == "0.000"
    assert words.score(value, "accuracy") == "0.0 %"
    assert words.score(value, "r2") == "0.000"


def test_scores_and_differences() -> None:
    assert words.score(-0.931, "accuracy") == "−93.1 %"
    assert words.score(-0.5, "r2") == "−0.500"
    assert words.difference(0.024, "accuracy") == "+2.4 points"
    assert words.difference(-0.0006, "accuracy") == "−0.1 points"
    assert words.difference(-0.5, "r2") == "−0.500"
    assert words.score(None, "r2") == words.difference(None, "r2") == words.p_value(None) == words.NOTHING == "–"


def test_other_numbers() -> None:
    assert words.spread(0.931, 0.004, "accuracy") == "93.1 ± 0.4 %"
    assert words.spread(0.931, None, "accuracy") == "93.1 %"
    assert words.spread(0.5, 0.25, "r2") == "0.500 ± 0.250"
    assert words.interval(-0.01, 0.02, "accuracy") == "[−1.0, +2.0]"
    assert words.interval(None, None, "accuracy") == ""
    assert words.brief(0.945, "accuracy") == "94.5 %"
    assert words.brief(0.01, "accuracy", signed=True) == "+1"
    assert words.brief(-0.25, "r2", signed=True) == "−0.25"
    assert words.milliseconds(0.000934) == "0.934 ms"
    assert words.listed(range(3)) == "0, 1, 2"
    assert words.listed(range(100), 4) == "0, 1, …, 99"
    assert words.counted(1, "seed") == "1 seed"
    assert words.counted(0, "seed") == "0 seeds"


def test_elements() -> None:
    assert [words.elements(n) for n in (3, 1000, 1 << 10, 3 << 15, 1 << 20, 1 << 26)] == [
        "3",
        "1,000",
        "1 Ki",
        "96 Ki",
        "1 Mi",
        "64 Mi",
    ]


def test_ratios_and_durations() -> None:
    assert [words.ratio(r) for r in (0.0049, 0.5, 9.99, 9.996, 99.94, 99.96, 1234.5)] == [
        "0.0049",
        "0.50",
        "9.99",
        "10.0",
        "99.9",
        "100",
        "1,234",
    ]
    assert [words.duration(s) for s in (1.2e-7, 2.345e-6, 0.00241, 1.5)] == ["0.12 µs", "2.35 µs", "2.41 ms", "1.5 s"]
