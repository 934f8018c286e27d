"""S13: whether training is faster and more stable with a leak, and gradients flow better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.contest import RECIPE, TASKS, USUAL, Verdicts, by_key, grouped, having, rule, trainings
from leaky.claims.experiment import Experiment, Lab, Measured
from leaky.claims.statement import Published, Statement
from leaky.comparison.verdict import judge_all
from leaky.trials import Epoch, Trial
from leaky.wording import counted, three_digits

_ARMS = ("relu", USUAL, "leaky_relu(0.1)")
#: what is judged, and how it is called
_ASPECTS = {
    "faster": "Epochs to the loss",
    "stabler": "Distance from the median score",
    "flowing": "Decades between gradients",
}
_PAIRS = len(TASKS) * (len(_ARMS) - 1)
# Where no gradient arrives at all, it counts as this many factors of ten smaller than at the last layer.
_NOTHING = 6.0

STATEMENT = Statement(
    "S13",
    "Training with Leaky ReLU is faster and more stable, and gradients flow better.",
    "test",
    recipe=(
        f"{RECIPE} ReLU, and Leaky ReLU with slopes 0.01 and 0.1. Faster: the epochs until the training loss is at most what it is "
        "in the median training with ReLU after half of its epochs; one more than there are where it never is. More stable: how far "
        "the score is from the median of all seeds with this activation. Gradients: by how many factors of ten the norm of the "
        "loss's gradient at the first layer differs from that at the last, on the mean over all epochs, birth included; "
        f"{_NOTHING:g} where one of them is 0. In all three less is better."
    ),
    criterion=(
        "In each of the three, the leaks are held against ReLU on each task by the differences paired by seed, at 5 % after "
        f"Holm's correction for the {_PAIRS} comparisons. It holds if all comparisons of all three are better; it holds only for "
        "those that are named, if some are; it does not hold if none is better and one worse; else nothing is shown."
    ),
    published=(
        Published(
            "for",
            "A leak of 0.01 in speech networks: training converged slightly faster, the result was the same.",
            "Maas, Hannun & Ng 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models",
        ),
        Published(
            "between",
            "With weights drawn for the activation, ReLU networks of 30 layers train from the start: the initialisation "
            "decides, and the slope is one of its terms.",
            "He et al. 2015, arXiv:1502.01852",
        ),
    ),
)


def measure(lab: Lab) -> Measured:
    """Return, for each aspect, its numbers by task, arm and seed."""
    measured: Measured = {aspect: {} for aspect in _ASPECTS}
    for task, comparison in trainings(lab, _ARMS, baseline="relu").items():
        count = int(comparison.recipe["epochs"])
        level = level_of(comparison.arms["relu"], count // 2)
        for arm, trials in comparison.arms.items():
            centre = median([t.score for t in trials if t.score is not None] or [0.0])
            numbers = {
                "faster": [epochs_to(level, [e.train_loss for e in t.epochs], count) for t in trials],
                "stabler": [None if t.score is None else abs(t.score - centre) for t in trials],
                "flowing": [decades(t.epochs) for t in trials],
            }
            for aspect, values in numbers.items():
                measured[aspect].setdefault(task, {})[arm] = values
    return measured


def level_of(trials: Sequence[Trial], epoch: int) -> float:
    """Return the training loss of the median trial after an epoch; one that had diverged by then has the worst."""
    losses = [t.epochs[epoch].train_loss if len(t.epochs) > epoch else None for t in trials]
    return median(math.inf if loss is None else loss for loss in losses)


def epochs_to(level: float, losses: Sequence[float | None], count: int) -> int:
    """Return the first epoch whose training loss is at most the level; one more than their count, if none is."""
    return next((epoch for epoch, loss in enumerate(losses) if loss is not None and loss <= level), count + 1)


def decades(epochs: Sequence[Epoch]) -> float:
    """Return by how many factors of ten the gradients of first and last layer differ, on the mean over epochs."""

    def lost(epoch: Epoch) -> float:
        ratio = epoch.gradient_ratio
        return min(abs(math.log10(ratio)), _NOTHING) if ratio else _NOTHING

    return sum(map(lost, epochs)) / len(epochs)


def judge(measured: Measured) -> Answer:
    """Judge each aspect by itself, and all together."""
    verdicts = {aspect: _verdicts(measured[aspect]) for aspect in _ASPECTS}
    together = {(f"{aspect}, {task}", arm): v for aspect, vs in verdicts.items() for (task, arm), v in vs.items()}
    ruling = rule(together)
    parts = []
    for aspect, name in _ASPECTS.items():
        won, lost = having(verdicts[aspect], "better"), having(verdicts[aspect], "worse")
        part = f"{name}: less in {len(won)} of {counted(len(verdicts[aspect]), 'comparison')}"
        parts.append(f"{part}, more in {len(lost)}" + (f", {grouped(lost)}." if lost else "."))
    return Answer(
        "S13",
        ruling,
        " ".join(parts),
        condition=_condition(verdicts) if ruling == "holds only when" else "",
        reason="" if ruling == "holds" else _REASON,
        numbers={
            f"{aspect}, {task}, {arm}: gain": v.difference
            for aspect, vs in verdicts.items()
            for (task, arm), v in vs.items()
        },
        plots=tuple(_plot(aspect, measured[aspect]) for aspect in _ASPECTS),
    )


_REASON = (
    "In shallow networks with weights drawn for the activation, gradients reach the first layer with ReLU as well, and there is "
    "little to mend; a slope of 0.01 adds little where units are alive. In the task deep some ReLU networks are dead and others train well: "
    "the gains are large on the mean, and not shown by so few seeds."
)


def _verdicts(by_task: dict[str, dict[str, list[float | None]]]) -> Verdicts:
    """Return the verdicts on numbers of which less is better."""
    negated = {
        task: {arm: [None if v is None else -v for v in values] for arm, values in arms.items()}
        for task, arms in by_task.items()
    }
    return by_key(judge_all(negated, "relu"))


def _condition(verdicts: dict[str, Verdicts]) -> str:
    words = {"faster": "speed is meant", "stabler": "stability is meant", "flowing": "gradients are meant"}
    said = {aspect: grouped(having(vs, "better")) for aspect, vs in verdicts.items()}
    return "; or ".join(f"{words[aspect]}, with {pairs}" for aspect, pairs in said.items() if pairs)


def _plot(aspect: str, by_task: dict[str, dict[str, list[float | None]]]) -> Plot:
    tasks = tuple(by_task)

    def middle(task: str, arm: str) -> float | None:
        values = [v for v in by_task[task][arm] if v is not None]
        return sum(values) / len(values) if values else None

    told = [f"{task} {', '.join(f'{arm} {three_digits(middle(task, arm) or 0.0)}' for arm in _ARMS)}" for task in tasks]
    return Plot(
        {"faster": "Speed", "stabler": "Stability", "flowing": "Gradients"}[aspect],
        "task",
        _ASPECTS[aspect],
        tuple(Series(arm, tasks, tuple(middle(task, arm) for task in tasks), kind="bars") for arm in _ARMS),
        f"The mean over seeds, less is better: {'; '.join(told)}.",
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=10.0),)
