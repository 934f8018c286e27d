from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from leaky.checkup import Check, Seen
from leaky.checkup.rules import RULES

See = Callable[..., Seen]
Checked = Callable[..., Check]
Codes = Callable[[Check], Mapping[str, tuple[int, ...]]]


@pytest.fixture
def columns(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Pre-activations of 1,000 samples, by what the unit is."""
    normal = rng.normal(size=1000)
    rare = np.full(1000, -1.0)
    rare[500] = 2.0
    return {
        "alive": normal,
        "dead": -1 - np.abs(normal),
        "zero": np.zeros(1000),
        "rare": rare,
        "on": 1 + np.abs(normal),
        "faint": 1e-3 * normal,
    }


def test_each_unit_is_what_it_is(columns: dict[str, np.ndarray], see: See, checked: Checked, codes: Codes) -> None:
    check = checked(see("relu", np.stack(list(columns.values()), axis=1)))
    assert codes(check) == {"L003": (1, 2), "L005": (3,), "L006": (3, 5), "L007": (4,)}
    (dead,) = check.problems
    assert dead.text == (
        "2 of 6 units were active on none of the 1,000 samples; "
        "at 95 % confidence each is active on at most 0.3 % of inputs like them."
    )
    assert dead.numbers == {"samples": 1000, "bound": pytest.approx(1 - 0.05 ** (1 / 1000)), "silent": 2}
    assert not check.ok


def test_a_live_network_has_no_findings(rng: np.random.Generator, see: See, checked: Checked) -> None:
    check = checked(*(see(f"{kind}", rng.normal(size=(300, 16)), kind) for kind in ("relu", "leaky_relu", "tanh")))
    assert check.findings == ()
    assert check.ok


@pytest.mark.parametrize(
    ("active", "of", "code"),
    [(0, 1000, "L003"), (1, 1000, "L005"), (9, 1000, "L005"), (10, 1000, None), (1, 100, None)],
)
def test_rarely_active_is_below_a_hundredth(
    active: int, of: int, code: str | None, see: See, checked: Checked, codes: Codes
) -> None:
    x = np.where(np.arange(of) < active, 50.0, -1.0)
    other = np.where(np.arange(of) % 2, 1.0, -1.0)
    assert codes(checked(see("relu", np.stack([x, other], axis=1)))) == ({} if code is None else {code: (0,)})


def test_a_sample_counts_once_whatever_its_positions(see: See, checked: Checked, codes: Codes) -> None:
    x = np.full((200, 2, 100), -1.0)
    x[:, 0, 0] = 5.0  # at one position in a hundred, but on every sample
    x[:, 1] = np.where(np.arange(200) % 2, 1.0, -1.0)[:, None]
    assert codes(checked(see("relu", x))) == {}


@pytest.mark.parametrize(("samples", "weak"), [(99, True), (100, False)])
def test_few_samples_are_called_weak(samples: int, weak: bool, see: See, checked: Checked) -> None:
    x = np.tile([[1.0, -1.0], [-1.0, -1.0]], (samples, 1))[:samples]
    (finding,) = checked(see("relu", x)).findings
    assert ("weak evidence" in finding.text) == weak


def test_a_leaky_unit_that_is_never_active_is_a_remark(
    columns: dict[str, np.ndarray], see: See, checked: Checked
) -> None:
    x = np.stack([columns["alive"], columns["dead"]], axis=1)
    (finding,) = checked(see("act", x, "leaky_relu")).findings
    assert (finding.code, finding.severity, finding.units) == ("L013", "remark", (1,))
    assert "it still learns" in finding.remedy
    (finding,) = checked(see("act", x, "leaky_relu"), trained=False).findings
    assert finding.code == "L013"  # nor is it dead at birth
    # A slope of exactly 0 passes nothing: of a PReLU, unit by unit.
    check = checked(see("act", np.stack([columns["dead"]] * 2, axis=1), "leaky_relu", slope=(0.0, 0.25)))
    assert [(f.code, f.units) for f in check.findings] == [("L003", (0,)), ("L013", (1,))]
    assert check.sites["act"].dead.tolist() == [True, False]


def test_dead_layer(see: See, checked: Checked, codes: Codes) -> None:
    x = -np.ones((200, 3))
    assert codes(checked(see("relu", x))) == {"L001": (0, 1, 2)}
    assert codes(checked(see("relu", x), trained=False)) == {"L001": (0, 1, 2)}
    assert [f.severity for f in checked(see("act", x, "leaky_relu")).findings] == ["remark"]


def test_dead_at_birth(see: See, checked: Checked, codes: Codes) -> None:
    x = np.tile([[1.0, -1.0], [-1.0, -2.0]], (100, 1))
    check = checked(see("relu", x), trained=False)
    assert codes(check) == {"L004": (1,)}
    assert check.findings[0].cause == "initialisation: drawn so, before any training"


def test_what_is_proved_is_not_reported_as_merely_unseen(see: See, checked: Checked, codes: Codes) -> None:
    x = np.tile([[1.0, -1.0, -2.0], [-1.0, -1.0, -2.0]], (100, 1))
    check = checked(see("relu", x, proved=[False, False, True]), input_range=(0.0, 1.0))
    assert codes(check) == {"L002": (2,), "L003": (1,)}
    assert "for any input from 0 to 1" in check.findings[0].text
    assert codes(checked(see("relu", x))) == {"L003": (1, 2)}
    assert codes(checked(see("relu", x, proved=[False] * 3), input_range=(0.0, 1.0))) == {"L003": (1, 2)}


def test_what_leaks_is_no_problem_for_being_proved_silent(see: See, checked: Checked) -> None:
    x = np.tile([[1.0, -1.0, -2.0], [-1.0, -1.0, -2.0]], (100, 1))
    (finding,) = checked(see("act", x, "leaky_relu", proved=[False, False, True]), input_range=(0.0, 1.0)).findings
    assert (finding.code, finding.severity, finding.units) == ("L013", "remark", (1, 2))
    assert finding.text.endswith(" 1 of 3 units can never be, which is proved.")


def test_always_on_is_linear_between_the_limits(see: See, checked: Checked, codes: Codes) -> None:
    x = np.tile([[1.0, 1.0], [2.0, 7.0]], (100, 1))
    assert codes(checked(see("act", x, "relu6"))) == {"L007": (0,)}
    assert codes(checked(see("act", x, "relu"))) == {"L007": (0, 1)}
    assert codes(checked(see("act", x, "sigmoid"))) == {}


@pytest.mark.parametrize(
    ("kind", "share", "severity"),
    [("sigmoid", 0.94, None), ("sigmoid", 0.95, "remark"), ("sigmoid", 1.0, "problem"), ("relu6", 0.95, "remark")],
)
def test_saturated(kind: str, share: float, severity: str | None, see: See, checked: Checked) -> None:
    far = np.where(np.arange(200) < 200 * share, 9.0, 0.5 if kind == "sigmoid" else -0.5)
    near = np.where(np.arange(200) % 2, 0.5, -0.5)
    findings = checked(see("act", np.stack([near, far], axis=1), kind)).findings
    assert [(f.code, f.severity, f.units) for f in findings] == ([] if severity is None else [("L008", severity, (1,))])


def test_an_idle_relu6_is_not_saturated(see: See, checked: Checked, codes: Codes) -> None:
    x = np.where(np.arange(200) % 50, -1.0, 1.0)[:, None]
    assert codes(checked(see("act", x, "relu6"))) == {}


def chain(see: See, sizes: list[float], gradients: list[float] | None = None, kind: str = "relu") -> list[Seen]:
    x = np.random.default_rng(1).normal(size=(200, 4))
    passed = gradients or [None] * len(sizes)
    return [see(f"s{i}", size * x, kind, gradient=g) for i, (size, g) in enumerate(zip(sizes, passed, strict=True))]


@pytest.mark.parametrize(
    ("first", "code"), [(1.0, None), (1.1e-3, None), (0.9e-3, "L009"), (0.0, "L009"), (900.0, None), (1100.0, "L010")]
)
def test_gradients_along_depth(first: float, code: str | None, see: See, checked: Checked) -> None:
    check = checked(*chain(see, [1.0] * 3, [first, 1.0, 1.0]), loss=True)
    assert [f.code for f in check.findings] == ([] if code is None else [code])
    assert not checked(*chain(see, [1.0] * 3)).findings


def test_gradients_are_compared_whatever_the_sizes_of_sites(rng: np.random.Generator, see: See) -> None:
    # One sample's gradient of norm 1, spread over more and more numbers.
    for shape in ((50, 4), (50, 64), (50, 16, 10, 10)):
        size = math.prod(shape[1:])
        seen = see("s", rng.normal(size=shape), gradient=1 / math.sqrt(size))
        assert seen.gradient == pytest.approx(1)


def test_exploding_activations(see: See, checked: Checked) -> None:
    assert not checked(*chain(see, [1.0, 30.0, 900.0])).findings
    (finding,) = checked(*chain(see, [1.0, 40.0, 1600.0])).findings
    assert (finding.code, finding.site) == ("L011", None)


def test_not_finite(rng: np.random.Generator, see: See, checked: Checked) -> None:
    x = rng.normal(size=(200, 3))
    x[7, 1] = np.nan
    x[8, 1] = np.inf
    check = checked(see("first", x), see("second", x))
    assert [(f.code, f.site, f.units) for f in check.findings] == [("L012", "first", (1,)), ("L012", "second", (1,))]
    assert check.findings[1].cause == "they come from first, before it"
    # A unit that is NaN on all samples is no dead unit.
    check = checked(see("first", np.full((200, 3), np.nan)))
    assert [f.code for f in check.findings] == ["L012"]
    check = checked(see("first", np.full((200, 3), np.nan), "leaky_relu"))
    assert [f.code for f in check.findings] == ["L012"]


def test_a_unit_whose_output_is_infinite_is_not_dormant(see: See, checked: Checked, codes: Codes) -> None:
    x = np.where(np.arange(200)[:, None] % 2, [np.inf, 1.0], -1.0)
    assert codes(checked(see("relu", x))) == {"L012": (0,)}


def test_gradients_that_are_not_finite(see: See, checked: Checked) -> None:
    first, second, third = chain(see, [1.0, 1.0, 1.0], [math.nan, math.inf, 1.0])
    check = checked(first, second, third, loss=True)
    (finding,) = check.findings
    assert (finding.code, finding.site, finding.units) == ("L012", "s1", (0, 1, 2, 3))
    assert finding.text == (
        "The gradient that arrives is NaN or infinite, in all 4 units, and so it is at 1 site before it."
    )
    told = {rule.code: found for rule, found in check.verdicts.items()}
    assert (told["L009"], told["L010"]) == (None, None)
    assert check.to_dict()["sites"][0]["evidence"]["gradient"] == [None] * 4
    # Where they come from numbers that are not finite, those are what is told.
    broken = see("s0", np.full((200, 3), np.nan), gradient=math.nan)
    assert [f.text.split()[1] for f in checked(broken, second, third, loss=True).findings] == ["of"]


def test_what_is_no_activation_is_not_judged(see: See, checked: Checked) -> None:
    check = checked(see("clamp", -np.ones((200, 3)), judged=False, note="fed from no weights"))
    assert check.findings == ()
    assert list(check.judged) == []
    assert list(check.sites) == ["clamp"]


def test_rules_do_not_apply_where_there_is_nothing_to_see(see: See, checked: Checked) -> None:
    names = {rule.code: found for rule, found in checked(*chain(see, [1.0])).verdicts.items()}
    assert [code for code, found in names.items() if found is None] == ["L002", "L008", "L009", "L010", "L011"]
    assert checked().findings == ()


def test_every_rule_has_its_words() -> None:
    codes = [rule.code for rule in RULES]
    assert sorted(codes) == [f"L{n:03}" for n in range(1, len(RULES) + 1)]
    for rule in RULES:
        assert rule.title
        assert rule.remedy.endswith(".")
        assert "\n" not in rule.remedy


def test_problems_come_first(columns: dict[str, np.ndarray], see: See, checked: Checked) -> None:
    check = checked(
        see("a", np.stack([columns["alive"], columns["on"]], 1)),
        see("b", np.stack([columns["alive"], columns["dead"]], 1)),
    )
    assert [(f.site, f.severity) for f in check.findings] == [("b", "problem"), ("a", "remark")]
    assert replace(check, sites={}).findings == ()
