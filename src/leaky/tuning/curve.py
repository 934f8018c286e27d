"""The score as a function of the slope, as far as noisy trainings show it: Gaussian processes, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import studentized_range

Floats = NDArray[np.float64]

#: slopes at which the curve is given: evenly spaced in their square roots, in which scores change about evenly
GRID: Floats = np.linspace(0, 1, 81) ** 2

#: probability of the bounds on what a slope may lose: 95 % would take about a fifth more trainings
SURE = 0.9

# Of the processes, in units of √slope and of the scores' standard deviation: over what slopes scores stay alike, and noise.
_LENGTHS, _NOISES = np.geomspace(0.15, 0.7, 5), np.geomspace(0.1, 3, 10)

# Functions drawn from the processes, of which probabilities are counted.
_DRAWS = 2000


@dataclass(frozen=True)
class Curve:
    """What is known of the mean score at each of these slopes: those of :data:`GRID`, and those that were tried."""

    slopes: Floats
    mean: Floats
    #: ends of the 95 % interval of the mean score
    low: Floats
    high: Floats
    #: standard deviation of one training's score about the mean of its slope and seed
    noise: float
    #: of the slopes that may be chosen, the one with the highest mean
    best: float
    #: what it may lose against the truly best slope, by the processes: mean, and bound at :data:`SURE`
    regret: float
    regret_bound: float
    #: what each of the slopes may lose against the truly best one: bound at :data:`SURE`
    loss_bounds: Floats
    #: which of the slopes are shown to be worse than the best one, at 5 % for all of them together
    worse: NDArray[np.bool_]
    #: ends of the range of slopes around the best, as far as they were tried, that are as good within the noise
    as_good: tuple[float, float]


def fit(scores: Mapping[float, Mapping[int, float]], eligible: Collection[float], least: float) -> Curve:
    """Return the curve that the scores, by slope and seed, show; the best slope is one of the eligible ones.

    What a seed does to all slopes alike is taken out first, so that slopes tried on other seeds can be compared. Then
    Gaussian processes over √slope are fitted, one for each of a grid of length scales, variances and noises, and weighed
    by their marginal likelihood (Rasmussen & Williams 2006, algorithm 2.1 and section 5.2): few scores do not tell these
    apart, and the likeliest alone would be too sure of itself. The same scores give the same curve. The means of
    different slopes are taken to differ by ``least`` (their standard deviation) or more, so that slopes that were not
    tried are never taken for equally good.
    """
    slopes, values = centred(scores)
    scale = max(float(values.std()), 1e-6)
    offset = float(values.mean())
    asked = np.union1d(GRID, slopes)
    known = _mixture(np.sqrt(slopes), (values - offset) / scale, np.sqrt(asked), least / scale)
    best = int(np.argmax(np.where(np.isin(asked, list(eligible)), known.mean, -np.inf)))
    drawn = known.draws()
    losses = drawn.max(axis=1, keepdims=True) - drawn
    bounds = np.quantile(losses, SURE, axis=0) * scale
    spread = known.spread()
    behind = known.mean[best] - known.mean
    worse = behind > _needed(slopes, (values - offset) / scale, scores, known.noise) * known.spread(best)
    return Curve(
        slopes=asked,
        mean=known.mean * scale + offset,
        low=(known.mean - 1.96 * spread) * scale + offset,
        high=(known.mean + 1.96 * spread) * scale + offset,
        noise=known.noise * scale,
        best=float(asked[best]),
        regret=float(losses[:, best].mean()) * scale,
        regret_bound=float(bounds[best]),
        loss_bounds=bounds,
        worse=worse,
        as_good=_as_good(asked, worse, best, (slopes.min(), slopes.max())),
    )


@dataclass(frozen=True)
class _Mixture:
    """Gaussian processes at the same places, each with its weight."""

    #: shape (processes,), adding up to 1
    weights: Floats
    #: shapes (processes, places) and (processes, places, places)
    means: Floats
    covariances: Floats
    noises: Floats
    #: the largest before any value is known
    variance: float

    @property
    def mean(self) -> Floats:
        mean: Floats = self.weights @ self.means
        return mean

    @property
    def noise(self) -> float:
        return float(np.sqrt(self.weights @ self.noises**2))

    def spread(self, reference: int | None = None) -> Floats:
        """Return the standard deviation at each place; of the difference to a place, if one is named."""
        means, variances = self.means, np.diagonal(self.covariances, axis1=1, axis2=2)
        if reference is not None:
            means = means - means[:, reference, None]
            variances = variances + variances[:, reference, None] - 2 * self.covariances[:, reference]
        second = self.weights @ (variances + means**2)
        spread: Floats = np.sqrt(np.maximum(second - (self.weights @ means) ** 2, 0))
        return spread

    def draws(self) -> Floats:
        """Return functions drawn, shape (draws, places); always the same ones."""
        rng = np.random.default_rng(0)
        drawn = []
        for mean, covariance, weight in zip(self.means, self.covariances, self.weights, strict=True):
            # What rounding leaves of it may not be positive definite.
            root = np.linalg.cholesky(covariance + 1e-8 * self.variance * np.eye(len(mean)))
            drawn.append(mean + rng.standard_normal((math.ceil(weight * _DRAWS), len(mean))) @ root.T)
        return np.concatenate(drawn)


def _mixture(x: Floats, y: Floats, asked: Floats, least: float) -> _Mixture:
    """Return the processes that values of mean 0 and variance 1 leave likely: 99 % of all that are tried."""
    variances = np.geomspace(least**2, 1e2 * max(1.0, least**2), 8)
    tried = []
    for length in _LENGTHS:
        values, vectors = np.linalg.eigh(_kernel(x, x, length))
        along, cross = vectors.T @ y, _kernel(asked, x, length) @ vectors
        for variance, noise in product(variances, _NOISES):
            total = variance * np.maximum(values, 0.0) + noise**2
            likelihood = -0.5 * float(np.sum(along**2 / total + np.log(total)))
            tried.append((likelihood, variance, noise, length, along / total, cross, total))
    weights = np.exp(np.array([each[0] for each in tried]) - max(each[0] for each in tried))
    order = np.argsort(-weights)
    likely = order[: int(np.searchsorted(np.cumsum(weights[order]), 0.99 * weights.sum())) + 1]
    means, covariances = [], []
    for _, variance, _, length, answer, cross, total in (tried[index] for index in likely):
        means.append(variance * cross @ answer)
        covariances.append(variance * _kernel(asked, asked, length) - variance**2 * (cross / total) @ cross.T)
    noises = np.array([tried[index][2] for index in likely])
    return _Mixture(
        weights[likely] / weights[likely].sum(), np.array(means), np.array(covariances), noises, float(variances[-1])
    )


def _kernel(x: Floats, other: Floats, length: float) -> Floats:
    """Return how alike scores are: the squared exponential of the distance."""
    alike: Floats = np.exp(-0.5 * np.square((x[:, None] - other) / length))
    return alike


def centred(scores: Mapping[float, Mapping[int, float]]) -> tuple[Floats, Floats]:
    """Return the slopes and the scores of all trainings, the effects of the seeds taken out (least squares, mean 0)."""
    rows = [(slope, seed, score) for slope, by_seed in scores.items() for seed, score in by_seed.items()]
    slopes, seeds = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    effects = np.zeros((len(rows) + 1, len(slopes) + len(seeds)))
    for row, (slope, seed, _) in enumerate(rows):
        effects[row, slopes.index(slope)] = effects[row, len(slopes) + seeds.index(seed)] = 1
    effects[-1, len(slopes) :] = 1  # the seeds' effects add up to nothing
    values = np.array([row[2] for row in rows])
    solved = np.linalg.lstsq(effects, np.append(values, 0.0))[0]
    by_seed = dict(zip(seeds, solved[len(slopes) :], strict=True))
    return np.array([row[0] for row in rows]), values - np.array([by_seed[row[1]] for row in rows])


def _needed(slopes: Floats, values: Floats, scores: Mapping[float, Mapping[int, float]], noise: float) -> float:
    """Return by how many standard deviations of their difference a slope has to be behind the best to be shown worse.

    By Tukey's and Kramer's method (Kramer 1956), at 5 % for all slopes together: the best was chosen among many, and the
    noise is itself known from few trainings; it is taken to be no less than what is left between seeds of one slope.
    """
    freedom = len(values) - len(scores) - len({seed for by_seed in scores.values() for seed in by_seed}) + 1
    if freedom < 1 or len(scores) < 2:
        return math.inf
    left = sum(float(((own := values[slopes == slope]) - own.mean()) @ (own - own.mean())) for slope in scores)
    short = max(1.0, math.sqrt(left / freedom) / noise)
    return short * float(studentized_range.ppf(0.95, len(scores), freedom)) / math.sqrt(2)


def _as_good(slopes: Floats, worse: NDArray[np.bool_], best: int, tried: tuple[float, float]) -> tuple[float, float]:
    below, above = np.nonzero(worse[:best])[0], np.nonzero(worse[best:])[0]
    first = int(below[-1]) + 1 if len(below) else 0
    last = best + int(above[0]) - 1 if len(above) else len(slopes) - 1
    return max(float(slopes[first]), float(tried[0])), min(float(slopes[last]), float(tried[1]))
