"""Training runs: the task, one trial of it, the record of many, and the engine that runs them."""

from leaky.trials.builtin import BUILTIN, initialise, mlp
from leaky.trials.cohort import run_cohort
from leaky.trials.engine import Engine, run_trials
from leaky.trials.environment import environment
from leaky.trials.grouping import Cohorts
from leaky.trials.loading import TaskSource, load_task
from leaky.trials.making import places, suits
from leaky.trials.record import Epoch, Trial
from leaky.trials.rehearsal import describe, rehearse
from leaky.trials.sharing import complete
from leaky.trials.study import Study
from leaky.trials.task import Task, TaskError
from leaky.trials.training import run_trial

__all__ = [
    "BUILTIN",
    "Cohorts",
    "Engine",
    "Epoch",
    "Study",
    "Task",
    "TaskError",
    "TaskSource",
    "Trial",
    "complete",
    "describe",
    "environment",
    "initialise",
    "load_task",
    "mlp",
    "places",
    "rehearse",
    "run_cohort",
    "run_trial",
    "run_trials",
    "suits",
]
