"""Which trainings to run next: a function of those that are finished, in rounds."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import mean, median

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from leaky.activation import Activation
from leaky.trials import Trial
from leaky.trials.study import quiet
from leaky.tuning.curve import Curve, centred, fit

#: slopes to begin with: of Maas et al. (2013), two customary ones, and Xu et al. (2015): 1/5.5 and, of RReLU's, the largest
START = (0.01, 0.1, 1 / 5.5, 0.2, 0.3)

#: learns its slopes, once, and they are tried too (He et al. 2015)
LEARNED = Activation("prelu")

#: the slopes that are searched; beyond 1 it is no leak, and 0 is ReLU, against which the answer is confirmed
LEAST, MOST = 0.001, 1.0

# Seeds added to a slope at a time, and slopes deepened in a round.
_SEEDS, _DEEPENED = 2, 2

# Means of different slopes are taken to differ by this (their standard deviation) at least. Were they taken for equal as soon
# as noise hides what they differ by, small tolerances would be reached at once, and slopes be lost by more than those.
_DIFFER = 0.01

# Wilcoxon's test says nothing of fewer pairs.
_FEWEST_PAIRS = 4

#: activation as text, and seed
Key = tuple[str, int]


@dataclass(frozen=True)
class Round:
    """Trainings that are wanted together, once all of earlier rounds are finished."""

    wanted: tuple[tuple[Activation, int], ...]
    #: scores by epoch, 0 being birth: a training that falls below is hopeless, and stops
    floor: tuple[float, ...] = ()


@dataclass
class Search:
    """The rounds so far, and the next one.

    What a round wants depends on the trainings of earlier rounds alone, not on when or where they finished: so an
    interrupted search goes on as it would have, and several workers come to the answer of one.

    Args:
        epochs: of a training.
        tolerance: the search ends when the slope found loses at most this against the best, with 90 % certainty.
        trials: the search ends when so many trainings are done.
        first_seed: of the trainings; they take this one and those that follow.
        learns: whether the network can be had with PReLU, whose slopes are tried too.
    """

    epochs: int
    tolerance: float
    trials: int
    first_seed: int = 0
    learns: bool = True
    rounds: list[Round] = field(default_factory=list)
    curve: Curve | None = None
    #: slopes that are tried no more, each with the reason
    dropped: dict[float, str] = field(default_factory=dict)

    def advance(self, finished: Mapping[Key, Trial]) -> Round | None:
        """Return the round that is not finished yet, or None if the search has its answer."""
        if not self.rounds:
            first = [(LEARNED, self.first_seed)] if self.learns else []
            first += [(_leaky(slope), seed) for seed in self._unused({}) for slope in START]
            self.rounds.append(Round(tuple(first[: self.trials])))
        while all((str(arm), seed) in finished for arm, seed in self.rounds[-1].wanted):
            done = {key: finished[key] for key in self.keys}
            following = self._next(done)
            if following is None:
                return None
            self.rounds.append(following)
        return self.rounds[-1]

    @property
    def keys(self) -> list[Key]:
        """The trainings of all rounds so far."""
        return [(str(arm), seed) for each in self.rounds for arm, seed in each.wanted]

    def _next(self, done: Mapping[Key, Trial]) -> Round | None:
        scores, eligible = scored(done)
        if not eligible:
            self.curve = None  # that of an earlier round has a best slope that has diverged since
            return None
        self.curve = curve = fit(scores, eligible, max(self.tolerance, _DIFFER))
        left = self.trials - len(done)
        if curve.regret_bound <= self.tolerance or left < 1:
            return None
        self._drop(scores, curve.best)
        alive = sorted((s for s in scores if s not in self.dropped), key=lambda s: (-_upper(curve, s), s))
        wanted = [(_leaky(slope), seed) for slope in alive[:_DEEPENED] for seed in self._unused(scores[slope])]
        new = [slope for slope in self._new(done, scores) if _untried(slope, scores)]
        if len(alive) == 1 and not new and (unknown := _least_known(curve, scores)) is not None:
            wanted, new = [], [unknown]  # more seeds of the only one left would be compared with nothing
        wanted += [(_leaky(slope), seed) for slope in dict.fromkeys(new) for seed in self._unused({})]
        return Round(tuple(wanted[:left]), self._floor(done))

    def _new(self, done: Mapping[Key, Trial], scores: Mapping[float, Mapping[int, float]]) -> Iterator[float]:
        """Yield slopes that were not tried yet: once the one that PReLU has learned, and what optuna proposes."""
        learned = done[str(LEARNED), self.first_seed].slopes if self.learns and len(self.rounds) == 1 else ()
        if learned:
            yield rounded(min(max(median(learned), LEAST), MOST))
        with quiet:
            sampler = optuna.samplers.GPSampler(seed=self.first_seed + len(self.rounds), n_startup_trials=0)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            distribution: dict[str, BaseDistribution] = {"root": FloatDistribution(LEAST**0.5, MOST**0.5)}
            slopes, values = centred(scores)
            for slope in scores:
                value = float(values[slopes == slope].mean())
                study.add_trial(create_trial(params={"root": slope**0.5}, distributions=distribution, value=value))
            yield rounded(study.ask(distribution).params["root"] ** 2)

    def _unused(self, by_seed: Mapping[int, float]) -> list[int]:
        """Return the next seeds of a slope: all slopes take the same ones, in the same order, and so are paired."""
        seeds = range(self.first_seed, self.first_seed + len(by_seed) + _SEEDS)
        return [seed for seed in seeds if seed not in by_seed][:_SEEDS]

    def _drop(self, scores: Mapping[float, Mapping[int, float]], best: float) -> None:
        """Give up slopes that are worse than the best one on the same seeds, by Wilcoxon's signed-rank test."""
        with quiet:
            study = optuna.create_study(direction="maximize")
            study.add_trial(create_trial(value=mean(scores[best].values()), intermediate_values=dict(scores[best])))
            pruner = optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=_FEWEST_PAIRS)
            for slope, by_seed in scores.items():
                paired = {seed: score for seed, score in by_seed.items() if seed in scores[best]}
                trial = create_trial(state=TrialState.RUNNING, intermediate_values=paired)
                pairs = len(paired)
                if (
                    slope != best
                    and slope not in self.dropped
                    and pairs >= _FEWEST_PAIRS
                    and pruner.prune(study, trial)
                ):
                    self.dropped[slope] = f"worse than {best:g} on {pairs} seeds"

    def _floor(self, done: Mapping[Key, Trial]) -> tuple[float, ...]:
        """Return, by epoch, half of what the worst training so far had learned; in the first third of the epochs nothing."""
        curves = [[e.test_score or 0.0 for e in t.epochs] for t in done.values() if t.score is not None]
        full = [scores for scores in curves if len(scores) == self.epochs + 1]
        if not full:
            return ()
        birth = mean(scores[0] for scores in full)
        half = [(birth + min(column)) / 2 for column in zip(*full, strict=True)]
        return tuple(-math.inf if 3 * epoch < self.epochs else score for epoch, score in enumerate(half))


