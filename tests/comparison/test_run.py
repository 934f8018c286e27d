from __future__ import annotations

import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import leaky
from leaky import Activation, Comparison, Task
from leaky.trials import Study, TaskError

ARMS = ["relu", "leaky_relu(0.1)", "tanh"]

# A task in a file, as a user would have it; also imported by the processes that train it.
MINE = """
import os
import numpy as np
from torch import nn

import leaky


def model(activation):
    if os.environ.get("LOG"):
        with open(os.environ["LOG"], "a") as log:
            log.write(f"{activation}\\n")
    return nn.Sequential(nn.Linear(4, 8), activation.module(), nn.Linear(8, 3))


y = np.arange(120) % 3
x = np.random.default_rng(0).normal(size=(120, 4)) + 2 * np.eye(4)[y]
task = leaky.Task(model, x, y, name="mine", epochs=int(os.environ.get("EPOCHS", 3)))
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE)
    return f"{tmp_path / 'mine.py'}:task"


def numbers(comparison: Comparison) -> dict[str, Any]:
    """Return all of a comparison but the timings, which cannot repeat."""
    trials = tuple(replace(trial, seconds_per_step=0.0) for trial in comparison.trials)
    return asdict(replace(comparison, trials=trials))


def test_any_number_of_processes_gives_the_same_numbers(mine: str) -> None:
    one, two = (leaky.compare(mine, ARMS, 3, jobs=jobs) for jobs in (1, 2))
    assert numbers(one) == numbers(two)


def test_the_table_is_in_the_order_asked_for(mine: str) -> None:
    result = leaky.compare(mine, ["tanh", "leaky_relu(0.1)", "tanh"], [4, 2], baseline="relu", jobs=1)
    assert result.activations == ("relu", "tanh", "leaky_relu(0.1)")
    assert [(t.activation, t.seed) for t in result.trials] == [
        (a, s) for a in ("relu", "tanh", "leaky_relu(0.1)") for s in (4, 2)
    ]
    assert [v.activation for v in result.verdicts] == ["tanh", "leaky_relu(0.1)"]


def test_a_subset_of_seeds_and_arms_gives_the_same_trials(mine: str) -> None:
    every = leaky.compare(mine, ARMS, 3, jobs=1)
    part = leaky.compare(mine, ["tanh"], [2], baseline="tanh", jobs=1)
    assert replace(part.trials[0], seconds_per_step=0) == replace(every.arms["tanh"][2], seconds_per_step=0)


def test_finished_trials_are_not_run_again(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "leaky")
    study = tmp_path / "s.db"
    leaky.compare(mine, ARMS, 2, jobs=1, study=study)
    assert caplog.messages == []
    seen: list[tuple[int, int]] = []
    ran: list[tuple[str, int]] = []
    real = leaky.trials.engine.run_trial  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "leaky.trials.engine.run_trial", lambda t, a, s, floor: ran.append((str(a), s)) or real(t, a, s)
    )
    again = leaky.compare(mine, ARMS, 3, jobs=1, study=study, progress=lambda *p: seen.append(p))
    assert ran == [(arm, 2) for arm in ARMS]
    assert seen == [(6, 9), (7, 9), (8, 9), (9, 9)]
    assert caplog.messages == [f"6 of 9 trials are finished in {study}; running the other 3."]
    assert numbers(again) == numbers(leaky.compare(mine, ARMS, 3, jobs=1))


def test_another_recipe_is_not_mixed_in(mine: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "leaky")
    study = tmp_path / "s.db"
    leaky.compare(mine, ARMS, 1, jobs=1, study=study)
    other = leaky.compare(mine, ARMS, 1, epochs=2, jobs=1, study=study)
    assert len(other.trials[0].epochs) == 3
    assert caplog.messages == [
        f"{study} holds 3 trials of another recipe, network or version; they stay there, unused."
    ]


def test_a_task_object_with_a_local_model(tmp_path: Path) -> None:
    def model(activation: Activation) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), activation.module(), nn.Linear(4, 1))

    x = np.random.default_rng(0).normal(size=(40, 2))
    result = leaky.compare(Task(model, x, np.sin(x[:, 0]), epochs=2), ["leaky_relu"], 2, jobs=2)
    assert result.metric == "r2"
    assert result.activations == ("relu", "leaky_relu(0.01)")


def test_diverged_trials_stay_in_the_table(mine: str) -> None:
    def model(activation: Activation) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), activation.module(), nn.Linear(4, 2))

    x = np.random.default_rng(0).normal(size=(40, 2))
    task = Task(model, x, (x[:, 0] > 0).astype(int), epochs=2)
    result = leaky.compare(task, ["leaky_relu(inf)", "leaky_relu(0.1)"], 3, jobs=1)
    assert [t.diverged is not None for t in result.arms["leaky_relu(inf)"]] == [True] * 3
    assert result.verdicts[0].word != "better"
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_training_that_fails_is_one_line_and_keeps_what_finished(mine: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    # Fails in training alone, on the second seed: the first trials are sound and stay.
    path.write_text(
        MINE.replace(
            "    return nn",
            "    import torch\n    if torch.initial_seed() == 1: raise MemoryError('too big')\n    return nn",
        )
    )
    seed_of_1 = int(np.random.SeedSequence(1).generate_state(3)[0])
    path.write_text(path.read_text().replace("== 1", f"== {seed_of_1}"))
    with pytest.raises(TaskError, match=r"the trial of relu with seed 1 failed: MemoryError: too big"):
        leaky.compare(mine, ARMS, 2, jobs=1, study=tmp_path / "s.db")
    found: set[Any] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study, "add", lambda *_: None)
        with pytest.raises(TaskError):
            leaky.compare(mine, ARMS, 2, jobs=1, study=tmp_path / "s.db", progress=lambda *p: found.add(p))
    assert found == {(3, 6)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, "seeds: 0; expected a number from 1 to 10,000, or a list of seeds from 0"),
        ({"seeds": [-1]}, "seeds: [-1]; expected"),
        ({"seeds": [1.7]}, "seeds: [1.7]; expected"),
        ({"seeds": 2.5}, "seeds: 2.5; expected"),
        ({"seeds": True}, "seeds: True; expected"),
        ({"seeds": 10**9}, "seeds: 1000000000; expected"),
        ({"jobs": 0}, "jobs: 0; expected at least 1"),
        ({"activations": ["rel"]}, "activations: 'rel' is unknown"),
        ({"baseline": "rel"}, "baseline: 'rel' is unknown"),
    ],
)
def test_bad_arguments(mine: str, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        leaky.compare(mine, study=tmp_path / "s.db", **arguments)
    assert not (tmp_path / "s.db").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": 5}, "task: 5; expected a leaky.Task, or a name such as digits or mine.py:task"),
        (
            {"task": nn.Linear(2, 2)},
            "task: Linear(in_features=2, out_features=2, bias=True); expected a leaky.Task, or",
        ),
        ({"activations": 5}, "activations: 5; expected a name such as leaky_relu(0.1), a leaky.Activation, or a list"),
        ({"activations": [5]}, "activations: 5; expected a name such as leaky_relu(0.1), or a leaky.Activation"),
        ({"baseline": None}, "baseline: None; expected a name such as leaky_relu(0.1), or a leaky.Activation"),
    ],
)
def test_arguments_of_wrong_types(mine: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
        leaky.compare(**{"task": mine, **arguments})


def test_a_slope_that_is_no_leak_is_warned_of(mine: str, caplog: pytest.LogCaptureFixture) -> None:
    leaky.compare(mine, ["leaky_relu(2)"], 1, epochs=1, jobs=1)
    assert caplog.messages == [
        "leaky_relu(2): a negative slope outside 0 … 1 is unusual, and training with it may diverge"
    ]


def test_unseeded_data_are_the_same_for_every_trial(mine: str, tmp_path: Path) -> None:
    # The file gives other data each time it is run; it is run once, and its task is sent to the processes by value.
    path = tmp_path / "mine.py"
    path.write_text(MINE.replace("default_rng(0)", "default_rng()"))
    task = leaky.trials.load_task(mine)  # type: ignore[attr-defined]
    one, two = (leaky.compare(task, ARMS, 2, jobs=jobs) for jobs in (1, 2))
    assert numbers(one) == numbers(two)


def test_the_callers_random_state_is_left(mine: str) -> None:
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy())  # noqa: NPY002
    leaky.compare(mine, "tanh", 1, epochs=1, jobs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])  # noqa: NPY002


def test_equal_arms_are_one(mine: str) -> None:
    result = leaky.compare(mine, ["leaky_relu(-0)", "leaky_relu(0)"], 1, baseline="leaky_relu(0.0)", epochs=1, jobs=1)
    assert result.activations == ("leaky_relu(0)",)


def test_no_winner_is_invented_where_there_is_none() -> None:
    result = leaky.compare("digits-shallow", ["leaky_relu(0.01)", "leaky_relu(0.1)", "prelu"], 6)
    assert not [v for v in result.verdicts if v.word == "better"]


SCRIPT = """
import sys, leaky
leaky.compare(sys.argv[1], ["relu", "leaky_relu(0.1)", "tanh"], 4, jobs=2, study=sys.argv[2],
              progress=lambda done, total: print(done, flush=True))
"""


@pytest.mark.parametrize(("how", "after"), [(signal.SIGINT, 1), (signal.SIGKILL, 3), (signal.SIGTERM, 5)])
def test_stopped_anywhere_and_started_again_it_is_as_if_never_stopped(
    how: signal.Signals, after: int, mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPOCHS", "40")
    study = str(tmp_path / "s.db")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, mine, study],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that all its processes can be found, and SIGINT reaches them as from a terminal
    )
    assert process.stdout is not None
    while (line := process.stdout.readline()) and int(line) < after:
        pass
    os.killpg(process.pid, how) if how == signal.SIGINT else process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode != 0

    seen: list[tuple[int, int]] = []
    resumed = leaky.compare(mine, ARMS, 4, jobs=2, study=study, progress=lambda *p: seen.append(p))
    assert seen[0][0] >= after
    assert seen[0][0] + len(seen) - 1 == 12
    assert numbers(resumed) == numbers(leaky.compare(mine, ARMS, 4, jobs=2))
    assert _gone(process.pid), "worker processes outlived their parent"


def _gone(group: int, seconds: float = 20.0) -> bool:
    """Whether every process of a group ends within the given time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return False
