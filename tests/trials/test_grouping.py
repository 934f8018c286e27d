from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from leaky import Activation, Task
from leaky.trials import Cohorts, TaskError, grouping

ARMS = [Activation.parse(text) for text in ("relu", "leaky_relu(0.3)", "prelu")]
GELU = Activation("gelu")
WANTED = [(arm, seed) for seed in range(10) for arm in (*ARMS, GELU)]


@pytest.fixture
def group(make_task: Callable[..., Task]) -> Callable[..., list[list[Any]]]:
    def group(asked: bool | None = True, missing: Any = WANTED, jobs: int = 2, **changes: Any) -> list[list[Any]]:
        return Cohorts(make_task(**changes), [*ARMS, GELU], asked).groups(missing, WANTED, jobs)

    return group


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def tried(*, same: bool, ratio: float = 2.0) -> None:
        monkeypatch.setattr(grouping, "exact", lambda *_: same)
        monkeypatch.setattr(grouping, "faster", lambda *_: ratio)

    return tried


def test_trials_are_shared_out_evenly(group: Callable[..., Any], tried: Callable[..., None]) -> None:
    tried(same=True)
    shared = group()
    assert [len(each) for each in shared] == [15, 15] + [1] * 10
    assert sorted(str(member) for each in shared for member in each) == sorted(map(str, WANTED))
    assert [len(each) for each in group(jobs=3)[:-10]] == [10, 10, 10]
    assert [len(each) for each in group(jobs=1)[:-10]] == [15, 15]
    assert [len(each) for each in group(missing=WANTED[:6])] == [3, 2, 1]
    assert [len(each) for each in group(missing=WANTED[:1])] == [1]
    assert group(missing=[]) == []
    assert group(missing=[(GELU, 1), (GELU, 2)]) == [[(GELU, 1)], [(GELU, 2)]]


def test_where_numbers_are_rounded_otherwise_groups_do_not_depend_on_what_is_missing(
    group: Callable[..., Any], tried: Callable[..., None]
) -> None:
    tried(same=False)
    every = group()
    assert [len(each) for each in every] == [16, 14] + [1] * 10
    assert group(jobs=7) == every
    assert group(missing=[WANTED[-2], WANTED[-1]]) == [every[1], [WANTED[-1]]]


def test_by_default_cohorts_are_formed_where_they_are_faster_and_change_no_number(
    group: Callable[..., Any], tried: Callable[..., None]
) -> None:
    singly = [[member] for member in WANTED]
    for same, ratio, epochs, together in (
        (True, 2.0, 90, True),
        (True, 1.1, 90, False),
        (False, 2.0, 90, False),
        (True, 2.0, 9, False),
    ):
        tried(same=same, ratio=ratio)
        assert (group(None, epochs=epochs) != singly) is together
        assert group(False, epochs=epochs) == singly


def test_what_was_found_out_holds_for_the_few_that_come_later(
    make_task: Callable[..., Task], tried: Callable[..., None]
) -> None:
    tried(same=True)
    cohorts, few = Cohorts(make_task(epochs=90), ARMS), WANTED[:2]
    assert cohorts.groups(few, WANTED, 1) == [[member] for member in few]
    cohorts.groups(WANTED, WANTED, 1)
    assert cohorts.groups(few, WANTED, 1) == [few]


def test_fingerprints_and_recipes_say_where_numbers_are_rounded_otherwise(
    make_task: Callable[..., Task], tried: Callable[..., None]
) -> None:
    for same, asked, marked in ((True, True, False), (False, True, True), (False, None, False), (False, False, False)):
        tried(same=same)
        cohorts = Cohorts(make_task(), ARMS, asked)
        assert bool(cohorts.mark(ARMS[0])) is cohorts.rounded is bool(cohorts.words) is marked
        assert cohorts.mark(GELU) == ""


def test_a_network_that_does_not_suit_goes_alone_or_is_refused(group: Callable[..., Any]) -> None:
    model = lambda a: nn.Sequential(nn.Linear(4, 3), a.module(), nn.Dropout())
    assert group(None, model=model, epochs=90) == [[member] for member in WANTED]
    with pytest.raises(
        TaskError, match=r"^cohort: not possible for this network: it draws random numbers in training$"
    ):
        group(True, model=model)
