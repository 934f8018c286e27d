"""The score as a function of the slope, as far as noisy trainings show it: Gaussian processes, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import studentized_range
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

Floats = NDArray[np.float64]

#: slopes at which the curve is given: evenly spaced in their square roots, in which scores change about evenly
GRID: Floats = np.linspace(0, 1, 81) ** 2

#: probability of the bounds on what a slope may lose: 95 % would take about a fifth more trainings
SURE = 0.9

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
        parts = []
        for mean, covariance, count in zip(
            self.means, self.covariances, np.ceil(self.weights * _DRAWS).astype(int), strict=True
        ):
            values, vectors = np.linalg.eigh(covariance)
            normal = rng.standard_normal((count, len(mean)))
            parts.append(mean + normal * np.sqrt(np.maximum(values, 0)) @ vectors.T)
        return np.concatenate(parts)


def _mixture(x: Floats, y: Floats, asked: Floats, least: float) -> _Mixture:
    """Return the processes that values of mean 0 and variance 1 leave likely."""
    noises = np.geomspace(0.1, 3, 10)
    variances = np.geomspace(least**2, 1e2 * max(1.0, least**2), 8)
    kernel = ConstantKernel(1.0) * RBF(1.0) + WhiteKernel(1.0)
    process = GaussianProcessRegressor(kernel, optimizer=None).fit(x[:, None], y)
    thetas = np.log([*product(variances, np.geomspace(0.15, 0.7, 5), noises**2)])
    likelihoods = np.array([process.log_marginal_likelihood(theta) for theta in thetas])
    weights = np.exp(likelihoods - likelihoods.max())
    likely = np.argsort(-weights)
    likely = likely[: int(np.searchsorted(np.cumsum(weights[likely]), 0.99 * weights.sum())) + 1]
    means, covariances = [], []
    for theta in thetas[likely]:
        fitted = kernel.clone_with_theta(theta)
        smooth = GaussianProcessRegressor(fitted.k1, alpha=fitted.k2.noise_level, optimizer=None).fit(x[:, None], y)
        mean, covariance = smooth.predict(asked[:, None], return_cov=True)
        means.append(mean)
        covariances.append(covariance)
    return _Mixture(
        weights[likely] / weights[likely].sum(),
        np.array(means),
        np.array(covariances),
        np.exp(thetas[likely, 2] / 2),
    )


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
