"""The score as a function of the slope, as far as noisy trainings show it: a Gaussian process, and what follows from it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import studentized_range
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

Floats = NDArray[np.float64]

#: slopes at which the curve is given: evenly spaced in their square roots, in which scores change about evenly
GRID: Floats = np.linspace(0, 1, 81) ** 2

# Functions drawn from the process, of which probabilities are counted.
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
    #: what it may lose against the truly best slope, by the process: mean, and bound at 95 %
    regret: float
    regret_bound: float
    #: what each of the slopes may lose against the truly best one: bound at 95 %
    loss_bounds: Floats
    #: which of the slopes are shown to be worse than the best one, at 5 % for all of them together
    worse: NDArray[np.bool_]
    #: ends of the range of slopes around the best, as far as they were tried, that are as good within the noise
    as_good: tuple[float, float]


def fit(scores: Mapping[float, Mapping[int, float]], eligible: Collection[float], least: float) -> Curve:
    """Return the curve that the scores, by slope and seed, show; the best slope is one of the eligible ones.

    What a seed does to all slopes alike is taken out first, so that slopes tried on other seeds can be compared. Then a
    Gaussian process over √slope is fitted by maximum likelihood (Rasmussen & Williams 2006, algorithm 2.1, as
    scikit-learn does it). The same scores give the same curve. The means of different slopes are taken to differ by
    ``least`` (their standard deviation) or more, so that slopes that were not tried are never taken for equally good.
    """
    slopes, values = centred(scores)
    scale = max(float(values.std()), 1e-6)
    offset = float(values.mean())
    weakest = (least / scale) ** 2
    variance = ConstantKernel(max(1.0, 2 * weakest), (weakest, 1e2 * max(1.0, weakest)))
    kernel = variance * RBF(0.3, (0.15, 0.7)) + WhiteKernel(0.5, (1e-2, 1e1))
    process = GaussianProcessRegressor(kernel, n_restarts_optimizer=4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a parameter at the end of its range will do
        process.fit(np.sqrt(slopes)[:, None], (values - offset) / scale)
    noise = float(np.sqrt(process.kernel_.k2.noise_level))
    smooth = GaussianProcessRegressor(process.kernel_.k1, alpha=noise**2, optimizer=None)
    smooth.fit(np.sqrt(slopes)[:, None], (values - offset) / scale)
    asked = np.union1d(GRID, slopes)
    mean, covariance = smooth.predict(np.sqrt(asked)[:, None], return_cov=True)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0))
    drawn = _draws(mean, covariance)
    best = int(np.argmax(np.where(np.isin(asked, list(eligible)), mean, -np.inf)))
    losses = drawn.max(axis=1, keepdims=True) - drawn
    bounds = np.quantile(losses, 0.95, axis=0) * scale
    apart = np.sqrt(np.maximum(np.diag(covariance) + covariance[best, best] - 2 * covariance[best], 0))
    worse = mean[best] - mean > _needed(slopes, (values - offset) / scale, scores, noise) * apart
    return Curve(
        slopes=asked,
        mean=mean * scale + offset,
        low=(mean - 1.96 * spread) * scale + offset,
        high=(mean + 1.96 * spread) * scale + offset,
        noise=noise * scale,
        best=float(asked[best]),
        regret=float(losses[:, best].mean()) * scale,
        regret_bound=float(bounds[best]),
        loss_bounds=bounds,
        worse=worse,
        as_good=_as_good(asked, worse, best, (slopes.min(), slopes.max())),
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


def _draws(mean: Floats, covariance: Floats) -> Floats:
    """Return functions drawn from the process, shape (draws, slopes); always the same ones."""
    values, vectors = np.linalg.eigh(covariance)
    normal = np.random.default_rng(0).standard_normal((_DRAWS, len(mean)))
    drawn: Floats = mean + normal * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return drawn


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
