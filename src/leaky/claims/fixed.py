"""S19: a fixed slope against a tuned one, and against slopes that are learned."""

from __future__ import annotations

from dataclasses import replace

from leaky.activation import Activation
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.contest import (
    LEAKS,
    LEARNED,
    RECIPE,
    SLOPES,
    TASKS,
    USUAL,
    Verdicts,
    by_key,
    gains,
    grouped,
    having,
    rule,
    scores,
    trainings,
)
from leaky.claims.experiment import Experiment, Lab, Measured
from leaky.claims.means import mean
from leaky.claims.statement import Published, Statement
from leaky.comparison.verdict import judge_all
from leaky.trials import load_task
from leaky.wording import listing

#: seeds of the trainings by which the slope is chosen: none on which it is judged
_CHOOSING = (100, 101, 102)

STATEMENT = Statement(
    "S19",
    "The slope needs tuning by experiment: a fixed slope may not be the best, and cannot adapt as PReLU's does.",
    "test",
    recipe=(
        f"{RECIPE} On each task the best of the slopes {listing([f'{slope:g}' for slope in SLOPES])} is chosen by the mean score "
        f"of {len(_CHOOSING)} trainings each, on other seeds and on a quarter of the training data that is set aside. The slope "
        "chosen, and PReLU, which learns its slopes from 0.25 on, are then held against 0.01 on the whole."
    ),
    criterion=(
        "The chosen slope and PReLU are held against 0.01 on each task by the differences paired by seed, at 5 % after Holm's "
        f"correction for all comparisons, at most {2 * len(TASKS)}; where 0.01 is chosen, tuning gains nothing, and there is one less. It holds if both are better on "
        "every task; it holds only for those that are named, if some are better; it does not hold if none is better and one worse; "
        "else nothing is shown."
    ),
    published=(
        Published(
            "for",
            "In a network of 14 layers on ImageNet, PReLU had 1.2 points less top-1 error than ReLU.",
            "He et al. 2015, arXiv:1502.01852",
        ),
        Published(
            "between",
            "PReLU had the least training error on CIFAR-10 and not the least test error: it can overfit on small data.",
            "Xu et al. 2015, arXiv:1505.00853",
        ),
    ),
)


def measure(lab: Lab) -> Measured:
    """Return the scores by which the slope was chosen, and those by which it is judged; by task, arm and seed."""
    chosen: Measured = {}
    for i, task in enumerate(TASKS):
        inner = replace(load_task(task).for_choosing(), name=f"{task}, to choose by")
        part = (0.3 * i / len(TASKS), 0.3 * (i + 1) / len(TASKS))
        chosen[task] = scores(lab.compare(inner, LEAKS, _CHOOSING, baseline=USUAL, part=part))
    judged = trainings(lab, (*LEAKS, LEARNED), baseline=USUAL)
    return {"choosing": chosen, "scores": {task: scores(c) for task, c in judged.items()}}


def judge(measured: Measured) -> Answer:
    """Hold the chosen slope and PReLU against 0.01 on each task."""
    slopes = {task: _best(arms) for task, arms in measured["choosing"].items()}
    groups = {}
    for task, arms in measured["scores"].items():
        groups[task] = {USUAL: arms[USUAL], "PReLU": arms[LEARNED]}
        if slopes[task] != USUAL:
            groups[task]["tuned"] = arms[slopes[task]]
    verdicts = by_key(judge_all(groups, USUAL))
    ruling = rule(verdicts)
    if ruling == "holds" and USUAL in slopes.values():
        ruling = "holds only when"
    won, lost = having(verdicts, "better"), having(verdicts, "worse")
    numbers = {task: Activation.parse(arm).parameters[0] for task, arm in slopes.items()}
    sentence = f"Chosen were the slopes {listing([f'{slope:g} on {task}' for task, slope in numbers.items()])}. "
    sentence += f"Gains over 0.01 of {gains(verdicts)}."
    sentence += f" Worse is {grouped(lost)}." if lost else ""
    return Answer(
        "S19",
        ruling,
        sentence,
        condition=f"it is said of {grouped(won)}" if ruling == "holds only when" else "",
        reason="" if ruling == "holds" else _REASON,
        numbers={
            **{f"{task}: chosen": slope for task, slope in numbers.items()},
            **{f"{task}, {other}: gain": v.difference for (task, other), v in verdicts.items()},
        },
        plots=(_plot(verdicts, slopes),),
    )


_REASON = (
    "Where the network trains well with 0.01, there is nothing for another slope to gain; tuning and learning the slope pay where "
    "the gradient has many layers to cross."
)


def _best(arms: dict[str, list[float | None]]) -> str:
    """Return the slope with the best mean; one of whose trainings one diverged is not chosen, nor is a tie's larger."""
    sound = {arm: mean(values) for arm, values in arms.items() if None not in values}
    return max(sound, key=lambda arm: sound[arm] or 0.0, default=USUAL)


def _plot(verdicts: Verdicts, slopes: dict[str, str]) -> Plot:
    def series(other: str) -> Series:
        mine = [verdicts.get((task, other)) for task in slopes]
        low, value, high = (tuple(getattr(v, end, None) for v in mine) for end in ("low", "difference", "high"))
        return Series(LEARNED if other == "PReLU" else other, tuple(slopes), value, low, high, kind="points")

    return Plot(
        "Gains over a slope of 0.01",
        "task",
        "difference in accuracy (deep: R²)",
        (series("tuned"), series("PReLU")),
        "The mean difference to 0.01 with its 95 % interval on each task, for the slope chosen and for PReLU: "
        f"{gains(verdicts)}.",
        mark=0.0,
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=60.0),)
