"""S14: deep networks, where ReLU may fail, and shallow ones, where it need not."""

from __future__ import annotations

import numpy as np

from leaky.checkup.birth import at_birth, born_dead_bound
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.answer import Verdict as Ruling
from leaky.claims.contest import SEEDS, USUAL, Verdicts, by_key, gains, scores
from leaky.claims.experiment import Experiment, Lab, Measured
from leaky.claims.means import mean
from leaky.claims.statement import Published, Statement
from leaky.comparison.result import Word
from leaky.comparison.verdict import judge_all
from leaky.trials import load_task
from leaky.trials.builtin import deep
from leaky.wording import difference, listing, share

_ARMS = ("relu", USUAL, "leaky_relu(0.1)")
_WIDTH, _LITTLE, _DEPTHS = 4, 3, (10, 20, 40)
_SHALLOW = "digits-shallow"
#: a gain below it is none that anyone needs
_NEEDED = 0.01
#: of the networks that are built and not trained
_WIDTHS, _BORN_DEPTHS, _NETWORKS, _POINTS = (2, 4, 8, 64), (2, 5, 10, 20, 50), 40, 64

STATEMENT = Statement(
    "S14",
    "Leaky ReLU is useful in deep networks, where ReLU may fail; it is not always necessary.",
    "test",
    recipe=(
        f"The task deep, |x| as in Lu et al. 2019, with {_WIDTH} units in each layer and {_LITTLE}, {listing([str(d) for d in _DEPTHS])} layers, "
        f"and the task digits-shallow, of one hidden layer; ReLU and Leaky ReLU with slopes 0.01 and 0.1, {SEEDS} seeds; the score is R² (on the digits, "
        f"the accuracy) on the test data. And, without training: of {_NETWORKS} ReLU networks of {listing([str(w) for w in _WIDTHS])} units in "
        f"each of {listing([str(d) for d in _BORN_DEPTHS])} layers, the share that is born dead on {_POINTS} points of the same line, beside the upper "
        "bound 1 − (1 − 2⁻ʷ)^(depth − 1) of Lu et al."
    ),
    criterion=(
        "The leaks are held against ReLU by the differences paired by seed, at 5 % after Holm's correction for all ten comparisons. It holds if at each of the "
        f"depths {listing([str(d) for d in _DEPTHS])} one of the slopes is better, while on digits-shallow neither is, and the 95 % intervals of their gains end "
        "below one point. It holds only at the depths that are named, if that is so at some of them. If one is better on digits-shallow, or no slope at any "
        "depth while one is worse, it does not hold; else nothing is shown."
    ),
    published=(
        Published(
            "for",
            "Deep and narrow ReLU networks with symmetric weights are born dead the more surely the deeper they are.",
            "Lu et al. 2019, arXiv:1903.06733",
        ),
        Published(
            "against",
            "With identity shortcuts, ReLU networks of 1,001 layers train well: depth alone does not ask for a leak.",
            "He et al. 2016, arXiv:1603.05027",
        ),
    ),
)


def measure(lab: Lab) -> Measured:
    """Return the scores by task, arm and seed, and the share of networks born dead, by width and depth."""
    tasks = {_SHALLOW: (load_task(_SHALLOW), 0.1), **{str(d): (deep(_WIDTH, d), d / 73) for d in (_LITTLE, *_DEPTHS)}}
    measured: Measured = {"scores": {}, "born": {}}
    weight, done = sum(cost for _, cost in tasks.values()) / 0.9, 0.0
    for name, (task, cost) in tasks.items():
        part = (done, done + cost / weight)
        measured["scores"][name] = scores(lab.compare(task, _ARMS, SEEDS, part=part))
        done = part[1]
    for i, width in enumerate(_WIDTHS):
        measured["born"][str(width)] = [_born(width, depth) for depth in _BORN_DEPTHS]
        lab.report(done + (1 - done) * (i + 1) / len(_WIDTHS))
    return measured


