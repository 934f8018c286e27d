"""The frame: what is measured once, recorded, judged anew, and gone on with."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import RDBStorage

from leaky.claims import Answer, Claims, Experiment, Lab, Statement
from leaky.claims.registry import EXPERIMENTS, chosen
from leaky.claims.run import answer, run
from leaky.trials import TaskError


def judge(measured: dict[str, Any]) -> Answer:
    return Answer(measured["id"], "holds" if measured["value"] > 0 else "does not hold here", "So it is.")


class Counting:
    """Experiments that count how often they are measured."""

    def __init__(self, *values: float) -> None:
        self.calls: list[str] = []
        self.all = tuple(self.experiment(f"S{n}", value) for n, value in enumerate(values, 1))

    def experiment(self, key: str, value: float) -> Experiment:
        def measure(lab: Lab) -> dict[str, Any]:
            self.calls.append(key)
            if math.isnan(value):
                raise KeyboardInterrupt
            lab.report(0.5)
            return {"id": key, "value": value, "pair": (1, 2)}

        return Experiment(Statement(key, "It is so.", "test", recipe="As it says."), measure, judge, seconds=10)


def test_a_false_statement_does_not_hold() -> None:
    found = answer(Counting(1.0, -1.0).all)
    assert [a.verdict for a in found.answers] == ["holds", "does not hold here"]
    assert repr(found) == "<leaky.Claims: 1 does not hold here, 1 holds>"
    assert str(found).splitlines() == ["S1: holds. So it is.", "S2: does not hold here. So it is."]


def test_what_is_recorded_is_not_measured_again(tmp_path: Path) -> None:
    study = tmp_path / "c.db"
    counting = Counting(1.0, -1.0)
    first = answer(counting.all, study=study)
    assert answer(counting.all, study=study) == first
    assert counting.calls == ["S1", "S2"]


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    study = tmp_path / "c.db"
    stopped = Counting(1.0, float("nan"), 3.0)
    with pytest.raises(KeyboardInterrupt):
        answer(stopped.all, study=study)
    going_on = Counting(1.0, 2.0, 3.0)
    seen: list[tuple[float, float, str]] = []
    found = answer(going_on.all, study=study, progress=lambda *said: seen.append(said))
    assert going_on.calls == ["S2", "S3"]
    assert [a.id for a in found.answers] == ["S1", "S2", "S3"]
    assert seen == [(10, 30, "S2"), (15, 30, "S2"), (20, 30, "S3"), (25, 30, "S3"), (30, 30, "")]


def test_another_recipe_is_measured_anew(tmp_path: Path) -> None:
    study = tmp_path / "c.db"
    counting = Counting(1.0)
    answer(counting.all, study=study)
    (only,) = counting.all
    answer((replace(only, statement=replace(only.statement, recipe="Otherwise.")),), study=study)
    assert counting.calls == ["S1", "S1"]
    answer((replace(only, statement=replace(only.statement, criterion="Stricter.")),), study=study)
    assert counting.calls == ["S1", "S1"]  # judged anew by what is recorded


def test_first_run_and_second_judge_the_same(tmp_path: Path) -> None:
    given: list[Any] = []

    def watch(measured: dict[str, Any]) -> Answer:
        given.append(measured)
        return judge(measured)

    (only,) = Counting(1.0).all
    watched = replace(only, judge=watch)
    for _ in range(2):
        answer((watched,), study=tmp_path / "c.db")
    assert given[0] == given[1]
    assert given[0]["pair"] == [1, 2]


def test_a_number_that_json_lacks_is_no_measurement() -> None:
    (only,) = Counting(1.0).all
    with pytest.raises(ValueError, match="JSON"):
        answer((replace(only, measure=lambda lab: {"value": float("inf")}),))


def test_a_row_is_whole(tmp_path: Path) -> None:
    """It is one transaction: there is no state between none and all."""
    answer(Counting(1.0, 2.0).all, study=tmp_path / "c.db")
    storage = RDBStorage(f"sqlite:///{tmp_path / 'c.db'}")
    (study,) = storage.get_all_studies()
    rows = storage.get_all_trials(study._study_id)
    assert study.study_name == "claims"
    assert {row.state.name for row in rows} == {"COMPLETE"}
    assert all("measured" in row.user_attrs and "fingerprint" in row.user_attrs for row in rows)
    storage.remove_session()
    storage.engine.dispose()


def test_a_study_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database")
    with pytest.raises(TaskError, match=r"study: '.*text.db' cannot be used"):
        answer(Counting(1.0).all, study=tmp_path / "text.db")


def test_unknown_statements_and_jobs() -> None:
    with pytest.raises(ValueError, match="ids: 'S99'; expected S1 to S22"):
        run(["S7", "S99"])
    with pytest.raises(ValueError, match="jobs: 0; expected at least 1"):
        run(["S1"], jobs=0)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (5, "ids: 5; expected a list of S1 to S22"),
        ([5], "ids: 5; expected texts from S1 to S22"),
        (["S7", None], "ids: None; expected texts from S1 to S22"),
    ],
)
def test_what_names_no_statements(ids: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}$"):
        run(ids)


def test_statements_are_found_in_any_case_once_and_in_order() -> None:
    assert [e.id for e in chosen(["s10", "S2", " S10 "])] == ["S2", "S10"]
    assert chosen(None) == tuple(EXPERIMENTS.values())


def test_definitions_are_shown() -> None:
    found = run("S1")
    assert isinstance(found, Claims)
    assert found.answers[0].verdict == "defined"
    assert "y = x   where x > 0" in found.answers[0].code
    (entry,) = found.to_dict()["claims"]
    assert (entry["id"], entry["how"], entry["verdict"]) == ("S1", "define", "defined")


def test_the_functions_are_drawn_as_they_are() -> None:
    (plot,) = run("S5").answers[0].plots
    at = {series.name: dict(zip(series.x, series.y, strict=True)) for series in plot.series}
    assert {name: values[-5.0] for name, values in at.items()} == {
        "relu": 0.0,
        "sigmoid": pytest.approx(1 / (1 + math.exp(5))),
        "tanh": pytest.approx(math.tanh(-5)),
        "prelu(0.25)": -1.25,
    }
    assert {values[2.0] for name, values in at.items() if "relu" in name} == {2.0}


def test_a_condition_comes_with_its_verdict_alone() -> None:
    with pytest.raises(ValueError, match="expected one with 'holds only when', and with no other"):
        Answer("S1", "holds", "Yes.", condition="it rains")
    with pytest.raises(ValueError, match="expected one with 'holds only when', and with no other"):
        Answer("S1", "holds only when", "Yes.")
    assert Answer("S1", "holds only when", "Yes.", condition="it rains").in_full == "holds only when it rains"


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda experiment: experiment.id)
def test_what_is_written_down_beforehand(experiment: Experiment) -> None:
    statement = experiment.statement
    if statement.how == "test":
        assert statement.recipe
        assert statement.criterion
        assert {found.side for found in statement.published} - {"between"}
        assert experiment.seconds > 0


def test_every_statement_has_its_answer() -> None:
    assert list(EXPERIMENTS) == [f"S{n}" for n in range(1, 23)]


def test_all_of_them_take_a_quarter_of_an_hour_at_most() -> None:
    assert sum(experiment.seconds for experiment in EXPERIMENTS.values()) <= 12 * 60
