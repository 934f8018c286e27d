"""S18: whether the kink at 0 makes descent bounce."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn import functional

from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.experiment import Experiment, Lab, Measured, repeatable
from leaky.claims.statement import Published, Statement
from leaky.comparison.verdict import judge as compared
from leaky.comparison.verdict import weigh
from leaky.trials import initialise, load_task
from leaky.wording import listing, share

_SLOPE = 0.01
_RATES = (0.1, 0.3, 1.0)
_SEEDS, _STEPS = 8, 200
_MARGIN = 0.05


def _twin(x: Tensor) -> Tensor:
    """Leaky ReLU with its kink rounded: αx + (1 − α) softplus(4x)/4, at most 0.17 above it."""
    return _SLOPE * x + (1 - _SLOPE) * functional.softplus(x, beta=4)


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu(0.01)": lambda x: functional.leaky_relu(x, _SLOPE),
    "smooth twin": _twin,
    "gelu": functional.gelu,
}
_LEAKY, _SMOOTH, _ = _FUNCTIONS

STATEMENT = Statement(
    "S18",
    "The kink at 0 makes gradient descent bounce around, yet it works well in practice.",
    "test",
    recipe=(
        "One hidden layer of 64 units on the handwritten digits, gradient descent over all training data at once, so that no noise of "
        f"batches is mixed in: {_STEPS} steps at rates 0.1, 0.3 and 1, {_SEEDS} seeds. Leaky ReLU (0.01) beside its smooth twin, "
        "αx + (1 − α) softplus(4x)/4, and GELU, from the same weights (drawn for ReLU). Measured: the share of steps after which the loss is higher, the "
        "share of inputs that are exactly 0, and the accuracy on the test data."
    ),
    criterion=(
        f"Bouncing is that the loss rises after more steps than with the smooth twin: the 95 % interval of the difference, paired by seed, lies above 0 and "
        f"its mean is above {100 * _MARGIN:g} % of the steps. Working well is that the accuracy is not shown to be worse than the twin's "
        "(t-test, 5 %, Holm over the three rates). It holds if it bounces at all three rates, and works well; only at the rates named, if it bounces "
        f"at some. It does not hold if at all rates the interval lies within ±{100 * _MARGIN:g} %, or if it does not work well. Otherwise it is not shown."
    ),
    published=(
        Published(
            "against",
            "In full-batch descent the loss of smooth networks, too, rises and falls from step to step, once the curvature has reached 2 over the rate.",
            "Cohen et al. 2021, arXiv:2103.00065",
        ),
        Published(
            "against",
            "A rectifier's hard zero did no harm beside the smooth softplus, and often did better.",
            "Glorot, Bordes & Bengio 2011, Deep Sparse Rectifier Neural Networks",
        ),
        Published(
            "for",
            "What derivative is taken at 0 exactly can change a training in float32 and below, since such inputs do occur.",
            "Bertoin et al. 2021, arXiv:2106.12915",
        ),
    ),
)


@repeatable
def measure(lab: Lab) -> Measured:
    """Return rises, accuracies by function, rate and seed, the losses of the first seed, and the share of inputs at 0."""
    task = load_task("digits-shallow")
    train, test = task.tensors("train"), task.tensors("test")
    found: Measured = {"rises": {}, "accuracy": {}, "losses": {}, "at_zero": 0.0}
    for i, rate in enumerate(_RATES):
        for j, name in enumerate(_FUNCTIONS):
            runs = [_descend(name, rate, seed, train, test) for seed in range(_SEEDS)]
            losses, accuracies, at_zero = zip(*runs, strict=True)
            key = f"{name}, rate {rate:g}"
            found["rises"][key] = [_rises(each) for each in losses]
            found["accuracy"][key] = list(accuracies)
            found["losses"][key] = [loss if math.isfinite(loss) else None for loss in losses[0]]
            if name == _LEAKY:
                found["at_zero"] += sum(at_zero) / len(at_zero) / len(_RATES)
            lab.report((i * len(_FUNCTIONS) + j + 1) / (len(_RATES) * len(_FUNCTIONS)))
    return found


def _descend(
    name: str, rate: float, seed: int, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]
) -> tuple[list[float], float, float]:
    """Return the losses by step, the accuracy at the end, and the share of pre-activations that were exactly 0."""
    torch.manual_seed(seed)
    function, first, last = _FUNCTIONS[name], nn.Linear(64, 64), nn.Linear(64, 10)
    model = nn.Sequential(first, last)
    initialise(model, 2**0.5)
    losses, zeros = [], 0
    for _ in range(_STEPS):
        z = first(train[0])
        zeros += int((z == 0).sum())
        loss = functional.cross_entropy(last(function(z)), train[1])
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                assert p.grad is not None
                p.sub_(rate * p.grad)
    with torch.no_grad():
        right = last(function(first(test[0]))).argmax(1) == test[1]
    return losses, right.double().mean().item(), zeros / (_STEPS * len(train[0]) * 64)


def _rises(losses: list[float]) -> float:
    return sum(after > before for before, after in pairwise(losses)) / (len(losses) - 1)


def judge(measured: Measured) -> Answer:
    """Decide by the differences to the smooth twin."""
    rises, accuracy = measured["rises"], measured["accuracy"]
    differences = {r: weigh(rises[f"{_LEAKY}, rate {r:g}"], rises[f"{_SMOOTH}, rate {r:g}"]) for r in _RATES}
    bounces = [r for r, e in differences.items() if (e.low or 0) > 0 and (e.difference or 0) > _MARGIN]
    # Without any difference between the seeds there is no interval, and the difference is what it is.
    calm = [
        r
        for r, e in differences.items()
        if max(abs(end if end is not None else e.difference or 0) for end in (e.low, e.high)) <= _MARGIN
    ]
    works = _works(accuracy)
    told = [
        f"{share(fmean(rises[f'{_LEAKY}, rate {r:g}']))} against {share(fmean(rises[f'{_SMOOTH}, rate {r:g}']))} at rate {r:g}"
        for r in _RATES
    ]
    scores = [
        f"{share(fmean(accuracy[f'{_LEAKY}, rate {r:g}']))} against {share(fmean(accuracy[f'{_SMOOTH}, rate {r:g}']))}"
        for r in _RATES
    ]
    sentence = (
        f"The loss rises after so many of the steps, Leaky ReLU against its smooth twin: {listing(told)}. It works "
        f"{'well' if works else 'worse'}: the accuracy is {listing(scores)}. Of the inputs {share(measured['at_zero'])} are exactly 0."
    )
    numbers: dict[str, float | None] = {f"steps that rise, {key}": fmean(v) for key, v in rises.items()}
    numbers |= {f"accuracy, {key}": fmean(v) for key, v in accuracy.items()} | {"inputs at 0": measured["at_zero"]}
    plots = (_plot(rises), *(_losses(measured, rate) for rate in (_RATES[0], _RATES[-1])))
    reason = (
        "The gradient jumps where a unit switches, but each sample switches each unit at another place, and the loss is a mean over "
        "thousands of these: nearly smooth. What makes descent bounce is a rate too large for the curvature, with or "
        "without a kink."
    )
    if not works or len(calm) == len(_RATES):
        return Answer("S18", "does not hold here", sentence, reason=reason, numbers=numbers, plots=plots)
    if len(bounces) == len(_RATES):
        return Answer("S18", "holds", sentence, numbers=numbers, plots=plots)
    if bounces:
        condition = f"the learning rate is {listing([f'{r:g}' for r in bounces])}, of those tried"
        return Answer("S18", "holds only when", sentence, condition, reason, numbers, plots)
    return Answer("S18", "not shown", sentence, numbers=numbers, plots=plots)


def _works(accuracy: Measured) -> bool:
    """Say that Leaky ReLU is at no rate shown to be worse than its twin; the differences are held against 0 together."""
    scores: dict[str, list[float | None]] = {"none": [0.0] * len(accuracy[f"{_LEAKY}, rate {_RATES[0]:g}"])}
    for r in _RATES:
        pairs = zip(accuracy[f"{_LEAKY}, rate {r:g}"], accuracy[f"{_SMOOTH}, rate {r:g}"], strict=True)
        scores[f"rate {r:g}"] = [a - b for a, b in pairs]
    return all(verdict.word != "worse" for verdict in compared(scores, "none"))


def _plot(rises: Measured) -> Plot:
    series = []
    for name in _FUNCTIONS:
        found = [rises[f"{name}, rate {rate:g}"] for rate in _RATES]
        series.append(
            Series(
                name,
                tuple(f"rate {rate:g}" for rate in _RATES),
                tuple(100 * fmean(each) for each in found),
                tuple(100 * min(each) for each in found),
                tuple(100 * max(each) for each in found),
                kind="bars",
            )
        )
    return Plot(
        "Steps after which the loss is higher",
        "",
        "% of steps",
        tuple(series),
        "Share of steps after which the loss is higher, mean and range over the seeds: "
        + listing([f"{s.name} {', '.join(f'{y:.1f} %' for y in s.y if y is not None)}" for s in series])
        + " (rates 0.1, 0.3, 1).",
    )


def _losses(measured: Measured, rate: float) -> Plot:
    steps = tuple(float(step) for step in range(_STEPS))
    return Plot(
        f"Loss on the training data, rate {rate:g}, seed 0",
        "step",
        "loss",
        tuple(Series(name, steps, tuple(measured["losses"][f"{name}, rate {rate:g}"])) for name in _FUNCTIONS),
        f"Loss over the steps at rate {rate:g} for Leaky ReLU, its smooth twin and GELU.",
        log_y=True,
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=20),)
