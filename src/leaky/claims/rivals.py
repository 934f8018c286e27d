"""S11: Leaky ReLU against ReLU, sigmoid and tanh."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev

from leaky.claims.answer import Answer, Plot, Series, Table
from leaky.claims.contest import RECIPE, TASKS, USUAL, Verdicts, by_key, grouped, having, rule, scores, trainings
from leaky.claims.experiment import Experiment, Lab, Measured
from leaky.claims.means import mean
from leaky.claims.statement import Published, Statement
from leaky.comparison.verdict import judge_all
from leaky.wording import NOTHING, counted, difference
from leaky.wording import score as shown

_RIVALS = ("relu", "sigmoid", "tanh")
_HIGHER = "leaky_relu(0.1)"
_PAIRS = len(TASKS) * len(_RIVALS)

STATEMENT = Statement(
    "S11",
    "Leaky ReLU outperforms ReLU, sigmoid and tanh.",
    "test",
    recipe=f"{RECIPE} Leaky ReLU has the usual slope of 0.01; slope 0.1 is judged apart, and told.",
    criterion=(
        f"On each task Leaky ReLU is held against each of the three by the differences paired by seed, at 5 % after Holm's "
        f"correction for all {_PAIRS} comparisons. It holds if Leaky ReLU is better in all of them; it holds only when the "
        "rival and the task are those in which it is, if that is in some; it does not hold if it is better in none and worse "
        "in one; else nothing is shown."
    ),
    published=(
        Published(
            "for",
            "In convolution networks on CIFAR-10, CIFAR-100 and plankton images, leaks of 1/5.5 had less test error than ReLU.",
            "Xu et al. 2015, arXiv:1505.00853",
        ),
        Published(
            "between",
            "A leak of 0.01 made next to no difference to ReLU in speech recognition; both were better than tanh.",
            "Maas, Hannun & Ng 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models",
        ),
        Published(
            "against",
            "In large networks on CIFAR and ImageNet, ReLU and Leaky ReLU were alike, now one ahead and now the other.",
            "Ramachandran, Zoph & Le 2017, arXiv:1710.05941",
        ),
    ),
)


def measure(lab: Lab) -> Measured:
    """Return the scores by task, activation and seed, and the metric of each task."""
    comparisons = trainings(lab, (USUAL, _HIGHER, *_RIVALS), baseline=USUAL)
    return {
        "scores": {task: scores(c) for task, c in comparisons.items()},
        "metrics": {task: c.metric for task, c in comparisons.items()},
    }


def judge(measured: Measured) -> Answer:
    """Hold the leak against each rival on each task."""
    verdicts = _against(measured, USUAL)
    won, lost = having(verdicts, "worse"), having(verdicts, "better")  # said of the rival
    ruling = rule(verdicts, good="worse", bad="better")
    higher = _against(measured, _HIGHER)
    total = counted(len(verdicts), "comparison")
    sentence = f"Of {total}, {USUAL} is better in {len(won)} and worse in {len(lost)}"
    sentence += f": {grouped(lost)}" if lost else ""
    sentence += (
        f"; in the others no difference is shown. {_HIGHER}: better in {len(having(higher, 'worse'))}, worse in "
    )
    sentence += f"{len(having(higher, 'better'))}.{_hint(verdicts)}"
    return Answer(
        "S11",
        ruling,
        sentence,
        condition=f"the rival (and task) is {grouped(won)}" if ruling == "holds only when" else "",
        reason=_reason(verdicts) if ruling != "holds" else "",
        numbers={
            "comparisons": len(verdicts),
            "better": len(won),
            "worse": len(lost),
            **{f"{task}, {rival}: difference": _negated(v.difference) for (task, rival), v in verdicts.items()},
        },
        plots=(_plot(verdicts),),
        table=_table(measured),
    )


def _hint(verdicts: Verdicts) -> str:
    """Say which difference that is not shown is the nearest to being shown."""
    needed = {key: v.seeds_needed for key, v in verdicts.items() if v.seeds_needed is not None}
    if not needed:
        return ""
    task, rival = nearest = min(needed, key=lambda key: needed[key])
    gain = difference(_negated(verdicts[nearest].difference), "r2")
    return f" To show one as large as that to {rival} on {task}, {gain}, would take about {needed[nearest]} seeds."


def _against(measured: Measured, leak: str) -> Verdicts:
    """Return the verdicts on the rivals, with this leak as the baseline."""
    groups = {
        task: {arm: values for arm, values in arms.items() if arm in (leak, *_RIVALS)}
        for task, arms in measured["scores"].items()
    }
    return by_key(judge_all(groups, leak))


def _reason(verdicts: Verdicts) -> str:
    relu = [v for (_, rival), v in verdicts.items() if rival == "relu"]
    if any(v.word == "worse" for v in relu):
        return "The leak tells where ReLU units die: in deep and narrow networks."
    return (
        "At a slope of 0.01 Leaky ReLU is nearly ReLU wherever units are alive; where some ReLU networks are dead and the others "
        "train as well, it is ahead on the mean, and few seeds cannot show it."
    )


def _negated(value: float | None) -> float | None:
    return None if value is None else -value


def _plot(verdicts: Verdicts) -> Plot:
    tasks = tuple(dict.fromkeys(task for task, _ in verdicts))

    def series(rival: str) -> Series:
        mine = [verdicts[task, rival] for task in tasks]
        return Series(
            rival,
            tasks,
            tuple(_negated(v.difference) for v in mine),
            tuple(_negated(v.high) for v in mine),
            tuple(_negated(v.low) for v in mine),
            kind="points",
        )

    told = [f"{rival} on {task} {difference(_negated(v.difference), 'r2')}" for (task, rival), v in verdicts.items()]
    return Plot(
        f"What {USUAL} gains",
        "task",
        "difference in accuracy (deep: R²)",
        tuple(series(rival) for rival in dict.fromkeys(rival for _, rival in verdicts)),
        f"The mean difference of {USUAL} to each rival on each task with its 95 % interval; above 0 it is ahead: "
        f"{', '.join(told)}.",
        mark=0.0,
    )


def _table(measured: Measured) -> Table:
    arms = (USUAL, _HIGHER, *_RIVALS)
    rows = [
        (task, *(_cell(by_arm[arm], measured["metrics"][task]) for arm in arms))
        for task, by_arm in measured["scores"].items()
    ]
    return Table(("task", *arms), tuple(rows))


def _cell(values: Sequence[float | None], metric: str) -> str:
    finite = [value for value in values if value is not None]
    if not finite:
        return NOTHING
    spread = shown(stdev(finite), metric).removesuffix(" %") if len(finite) > 1 else NOTHING
    return f"{shown(mean(finite), metric).removesuffix(' %')} ± {spread}"


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=150.0),)