def scored(done: Mapping[Key, Trial]) -> tuple[dict[float, dict[int, float]], set[float]]:
    """Return the scores by slope and seed, and the slopes that may be chosen: those of which no training diverged.

    A training that diverged counts as the worst of those that did not.
    """
    rows = [(Activation.parse(arm), seed, trial) for (arm, seed), trial in done.items() if arm != str(LEARNED)]
    finite = [trial.score for _, _, trial in rows if trial.score is not None]
    worst = min(finite, default=0.0)
    scores: dict[float, dict[int, float]] = {}
    for arm, seed, trial in rows:
        scores.setdefault(arm.parameters[0], {})[seed] = worst if trial.score is None else trial.score
    bad = {arm.parameters[0] for arm, _, trial in rows if trial.score is None}
    return scores, set(scores) - bad


def _leaky(slope: float) -> Activation:
    return Activation("leaky_relu", (slope,))


def _untried(slope: float, scores: Collection[float]) -> bool:
    return all(abs(slope - tried) > 0.05 * tried for tried in scores)


def _least_known(curve: Curve, scores: Collection[float]) -> float | None:
    """Return the untried slope that may be the best of them, if there is one."""
    by_slope = {rounded(slope): float(high) for slope, high in zip(curve.slopes, curve.high, strict=True)}
    untried = [slope for slope in by_slope if slope >= LEAST and _untried(slope, scores)]
    return max(untried, key=lambda slope: by_slope[slope], default=None)


def rounded(slope: float) -> float:
    """Return a slope in the two digits that are said of it."""
    return float(f"{slope:.2g}")


def _upper(curve: Curve, slope: float) -> float:
    return float(curve.high[curve.slopes.searchsorted(slope)])