def _born(width: int, depth: int) -> list[float]:
    """Return the share of networks born dead, and the ends of its 95 % interval."""
    task = deep(width, depth)
    points = np.linspace(-np.sqrt(3), np.sqrt(3), _POINTS)[:, None]
    chance = at_birth(task.model, points, networks=_NETWORKS, slopes=(0.0,))[0.0].network
    return [chance.value, chance.low, chance.high]


def judge(measured: Measured) -> Answer:
    """Judge the deep networks, and the shallow one."""
    verdicts = by_key(judge_all(measured["scores"], "relu"))
    words = {task: {v.word for (t, _), v in verdicts.items() if t == task} for task in measured["scores"]}
    depths = [depth for depth in map(str, _DEPTHS) if "better" in words[depth]]
    born = {(w, d): row[i][0] for w, row in measured["born"].items() for i, d in enumerate(_BORN_DEPTHS)}
    sentence = f"Gains over ReLU of {gains({(_called(task), arm): v for (task, arm), v in verdicts.items()})}. Born dead are {share(born['4', 20])} of ReLU networks of width 4 and depth 20, "
    sentence += f"by theory at most {share(born_dead_bound(4, 20))}; of width 64 and depth 50, {share(born['64', 50])}."
    answer = _ruling(words, depths, verdicts)
    return Answer(
        "S14",
        answer,
        sentence,
        condition=f"deep means {listing(depths, 'or')} layers" if answer == "holds only when" else "",
        reason="" if answer == "holds" else _REASON,
        numbers={
            **{f"{_called(task)}, {arm}: gain": v.difference for (task, arm), v in verdicts.items()},
            **{f"born dead, width {w}, depth {d}": value for (w, d), value in born.items()},
        },
        plots=(_plot(measured), _plot_of_birth(measured)),
    )


def _ruling(words: dict[str, set[Word]], depths: list[str], verdicts: Verdicts) -> Ruling:
    if "better" in words[_SHALLOW]:
        return "does not hold here"
    if not depths:
        return "does not hold here" if any("worse" in words[str(d)] for d in _DEPTHS) else "not shown"
    # Where all differences are equal, they have no interval.
    ends = [v.difference if v.high is None else v.high for (task, _), v in verdicts.items() if task == _SHALLOW]
    if any(end is None or end >= _NEEDED for end in ends):
        return "not shown"
    return "holds" if len(depths) == len(_DEPTHS) else "holds only when"


_REASON = (
    "Whether ReLU fails is a matter of width as much as of depth: with many units in each layer none of these networks is born dead. "
    "Of narrow ones some are dead and the others learn as well as any, so that few seeds show the largest gains alone."
)


def _called(task: str) -> str:
    return task if task == _SHALLOW else f"{task} layers"


def _plot(measured: Measured) -> Plot:
    depths = (_LITTLE, *_DEPTHS)
    means = {arm: tuple(mean(measured["scores"][str(depth)][arm]) for depth in depths) for arm in _ARMS}
    told = [f"{arm} {', '.join(difference(m, 'r2').lstrip('+') for m in row)}" for arm, row in means.items()]
    return Plot(
        f"Deep networks of width {_WIDTH}",
        "layers",
        "mean R²",
        tuple(Series(arm, tuple(map(float, depths)), row) for arm, row in means.items()),
        f"The mean score at {listing([str(d) for d in depths])} layers: {'; '.join(told)}.",
        log_x=True,
    )


def _plot_of_birth(measured: Measured) -> Plot:
    x = tuple(map(float, _BORN_DEPTHS))
    series = []
    for width, rows in measured["born"].items():
        value, low, high = (tuple(column) for column in zip(*rows, strict=True))
        series.append(Series(f"width {width}", x, value, low, high, kind="points"))
        bound = tuple(born_dead_bound(int(width), depth) for depth in _BORN_DEPTHS)
        series.append(Series(f"width {width}, bound", x, bound))
    return Plot(
        "ReLU networks born dead",
        "layers",
        "share",
        tuple(series),
        "The share of ReLU networks of each width and depth that are dead before any training, with its 95 % interval, beside the upper "
        "bound of Lu et al. 2019: it rises with depth, and falls with width.",
        log_x=True,
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=70.0),)
