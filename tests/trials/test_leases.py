"""Leases: what another has it keeps until it is gone or silent, and what was left is free again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from leaky.trials import Study, leases
from leaky_tests.trials.shared import rows


def test_a_lease_of_another_machine_holds_until_it_is_silent(
    mine: str, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (Study(study, "s", {"relu": "mark"}) for _ in range(2))
    with one.leasing() as first:
        monkeypatch.setattr("leaky.trials.leases._place", lambda: "elsewhere")
        with other.leasing() as second:
            assert first("relu", 0)
            assert not second("relu", 0)
            monkeypatch.setattr(other._storage, "grace_period", 0)
            time.sleep(1.1)  # the database counts whole seconds
            assert second("relu", 0)
            assert second("relu", 1)
            assert not first("relu", 1)


def test_what_was_leased_and_not_done_is_free_again(study: str) -> None:
    one, other = (Study(study, "s", {"relu": "mark"}) for _ in range(2))
    with one.leasing() as lease:
        assert lease("relu", 0)
    with other.leasing() as lease:
        assert lease("relu", 0)
        assert not lease("relu", 0)


def test_waiting_for_a_lease_leaves_nothing_behind(study: str) -> None:
    one, other = (Study(study, "s", {"relu": "mark"}) for _ in range(2))
    with one.leasing() as first, other.leasing() as second:
        assert first("relu", 0)
        assert not any(second("relu", 0) for _ in range(5))
        assert len(rows(study, "s: in work")) == 1


def test_a_process_that_ends_while_it_is_looked_at_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    other = leases.worker()
    assert not leases.gone(other)

    def ended(*_: object, **__: object) -> str:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(leases, "_place", lambda: other["place"])
    monkeypatch.setattr(Path, "read_text", ended)
    assert leases.gone(other)


def test_a_lease_that_was_left_lapses_though_nothing_is_left_to_train(
    study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (Study(study, "s", {"relu": "mark"}) for _ in range(2))
    with one.leasing() as lease:
        assert lease("relu", 0)
        monkeypatch.setattr("leaky.trials.leases.gone", lambda worker: True)
        with other.leasing():
            pass
        assert [row.state.name for row in rows(study, "s: in work")] == ["FAIL"]
