"""How often the bound on what a tuned slope may lose holds, on made-up scores: hills of three heights, four kinds of noise.

python bench/bound.py
"""

from __future__ import annotations

from itertools import product

import numpy as np

from leaky.tuning.curve import GRID, SURE, fit

SLOPES = (0.01, 0.1, 0.1818, 0.2, 0.3, 0.62, 1.0)
HEIGHTS, NOISES, TIMES, TOLERANCE = (0.01, 0.03, 0.08), ((0.005, 2), (0.02, 2), (0.02, 4), (0.05, 2)), 40, 0.01


def case(height: float, noise: float, seeds: int, number: int) -> tuple[float, float]:
    """Return what the slope chosen loses against the best, and the bound on that."""

    def hill(slope: float) -> float:
        return 0.85 + height * float(np.exp(-(((slope**0.5 - 0.55) / 0.25) ** 2)))

    rng = np.random.default_rng(number)
    lucky = rng.normal(0, 0.05, seeds)
    scores = {s: {i: hill(s) + lucky[i] + rng.normal(0, noise) for i in range(seeds)} for s in SLOPES}
    curve = fit(scores, SLOPES, TOLERANCE)
    return max(hill(slope) for slope in GRID) - hill(curve.best), curve.regret_bound


def main() -> None:
    """Print a line for each hill and noise."""
    print("height noise seeds bound loses  holds")
    held = []
    for height, (noise, seeds) in product(HEIGHTS, NOISES):
        cases = np.array([case(height, noise, seeds, number) for number in range(TIMES)])
        losses, bounds = cases.T
        held.append(float((losses <= bounds).mean()))
        print(f"{height:6} {noise:5} {seeds:5} {bounds.mean():.3f} {losses.mean():.3f} {held[-1]:6.1%}")
    print(f"in all it holds in {np.mean(held):.0%}, where {SURE:.0%} are said")


if __name__ == "__main__":
    main()
