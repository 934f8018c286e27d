"""S6: the table of differences between ReLU and Leaky ReLU, with measured entries."""

from __future__ import annotations

from statistics import fmean

import torch
from torch.nn import functional

from leaky import torch as leaky_torch
from leaky.benchmark import bench
from leaky.claims.answer import Answer, Plot, Series, Table
from leaky.claims.experiment import Experiment, Lab, Measured, repeatable
from leaky.claims.means import mean
from leaky.claims.sparsity import kept_bytes
from leaky.claims.statement import Statement
from leaky.comparison.verdict import judge as compared
from leaky.function import leaky_relu, leaky_relu_derivative
from leaky.wording import NOTHING, score, share

_ARMS = _RELU, _LEAKY = ("relu", "leaky_relu(0.01)")
_SEEDS, _SIZE = 10, 1 << 20

STATEMENT = Statement(
    "S6",
    "ReLU and Leaky ReLU differ in output and slope below 0, in the risk of dead neurons, the ability to learn, and complexity.",
    "define",
    recipe=(
        f"leaky compare --task digits, {_SEEDS} seeds: silent units, zeros and accuracy after training. leaky bench on 1 Mi float32 elements, forward "
        "and backward; bytes that autograd keeps for backward."
    ),
)


@repeatable
def measure(lab: Lab) -> Measured:
    """Return what is measured for the table."""
    comparison = lab.compare("digits", _ARMS, _SEEDS, part=(0.0, 0.8))
    arms = comparison.arms
    timing = bench([_SIZE], seconds=0.3).timing("forward and backward", "PyTorch relu", _SIZE)
    return {
        "accuracy": {arm: [t.score for t in arms[arm]] for arm in _ARMS},
        "silent": {arm: fmean([sum(t.epochs[-1].dead) / sum(t.units) for t in arms[arm]]) for arm in _ARMS},
        "zeros": {arm: fmean([sum(t.epochs[-1].zeros) / len(t.sites) for t in arms[arm]]) for arm in _ARMS},
        "kept": {
            _RELU: kept_bytes(functional.relu) / (1 << 22),
            _LEAKY: kept_bytes(leaky_torch.leaky_relu) / (1 << 22),
        },
        "time": None if timing is None else 1 / timing.ratio,
    }


def judge(measured: Measured) -> Answer:
    """Return the table."""
    accuracy, silent, zeros, kept = (measured[name] for name in ("accuracy", "silent", "zeros", "kept"))
    means = {arm: mean(accuracy[arm]) or 0.0 for arm in _ARMS}
    (verdict,) = compared(accuracy, _RELU)
    points = torch.tensor([2.0, -2.0]).double().numpy()
    (up, down), (above, below) = leaky_relu(points, 0.01), leaky_relu_derivative(points, 0.01)
    time = NOTHING if measured["time"] is None else f"{measured['time']:.1f}"
    rows = (
        ("output at 2", "2", f"{up:g}"),
        ("output at −2", "0", f"{down:g}".replace("-", "−")),
        ("slope above 0", "1", f"{above:g}"),
        ("slope below 0", "0", f"{below:g}"),
        ("outputs that are exactly 0", share(zeros[_RELU]), share(zeros[_LEAKY])),
        ("silent units after training", share(silent[_RELU]), share(silent[_LEAKY])),
        ("gradient of a silent unit", "0", "0.01 × that of an active one"),
        ("test accuracy", score(means[_RELU], "accuracy"), score(means[_LEAKY], "accuracy")),
        (
            "bytes kept for backward per element, by PyTorch's ReLU and by leaky's",
            f"{kept[_RELU]:.3g}",
            f"{kept[_LEAKY]:.3g}",
        ),
        ("time forward and backward of these, 1 Mi elements", "1", time),
    )
    plot = Plot(
        "Test accuracy on digits",
        "",
        "%",
        tuple(
            Series(arm, (arm,) * len(values), tuple(None if v is None else 100 * v for v in values), kind="points")
            for arm, values in accuracy.items()
        ),
        f"Test accuracy on digits, a dot per seed; means {means[_RELU]:.1%} with ReLU and {means[_LEAKY]:.1%} with Leaky ReLU.",
    )
    return Answer(
        "S6",
        "defined",
        f"Measured on digits and on this machine, with slope 0.01. {verdict.sentence}",
        plots=(plot,),
        table=Table(("", "ReLU", "Leaky ReLU (0.01)"), rows),
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=36),)
