"""S20: linearity, and what is lost of negative values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from leaky.activation import Activation
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.experiment import Experiment, Lab, Measured, repeatable
from leaky.claims.means import mean
from leaky.claims.statement import Published, Statement
from leaky.comparison.verdict import judge as compared
from leaky.wording import listing, number, score

_TASKS = ("digits-shallow", "mnist1d", "digits")
_BASE, _USUAL, _LINEAR = _ARMS = ("leaky_relu(0.01)", "leaky_relu(0.2)", "leaky_relu(1)")
_SEEDS = 8
_SLOPES = (0.0, 0.01, 0.1, 0.2, 0.5, 1.0)
_DEPTHS = (1, 2, 4, 8, 16)
_WIDTH, _SAMPLES = 64, 256
_LOST = 0.01

STATEMENT = Statement(
    "S20",
    "The slope on negative values adds linearity and may lose information that they hold.",
    "test",
    recipe=(
        f"Linearity: leaky compare on digits-shallow, mnist1d and digits with Leaky ReLU of slopes 0.01, 0.2 and 1, with which the "
        f"network is linear; {_SEEDS} seeds, against 0.01. Information: {_SAMPLES} samples from the normal distribution through 1 to 16 layers of "
        f"random rotations of {_WIDTH} dimensions and He's gain, in float32, and back through their inverses; measured is the root mean square error of the "
        "inputs so found, over their size, at most 1 (nothing is left). ReLU's zeros are put back as the mean of what they may have been."
    ),
    criterion=(
        "Slopes in use are 0.01 to 0.2. Linearity harms if slope 0.2 is shown to be worse than 0.01 (paired, Holm over the arms of a task). Information "
        f"is lost if from the outputs of one layer with a slope in use the inputs are found with an error above {100 * _LOST:g} %. The statement holds if "
        "linearity harms on all three tasks and information is lost; it does not hold if linearity harms on none and no information is lost; otherwise it "
        "holds only for what is named. Changed after the first run: what rounding takes from many layers had counted as lost, which is a matter of float32 "
        "and no property of the function; it is told, and counts for nothing. A slope above 0 can be inverted, so that no loss is expected."
    ),
    published=(
        Published(
            "against",
            "On CIFAR larger slopes (1/5.5) did better than 0.01 and than ReLU.",
            "Xu et al. 2015, arXiv:1505.00853",
        ),
        Published(
            "against",
            "It is ReLU that loses the negative side: its networks learn pairs of opposite filters to keep it.",
            "Shang et al. 2016, arXiv:1603.05201",
        ),
        Published(
            "against",
            "Leaky ReLU can be inverted, which is used to compute inputs from outputs in training.",
            "Rota Bulò, Porzi & Kontschieder 2018, arXiv:1712.02616",
        ),
    ),
)


@repeatable
def measure(lab: Lab) -> Measured:
    """Return scores by task, arm and seed, and errors of reconstruction by slope and depth."""
    scores: Measured = {}
    for i, task in enumerate(_TASKS):
        comparison = lab.compare(task, _ARMS, _SEEDS, baseline=_BASE, part=(i / len(_TASKS), (i + 1) / len(_TASKS)))
        scores[task] = {arm: [trial.score for trial in trials] for arm, trials in comparison.arms.items()}
    errors = {f"{slope:g}": [_error(slope, depth) for depth in _DEPTHS] for slope in _SLOPES}
    return {"scores": scores, "errors": errors}


def _error(slope: float, depth: int) -> float:
    """Return the relative error of inputs that are reconstructed from the outputs of so many layers; 1: nothing is left."""
    torch.manual_seed(0)
    x = torch.randn(_SAMPLES, _WIDTH)
    rotations = [torch.linalg.qr(torch.randn(_WIDTH, _WIDTH))[0] for _ in range(depth)]
    gain = Activation("leaky_relu", (slope,)).gain
    value = x
    for rotation in rotations:
        value = torch.nn.functional.leaky_relu(value @ rotation * gain, slope)
    for rotation in reversed(rotations):
        value = _undone(value, slope, gain) @ rotation.T / gain
    error = ((value - x).double().square().mean().sqrt() / x.square().mean().sqrt()).item()
    return error if error < 1 else 1.0  # also where rounding has grown beyond all numbers


def _undone(y: Tensor, slope: float, gain: float) -> Tensor:
    # Of a normal distribution's negative half the mean is −√(2/π) of its deviation, which He's gain keeps at that of the data.
    lost = -gain * math.sqrt(2 / math.pi) if slope == 0 else y / slope
    return torch.where(y > 0, y, torch.as_tensor(lost, dtype=y.dtype))


def judge(measured: Measured) -> Answer:
    """Decide by the verdicts on slope 0.2 and by the errors."""
    verdicts = {task: {v.activation: v for v in compared(scores, _BASE)} for task, scores in measured["scores"].items()}
    harmed = [task for task in _TASKS if verdicts[task][_USUAL].word == "worse"]
    lost = any(not measured["errors"][f"{slope:g}"][0] <= _LOST for slope in _SLOPES if 0 < slope <= 0.2)
    means = {
        task: [f"{score(mean(scores[arm]), 'accuracy')} ({arm})" for arm in _ARMS]
        for task, scores in measured["scores"].items()
    }
    sentence = (
        f"Test accuracy: {'; '.join(f'{task} {listing(told)}' for task, told in means.items())}. From the outputs of one layer the inputs are found with "
        f"an error of {number(measured['errors']['0.01'][0])} (slope 0.01), of {_DEPTHS[-1]} layers {number(measured['errors']['0.01'][-1])}; with ReLU, of one layer, "
        f"{number(measured['errors']['0'][0])}."
    )
    numbers: dict[str, float | None] = {
        f"accuracy, {task}, {arm}": mean(values)
        for task, scores in measured["scores"].items()
        for arm, values in scores.items()
    }
    numbers |= {
        f"error of reconstruction, slope {slope}, {depth} layers": error
        for slope, errors in measured["errors"].items()
        for depth, error in zip(_DEPTHS, errors, strict=True)
    }
    plots = (_accuracies(measured), _errors(measured))
    reason = (
        "At slope 1 nothing is left of the network but a linear map, so on the way there the slope costs what the task needs of "
        "non-linearity: much where a linear map does badly, nothing where the network is deep enough to bend all the same, "
        "or is hard to train. Information is not lost but made small: a Leaky ReLU of any slope above 0 can be undone, "
        "where ReLU puts all negative values to 0. Rounding sets the limit, after many layers of a small slope."
    )
    if len(harmed) == len(_TASKS) and lost:
        return Answer("S20", "holds", sentence, numbers=numbers, plots=plots)
    if not harmed and not lost:
        return Answer("S20", "does not hold here", sentence, reason=reason, numbers=numbers, plots=plots)
    return Answer("S20", "holds only when", sentence, _condition(harmed, lost=lost), reason, numbers, plots)


def _condition(harmed: list[str], *, lost: bool) -> str:
    parts = [f"linearity is meant, and the task is {listing(harmed, 'or')}, of the three"] if harmed else []
    parts += ["information is meant"] if lost else []
    return "; or ".join(parts)


def _accuracies(measured: Measured) -> Plot:
    series = []
    for arm in _ARMS:
        found = [[100 * v for v in measured["scores"][task][arm] if v is not None] or [math.nan] for task in _TASKS]
        series.append(
            Series(
                arm,
                _TASKS,
                tuple(sum(values) / len(values) for values in found),
                tuple(min(values) for values in found),
                tuple(max(values) for values in found),
                kind="points",
            )
        )
    return Plot(
        "Test accuracy by slope",
        "",
        "%",
        tuple(series),
        f"Test accuracy on {listing(list(_TASKS))}, mean and range over the seeds: "
        + listing([f"{s.name} {', '.join(f'{y:.1f} %' for y in s.y if y is not None)}" for s in series])
        + ".",
    )


def _errors(measured: Measured) -> Plot:
    depths = tuple(float(depth) for depth in _DEPTHS)
    names = {"0": "relu"} | {f"{slope:g}": f"leaky_relu({slope:g})" for slope in _SLOPES[1:]}
    return Plot(
        "Error of the inputs found from the outputs",
        "layers",
        "relative error",
        tuple(Series(name, depths, tuple(measured["errors"][slope])) for slope, name in names.items()),
        "Error of reconstruction over depth, in float32, by slope.",
        log_x=True,
        log_y=True,
        mark=_LOST,
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=65),)
