"""S8: whether a leak prevents dead neurons."""

from __future__ import annotations

import torch
from torch import nn

from leaky.activation import Activation
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.experiment import Experiment, Lab, Measured, repeatable
from leaky.claims.statement import Published, Statement
from leaky.comparison.verdict import weigh
from leaky.trials import Task, Trial, load_task
from leaky.wording import listing, share

_ARMS = ("relu", "leaky_relu(0.01)", "leaky_relu(0.2)")
_LEAKS = _ARMS[1:]
_SEEDS, _TRAINED = 10, 3

STATEMENT = Statement(
    "S8",
    "The leak prevents dead neurons.",
    "test",
    recipe=(
        f"leaky compare --task digits with ReLU and Leaky ReLU of slopes 0.01 and 0.2, {_SEEDS} seeds: units that are silent, "
        f"that is active on no training sample, after the last epoch. Then {_TRAINED} networks of each, trained for ten epochs by the "
        "same recipe: units whose weights get a gradient of exactly 0 over all of the training data."
    ),
    criterion=(
        "Dead can mean silent, or without a gradient. It holds if, with either slope, no unit is silent and none without a "
        "gradient. It holds only when dead means without a gradient, if no Leaky ReLU unit is without one while some are "
        "silent. It does not hold if some Leaky ReLU unit is without a gradient. It is not shown if ReLU has no dead units here "
        "in the first place. The change in silent units is given with its 95 % interval, paired by seed."
    ),
    published=(
        Published(
            "for",
            "With a slope above 0 a network cannot be born dead, where deep and narrow ReLU networks almost surely are.",
            "Lu et al. 2019, arXiv:1903.06733",
        ),
        Published(
            "between",
            "The leak was brought in so that silent units get a gradient; with it the networks performed as those with ReLU did.",
            "Maas, Hannun & Ng 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models",
        ),
    ),
)


@repeatable
def measure(lab: Lab) -> Measured:
    """Return the share of silent units of each arm and seed, and the units without a gradient of each arm."""
    comparison = lab.compare("digits", _ARMS, _SEEDS, part=(0.0, 0.7))
    task = load_task("digits", 10)
    found: Measured = {"silent": {arm: [_silent(t) for t in comparison.arms[arm]] for arm in _ARMS}}
    for i, arm in enumerate(_ARMS):
        counts = [_gradients(task, arm, seed) for seed in range(_TRAINED)]
        units, silent, without = (sum(column) for column in zip(*counts, strict=True))
        found[arm] = {"units": units, "silent": silent, "without_gradient": without}
        lab.report(0.7 + 0.1 * (i + 1))
    return found


def _silent(trial: Trial) -> float:
    return sum(trial.epochs[-1].dead) / sum(trial.units)


def _gradients(task: Task, arm: str, seed: int) -> tuple[int, int, int]:
    """Train a network, and return how many hidden units it has, how many are silent, and how many get no gradient."""
    torch.manual_seed(seed)
    model = task.model(Activation.parse(arm))  # type: ignore[call-arg]  # that of digits takes one
    assert isinstance(model, nn.Sequential)
    x, y = task.tensors("train")
    optimizer = task.make_optimizer(model)
    for _ in range(task.epochs):
        for batch in torch.split(torch.randperm(len(x)), task.batch_size):
            optimizer.zero_grad()
            task.loss(model(x[batch]), y[batch]).backward()
            optimizer.step()
    optimizer.zero_grad()
    task.loss(model(x), y).backward()
    units = silent = without = 0
    value = x
    with torch.no_grad():
        for layer in list(model)[:-1]:
            value = layer(value)
            if isinstance(layer, nn.Linear):
                assert layer.weight.grad is not None
                units += layer.out_features
                silent += int((value <= 0).all(0).sum())
                without += int((layer.weight.grad == 0).all(1).sum())
    return units, silent, without


def judge(measured: Measured) -> Answer:
    """Decide by silent units and those without a gradient."""
    silent = {arm: sum(measured["silent"][arm]) / len(measured["silent"][arm]) for arm in _ARMS}
    without = {arm: measured[arm]["without_gradient"] for arm in _ARMS}
    changes = {arm: weigh(measured["silent"][arm], measured["silent"]["relu"]) for arm in _LEAKS}
    told = [
        f"{share(silent[arm])} with {arm} ({_points(changes[arm].difference)} points, 95 % interval "
        f"{_points(changes[arm].low)} to {_points(changes[arm].high)})"
        for arm in _LEAKS
    ]
    sentence = (
        f"After training {share(silent['relu'])} of the units are silent with ReLU, {listing(told)}. Without a gradient are "
        f"{without['relu']} of {measured['relu']['units']} units with ReLU, "
        + listing([f"{without[arm]} with {arm}" for arm in _LEAKS])
        + "."
    )
    numbers = {f"silent, {arm}": value for arm, value in silent.items()}
    numbers |= {f"without a gradient, {arm}": value for arm, value in without.items()}
    plots = (_plot(measured),)
    if silent["relu"] == 0 and without["relu"] == 0:
        return Answer("S8", "not shown", sentence, numbers=numbers, plots=plots)
    if any(without[arm] for arm in _LEAKS):
        return Answer("S8", "does not hold here", sentence, numbers=numbers, plots=plots)
    if not any(silent[arm] for arm in _LEAKS):
        return Answer("S8", "holds", sentence, numbers=numbers, plots=plots)
    return Answer(
        "S8",
        "holds only when",
        sentence,
        condition="dead means without a gradient; with a leak, too, there are units that never fire",
        reason=(
            "A silent unit with a leak gets the gradient of an active one times the slope. With 0.01 that is so little that "
            "most are not woken in the course of the training; and nothing in the loss asks them to be."
        ),
        numbers=numbers,
        plots=plots,
    )


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def _plot(measured: Measured) -> Plot:
    silent = {arm: tuple(100 * value for value in measured["silent"][arm]) for arm in _ARMS}
    means = {arm: sum(values) / len(values) for arm, values in silent.items()}
    series = [Series(arm, (arm,) * len(values), values, kind="points") for arm, values in silent.items()]
    return Plot(
        "Silent units after training",
        "",
        "% of units",
        tuple(series),
        f"Silent units after training, a dot per seed. Means: {listing([f'{a} {m:.1f} %' for a, m in means.items()])}.",
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=22),)
