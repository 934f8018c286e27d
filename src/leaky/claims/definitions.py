"""The statements that define something: what they define is shown."""

from __future__ import annotations

from leaky.claims.answer import Answer
from leaky.claims.experiment import Experiment
from leaky.claims.statement import Statement


def _defined(key: str, text: str, definition: str) -> Experiment:
    statement = Statement(key, text, "define")
    return Experiment(statement, lambda lab: {}, lambda measured: Answer(key, "defined", definition), seconds=0.0)


EXPERIMENTS = (
    _defined(
        "S1",
        "Leaky ReLU is x for x > 0 and αx for x ≤ 0; equally, max(αx, x).",
        "y = x where x > 0, and y = αx everywhere else, both zeros and NaN included. max(αx, x) is the same function "
        "for 0 ≤ α ≤ 1 only; for other slopes the first form rules. One of the articles writes −αx for negative x in a "
        "sentence: a slip, its formula is right.",
    ),
    _defined(
        "S2",
        "α is small, usually 0.01, and from 0.01 to 0.2 in practice; it is chosen before training and fixed in it.",
        "negative_slope is 0.01 unless another one is given, in every function and tool of leaky, and no training changes "
        "it. The tools warn of slopes outside 0 … 1; the function follows the formula for any.",
    ),
    _defined(
        "S3",
        "The derivative is 1 for x > 0 and α for x < 0; at 0 there is none; the function is continuous everywhere.",
        "dy/dx = 1 where x > 0, and α everywhere else. At 0, where there is no derivative, leaky returns α, as PyTorch "
        "does; JAX returns 1.",
    ),
    _defined(
        "S4",
        "A graph of the function with α = 0.05 over x from −5 to 2, beside ReLU's.",
        "Drawn by leaky plot --slope 0.05.",
    ),
    _defined(
        "S5",
        "ReLU is max(0, x), its range [0, ∞); sigmoid and tanh are the older activations; PReLU learns its slope.",
        "All four are arms of every comparison: leaky compare --activation relu --activation sigmoid --activation tanh "
        "--activation 'prelu(0.25)'.",
    ),
    _defined(
        "S22",
        "What is best depends on the case: try it on yours.",
        "leaky compare --task mine.py:task trains your network with each activation on the same seeds, and says which is "
        "better, or that no difference is shown.",
    ),
)
