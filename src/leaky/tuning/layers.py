"""A slope for each site: which trainings to run, as :mod:`leaky.tuning.search` does it for one slope, and what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import mean
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import create_trial

from leaky import wording
from leaky.activation import Activation
from leaky.comparison import Comparison, Verdict, part
from leaky.trials import Trial
from leaky.trials.study import quiet
from leaky.tuning.search import LEAST, MOST, Key, Round, rounded

# Sets of slopes that are tried, on so many seeds; of them the best, and one slope for all, are trained on more.
_SETS, _SEEDS, _FINALISTS, _MORE = 16, 2, 3, 6

# Sets that are proposed at a time.
_TOGETHER = 2

#: trainings that this takes at most
MOST_TRIALS = _SETS * _SEEDS + _SEEDS + (_FINALISTS + 1) * _MORE

Slopes = tuple[float, ...]


@dataclass
class LayerSearch:
    """The rounds so far, and the next one: a function of finished trainings.

    Args:
        one: the best slope for all sites.
        learned: by a PReLU training, a slope for each site; or none.
        sites: how many.
        first_seed: of the trainings.
    """

    one: float
    learned: Sequence[float]
    sites: int
    first_seed: int
    rounds: list[Round] = field(default_factory=list)
    #: the best set, once that is known; all alike if it is the slope that was the best for all
    best: Slopes | None = None

    def advance(self, finished: Mapping[Key, Trial]) -> Round | None:
        """Return the round that is not finished yet, or None if the search has its answer."""
        tried: list[Slopes] = []
        self.rounds = []
        following = self._first()
        while following:
            tried += following
            self.rounds.append(self._round(following, 0, _SEEDS))
            if not self._done(finished):
                return self.rounds[-1]
            following = self._proposed(tried, finished)[: 1 + _SETS - len(tried)]
        finalists = sorted(tried[1:], key=lambda each: -self._mean(each, finished))[:_FINALISTS]
        self.rounds.append(self._round([tried[0], *finalists], _SEEDS, _SEEDS + _MORE))
        if not self._done(finished):
            return self.rounds[-1]
        self.best = max([tried[0], *finalists], key=lambda each: self._mean(each, finished))
        return None

    @property
    def keys(self) -> list[Key]:
        """The trainings of all rounds so far."""
        return [(str(arm), seed) for each in self.rounds for arm, seed in each.wanted]

    @property
    def answer(self) -> Activation:
        """The best set, as an activation."""
        assert self.best is not None
        return self.arm(self.best)

    def arm(self, slopes: Slopes) -> Activation:
        """Return slopes as an activation; those that are all alike as one, whose trainings there may be already."""
        return Activation("leaky_relu", slopes if len(set(slopes)) > 1 else slopes[:1])

    def _first(self) -> list[Slopes]:
        sets = [(self.one,) * self.sites]
        if len(self.learned) == self.sites:
            sets.append(tuple(rounded(min(max(slope, LEAST), MOST)) for slope in self.learned))
        return list(dict.fromkeys(sets))

    def _round(self, sets: Sequence[Slopes], start: int, end: int) -> Round:
        seeds = range(self.first_seed + start, self.first_seed + end)
        return Round(tuple((self.arm(slopes), seed) for slopes in sets for seed in seeds))

    def _done(self, finished: Mapping[Key, Trial]) -> bool:
        return all((str(arm), seed) in finished for arm, seed in self.rounds[-1].wanted)

    def _mean(self, slopes: Slopes, finished: Mapping[Key, Trial]) -> float:
        """Return the mean score over the seeds that this set was given in the rounds so far; −∞ if one diverged."""
        own = [finished[key].score for key in self.keys if key[0] == str(self.arm(slopes))]
        scores = [score for score in own if score is not None]
        return mean(scores) if len(scores) == len(own) else float("-inf")

    def _proposed(self, tried: Sequence[Slopes], finished: Mapping[Key, Trial]) -> list[Slopes]:
        """Return sets that optuna's TPE sampler proposes from the means, over √slope; it looks near the best so far."""
        names = [f"{site:04}" for site in range(self.sites)]
        ranges: dict[str, BaseDistribution] = {name: FloatDistribution(LEAST**0.5, MOST**0.5) for name in names}
        means = [self._mean(slopes, finished) for slopes in tried]
        worst = min((value for value in means if value > float("-inf")), default=0.0)
        with quiet:
            sampler = optuna.samplers.TPESampler(
                seed=self.first_seed + len(tried), n_startup_trials=0, multivariate=True, constant_liar=True
            )
            study = optuna.create_study(direction="maximize", sampler=sampler)
            for slopes, value in zip(tried, means, strict=True):
                roots = {name: slope**0.5 for name, slope in zip(names, slopes, strict=True)}
                study.add_trial(create_trial(params=roots, distributions=ranges, value=max(value, worst)))
            asked = [study.ask(ranges).params for _ in range(_TOGETHER)]
        new = [tuple(rounded(params[name] ** 2) for name in names) for params in asked]
        return [each for each in dict.fromkeys(new) if each not in tried]


@dataclass(frozen=True)
class Layers:
    """What came of a slope for each site."""

    #: paths of the modules that have one, in the order of ``torch.nn.Module.modules``
    sites: tuple[str, ...]
    #: the best set found; all alike if none was better than the one slope
    slopes: Slopes
    #: what a PReLU training learned, if the network can have it
    learned: Slopes
    trials: tuple[Trial, ...]
    #: on fresh seeds and the test data, against one slope for all; None if that was not tried
    verdict: Verdict | None
    metric: str

    @classmethod
    def of(
        cls,
        search: LayerSearch,
        sites: Sequence[str],
        finished: Mapping[Key, Trial],
        whole: Comparison | None,
        metric: str,
    ) -> Layers:
        """Return what a search that has its answer came to, and what a comparison says of it."""
        assert search.best is not None
        arm, one = str(search.answer), str(search.arm((search.one,) * search.sites))
        judged = () if whole is None or arm == one else part(whole, [one, arm], one).verdicts
        trials = tuple(finished[key] for key in search.keys)
        return cls(tuple(sites), search.best, tuple(search.learned), trials, judged[0] if judged else None, metric)

    @property
    def headline(self) -> str:
        """The answer in a sentence or two."""
        trained = f"{len(self.trials)} trainings with a slope for each of the {len(self.sites)} sites"
        if len(set(self.slopes)) == 1:
            return f"{trained} found nothing better than {self.slopes[0]:.2g} everywhere."
        if self.verdict is None:
            return f"{trained} found a higher mean than one slope's; it was not tried on fresh seeds."
        shown = self.verdict.word != "no difference shown"
        said = f"is {self.verdict.word} than one for all" if shown else "is not shown to be better than one for all"
        return (
            f"A slope for each of the {len(self.sites)} sites {said}{self._difference}. {self.verdict.advice}".strip()
        )

    @property
    def _difference(self) -> str:
        v = self.verdict
        if v is None or v.difference is None or v.low is None:
            return ""
        low, high = (wording.difference(end, self.metric, unit=False) for end in (v.low, v.high))
        return f": {wording.difference(v.difference, self.metric)} (95 %: {low} to {high})"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        trials = [{**asdict(trial), "score": trial.score} for trial in self.trials]
        return {"headline": self.headline, **asdict(self), "trials": trials}
