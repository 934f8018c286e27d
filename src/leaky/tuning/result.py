"""What a tuning returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from leaky import wording
from leaky.activation import Activation
from leaky.comparison import Comparison
from leaky.trials import Trial
from leaky.tuning.curve import SURE, Curve
from leaky.tuning.layers import Layers
from leaky.tuning.search import LEAST, MOST

# The slope that Leaky ReLU has where nobody chose one.
_CUSTOMARY = 0.01


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
    #: a slope for each site; None if not asked for, or there was no time
    layers: Layers | None = None

    @property
    def settled(self) -> bool:
        """Whether the slope loses at most the tolerance against the best, by what is known."""
        return self.curve.regret_bound <= self.tolerance

    @property
    def headline(self) -> str:
        """The answer in a sentence or two."""
        place = self.curve.slopes.searchsorted(_CUSTOMARY)  # which is always among those tried
        customary = bool(self.curve.worse[place])
        slope = f"{self.slope:.2g}"
        alone = self.slope == _CUSTOMARY and self.as_good[0] == self.as_good[1]
        if customary or alone or not self.as_good[0] <= _CUSTOMARY <= self.as_good[1]:
            said = f"the slope {slope} is the best found" if self.settled else f"the slope {slope} did best so far"
            last = "" if alone else ", and 0.01 is worse" if customary else ", and 0.01 is not shown to be worse"
            return f"On {self.task}, {said}{self._edge}; {self._range}{last}."
        settled = self.curve.loss_bounds[place] <= self.tolerance
        said = "0.01 is as good as any slope here" if settled else "0.01 is not shown to be worse than any slope"
        mean = "It has the best mean" if self.slope == _CUSTOMARY else f"The best mean is at {slope}"
        return f"On {self.task}, {said}: {self._range}. {mean}{self._edge}."

    @property
    def _range(self) -> str:
        low, high = (f"{end:.2g}" for end in self.as_good)
        if low == high:
            return "no slope next to it is as good"
        return f"slopes from {low} to {high} are as good within the noise"

    @property
    def _edge(self) -> str:
        """Say where the best lies at the end of what was tried: what is beyond is a guess."""
        tried = [Activation.parse(trial.activation) for trial in self.trials]
        slopes = {arm.parameters[0] for arm in tried if arm.name == "leaky_relu"}
        ends = {max(slopes): ("largest", MOST), min(slopes): ("smallest", LEAST)}
        if len(slopes) == 1 or self.slope not in ends:
            return ""
        which, last = ends[self.slope]
        return f", the {which} that is searched" if self.slope == last else f", the {which} that was tried"

    @property
    def bound(self) -> str:
        """How much the slope may lose against the best, in words."""
        # A tolerance below a tenth of a point is told too.
        loss, tolerance = (
            wording.difference(value, self.metric, 1 if self.tolerance >= 0.001 else 3).lstrip("+")
            for value in (self.curve.regret_bound, self.tolerance)
        )
        said = f"By {len(self.trials)} trainings, it loses at most {loss} against the best slope ({100 * SURE:g} %)"
        if self.settled:
            return f"{said}: within the tolerance of {tolerance}."
        return f"{said}, not within the tolerance of {tolerance}: {self.ended}."

    def __str__(self) -> str:
        confirmed = [] if self.confirmation is None else [str(self.confirmation)]
        layers = [] if self.layers is None else [self.layers.headline]
        return "\n".join([self.headline, self.bound, *layers, *confirmed])

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
            "layers": None if self.layers is None else self.layers.to_dict(),
        }
