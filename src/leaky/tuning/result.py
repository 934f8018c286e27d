"""What a tuning returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from leaky import wording
from leaky.comparison import Comparison
from leaky.trials import Trial
from leaky.tuning.curve import Curve


@dataclass(frozen=True, repr=False)
class Tuning:
    """The slope that suits a task, how sure that is, and the trainings that show it; ``print`` shows the answer."""

    task: str
    metric: str
    recipe: dict[str, str]
    environment: dict[str, str]
    #: the slope found, on data set aside from the training data
    slope: float
    #: slopes from here to there are as good, within the noise
    as_good: tuple[float, float]
    #: the score over the slope
    curve: Curve
    #: the trainings of the search; their scores are on the data set aside
    trials: tuple[Trial, ...]
    #: slopes that were given up on the way, each with the reason
    dropped: dict[float, str]
    #: what the slope may lose against the best one, that was to be reached for the search to end
    tolerance: float
    #: why the search ended
    ended: str
    #: the slope found on fresh seeds and the task's own test data, against 0.01, ReLU and PReLU; None if not asked for
    confirmation: Comparison | None

    @property
    def headline(self) -> str:
        """The answer in a sentence or two."""
        low, high = (f"{end:.2g}" for end in self.as_good)
        within = f"slopes from {low} to {high} are as good within the noise"
        if self.as_good[0] <= 0.01 <= self.as_good[1]:
            return f"On {self.task}, 0.01 is as good as any slope here: {within}; the best mean is at {self.slope:.2g}."
        return f"On {self.task}, the slope {self.slope:.2g} is best; {within}, and 0.01 is worse."

    @property
    def bound(self) -> str:
        """How much the slope may lose against the best, in words."""
        loss = wording.difference(self.curve.regret_bound, self.metric).lstrip("+")
        return f"Against the best slope it loses at most {loss} (95 %), by {len(self.trials)} trainings; {self.ended}."

    def __str__(self) -> str:
        confirmed = [] if self.confirmation is None else [str(self.confirmation)]
        return "\n".join([self.headline, self.bound, *confirmed])

    def __repr__(self) -> str:
        return f"<leaky.Tuning on {self.task}: slope {self.slope:.2g}, {wording.counted(len(self.trials), 'training')}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the tuning as plain JSON types."""
        curve = {
            name: value.tolist() if hasattr(value, "tolist") else value for name, value in vars(self.curve).items()
        }
        trials = [{**asdict(trial), "score": trial.score} for trial in self.trials]
        return {
            "headline": self.headline,
            **{name: getattr(self, name) for name in ("task", "metric", "recipe", "environment", "slope", "as_good")},
            "curve": curve,
            "trials": trials,
            "dropped": {str(slope): reason for slope, reason in self.dropped.items()},
            "tolerance": self.tolerance,
            "ended": self.ended,
            "confirmation": None if self.confirmation is None else self.confirmation.to_dict(),
        }
