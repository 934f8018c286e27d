"""A floor ends a trial and changes none of its numbers."""

from __future__ import annotations

import numpy as np

import leaky
import leaky.trials


def test_numbers_of_a_trial_do_not_depend_on_a_floor_it_keeps(mine: str) -> None:
    from leaky.trials import load_task, run_trial

    task = load_task(mine)
    free = run_trial(task, leaky.Activation("relu"), 0)
    kept = run_trial(task, leaky.Activation("relu"), 0, [-np.inf] * 31)
    given_up = run_trial(task, leaky.Activation("relu"), 0, [-np.inf] * 5 + [2.0] * 26)
    assert [e.test_score for e in free.epochs] == [e.test_score for e in kept.epochs]
    assert given_up.stopped == 5
    assert given_up.epochs == free.epochs[:6]
