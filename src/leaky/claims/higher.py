"""S12: whether a higher leak performs better than a lower one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.contest import LEAKS, RECIPE, SLOPES, TASKS, USUAL, by_key, having, rule, scores, trainings
from leaky.claims.experiment import Experiment, Lab, Measured
from leaky.claims.means import mean
from leaky.claims.statement import Published, Statement
from leaky.comparison.verdict import judge_all
from leaky.wording import difference, listing

STATEMENT = Statement(
    "S12",
    "A higher leak performs better than a lower one.",
    "test",
    recipe=f"{RECIPE} Slopes {listing([f'{slope:g}' for slope in SLOPES])}.",
    criterion=(
        "On each task, a straight line is laid through the scores of each seed over the logarithm of the slope; whether its "
        "rise, in score per factor of ten, is 0 on average over seeds is tested at 5 % after Holm's correction for the "
        f"{len(TASKS)} tasks; a seed with which a training diverged is left out. It holds if the rise is above 0 on every task; it holds only on those on which it is, if that "
        "is some; it does not hold if it is above 0 on none and below 0 on one; else nothing is shown."
    ),
    published=(
        Published(
            "for",
            "On CIFAR-10, CIFAR-100 and plankton images, a leak of 1/5.5 had less test error than one of 1/100.",
            "Xu et al. 2015, arXiv:1505.00853",
        ),
        Published(
            "between",
            "The slopes that PReLU learned in an ImageNet network are large in the first layer and mostly small in the deeper ones: "
            "what suits depends on the layer.",
            "He et al. 2015, arXiv:1502.01852",
        ),
    ),
)


def measure(lab: Lab) -> Measured:
    """Return the scores by task, slope and seed."""
    return {"scores": {task: scores(c) for task, c in trainings(lab, LEAKS, baseline=USUAL).items()}}


def judge(measured: Measured) -> Answer:
    """Judge the rise over the slope on each task."""
    by_task: dict[str, dict[str, list[float | None]]] = measured["scores"]
    groups: dict[str, dict[str, list[float | None]]] = {}
    for task, arms in by_task.items():
        # One that diverged says nothing of the direction: it may be that of the lowest slope.
        rises = [r for column in zip(*arms.values(), strict=True) if (r := rise(column)) is not None]
        groups[task] = {"rise": [*rises], "level": [0.0] * len(rises)}
    verdicts = by_key(judge_all(groups, "level"))
    up, down = ([task for task, _ in having(verdicts, word)] for word in ("better", "worse"))
    ruling = rule(verdicts)
    best = {task: _best(arms) for task, arms in by_task.items()}
    told = listing([f"{task} {difference(v.difference, 'r2')}" for (task, _), v in verdicts.items()])
    flat = [task for task in by_task if task not in up + down]
    sentence = f"Rise of the score per factor of ten in the slope: {told}."
    sentence += f" It is above 0 on {listing(up)}." if up else ""
    sentence += f" It is below 0 on {listing(down)}." if down else ""
    sentence += f" Neither is shown on {listing(flat)}." if flat else ""
    return Answer(
        "S12",
        ruling,
        sentence,
        condition=f"the task is {listing(up, 'or')}" if ruling == "holds only when" else "",
        reason="" if ruling == "holds" else _REASON,
        numbers={
            **{f"{task}: rise per factor of ten": v.difference for (task, _), v in verdicts.items()},
            **{f"{task}: best slope": slope for task, slope in best.items()},
        },
        plots=(_plot(by_task, best),),
    )


_REASON = (
    "A higher leak lets more gradient through many layers, and makes the function more linear. Deep and narrow networks want the "
    "first; where gradients arrive anyway, the second costs what the network can express."
)


def rise(values: Sequence[float | None]) -> float | None:
    """Return the least-squares slope of one seed's scores over log₁₀ of the negative slope; ``None`` if one diverged."""
    if None in values:
        return None
    return float(np.polynomial.Polynomial.fit(np.log10(SLOPES), np.array(values, float), 1).convert().coef[1])


def _best(arms: dict[str, list[float | None]]) -> float:
    means = {slope: mean(values) for slope, values in zip(SLOPES, arms.values(), strict=True)}
    return max((m, slope) for slope, m in means.items() if m is not None)[1]


def _plot(by_task: dict[str, dict[str, list[float | None]]], best: dict[str, float]) -> Plot:
    series = []
    for task, arms in by_task.items():
        first = mean(arms[USUAL])
        means = [mean(values) for values in arms.values()]
        gains = tuple(None if m is None or first is None else m - first for m in means)
        series.append(Series(task, SLOPES, gains))
    return Plot(
        "What a higher leak gains",
        "negative slope",
        "mean score − that of 0.01",
        tuple(series),
        "The mean score of each slope less that of 0.01, a line for each task. The best slope is "
        f"{listing([f'{slope:g} on {task}' for task, slope in best.items()])}.",
        log_x=True,
        mark=0.0,
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=90.0),)
