"""The statements that define something: what they define is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.experiment import Experiment
from leaky.claims.statement import Statement
from leaky.function import leaky_relu

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_SLOPES = (0.01, 0.1, 0.2)
_OLDER: Mapping[str, Function] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "prelu(0.25)": lambda x: leaky_relu(x, 0.25),
}


def _drawn(title: str, functions: Mapping[str, Function]) -> Plot:
    """Return the functions over the range that is customary here."""
    x = np.linspace(-5, 2, 141)
    series = tuple(Series(name, tuple(x.tolist()), tuple(f(x).tolist())) for name, f in functions.items())
    return Plot(title, "x", "y", series, f"{title}, over x from −5 to 2.")


def _defined(key: str, text: str, definition: str, code: str, *plots: Plot) -> Experiment:
    answer = Answer(key, "defined", definition, plots=plots, code=code)
    return Experiment(Statement(key, text, "define"), lambda lab: {}, lambda measured: answer, seconds=0.0)


EXPERIMENTS = (
    _defined(
        "S1",
        "Leaky ReLU is x for x > 0 and αx for x ≤ 0; equally, max(αx, x).",
        "Both zeros and NaN are among everything else. max(αx, x) is the same function for 0 ≤ α ≤ 1 only; for other "
        "slopes the first form rules. One of the articles writes −αx for negative x in a sentence: a slip, its formula is right.",
        "y = x   where x > 0\ny = αx  everywhere else",
    ),
    _defined(
        "S2",
        "α is small, usually 0.01, and from 0.01 to 0.2 in practice; it is chosen before training and fixed in it.",
        "It is 0.01 unless another one is given, in every function and tool of leaky, and no training changes it. The tools warn "
        "of slopes outside 0 … 1; the function follows the formula for any.",
        "leaky.leaky_relu(x, negative_slope=0.01)",
        _drawn(
            "Leaky ReLU with slopes in use",
            {f"leaky_relu({slope:g})": partial(leaky_relu, negative_slope=slope) for slope in _SLOPES},
        ),
    ),
    _defined(
        "S3",
        "The derivative is 1 for x > 0 and α for x < 0; at 0 there is none; the function is continuous everywhere.",
        "At 0, where there is no derivative, leaky returns α, as PyTorch does; JAX returns 1.",
        "dy/dx = 1  where x > 0\ndy/dx = α  everywhere else",
    ),
    _defined(
        "S4",
        "A graph of the function with α = 0.05 over x from −5 to 2, beside ReLU's.",
        "Both are x above 0; below, ReLU is 0 and Leaky ReLU αx: −0.25 at −5.",
        "leaky plot --slope 0.05",
    ),
    _defined(
        "S5",
        "ReLU is max(0, x), its range [0, ∞); sigmoid and tanh are the older activations; PReLU learns its slope.",
        "All four are arms of every comparison, unless others are named.",
        "leaky compare --activation 'leaky_relu(0.1)' --activation sigmoid --activation tanh --activation 'prelu(0.25)'",
        _drawn("ReLU, PReLU with the slope it starts with, sigmoid and tanh", _OLDER),
    ),
    _defined(
        "S22",
        "What is best depends on the case: try it on yours.",
        "Your network is trained with each activation on the same seeds, and it is said which is better, or that no difference is "
        "shown.",
        "leaky compare --task mine.py:task",
    ),
)
