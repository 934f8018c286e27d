"""S7: a ReLU unit whose inputs are all negative."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from leaky.activation import Activation
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.experiment import Experiment, Lab, Measured, repeatable
from leaky.claims.statement import Published, Statement
from leaky.trials import load_task, mlp

_ARMS = ("relu", "leaky_relu(0.01)")
_SEEDS, _STEPS, _BATCH = 10, 200, 32


@dataclass(frozen=True)
class _Setting:
    name: str
    #: which hidden layer the unit is in: the inputs of the first are data, those of the second are learned
    layer: int
    optimizer: str
    rate: float
    momentum: float = 0.0
    decay: float = 0.0


_SETTINGS = (
    _Setting("inputs fixed, SGD", 0, "SGD", 0.1),
    _Setting("inputs fixed, Adam", 0, "Adam", 0.001),
    _Setting("inputs fixed, SGD with momentum", 0, "SGD", 0.1, momentum=0.9),
    _Setting("inputs fixed, SGD with weight decay", 0, "SGD", 0.1, decay=0.01),
    _Setting("inputs learned, SGD", 1, "SGD", 0.1),
    _Setting("inputs learned, Adam", 1, "Adam", 0.001),
)

STATEMENT = Statement(
    "S7",
    "A ReLU unit whose inputs are all negative outputs 0, gets no gradient, and stops learning.",
    "test",
    recipe=(
        f"Two hidden layers of 32 units on the handwritten digits, {_SEEDS} seeds. After {_STEPS // 2} steps of training on "
        "batches of 32, the bias of one unit is lowered until its largest pre-activation on the training data is half a "
        f"standard deviation below 0; then {_STEPS} more steps. In the first hidden layer the inputs of the unit are the "
        "data, which do not change; in the second they are learned. SGD (rate 0.1), with momentum 0.9 or weight decay 0.01, "
        "and Adam (rate 0.001). The same with Leaky ReLU (0.01) for comparison."
    ),
    criterion=(
        "It holds if, with ReLU, the outputs and the gradient of the unit are exactly 0 when it is silenced, and in all six "
        "settings and all seeds its weights and bias are the same, bit for bit, at the end, and it is silent still. It holds "
        "only when the inputs are fixed and the gradient alone moves the weights, if that is so with fixed inputs and plain SGD, "
        "and not in all of the others. It does not hold if it fails with fixed inputs and plain SGD."
    ),
    published=(
        Published(
            "for",
            "A unit that never activates is not adjusted by a gradient, and that motivated the leak.",
            "Maas, Hannun & Ng 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models",
        ),
        Published(
            "for",
            "In deep reinforcement learning, units that have become dormant mostly stay so.",
            "Sokar et al. 2023, arXiv:2302.12902",
        ),
        Published(
            "between",
            "A whole ReLU network can be born dead, and then no gradient reaches any layer; whether it does is a matter of "
            "width, depth and initialisation.",
            "Lu et al. 2019, arXiv:1903.06733",
        ),
    ),
)


@repeatable
def measure(lab: Lab) -> Measured:
    """Return for each setting and arm over how many seeds the unit was at 0, unmoved, and awake at the end."""
    x, y = load_task("digits").tensors("train")
    counts: Measured = {}
    for i, setting in enumerate(_SETTINGS):
        for j, arm in enumerate(_ARMS):
            runs = [_silenced(setting, arm, seed, x, y) for seed in range(_SEEDS)]
            zero, unmoved, awake = (sum(column) for column in zip(*runs, strict=True))
            counts[f"{setting.name}: {arm}"] = {"zero": zero, "unmoved": unmoved, "awake": awake}
            lab.report((2 * i + j + 1) / (2 * len(_SETTINGS)))
    return {"seeds": _SEEDS, "counts": counts}


def _silenced(setting: _Setting, arm: str, seed: int, x: Tensor, y: Tensor) -> tuple[bool, bool, bool]:
    """Silence a unit in mid-training; say whether output and gradient were 0, the weights unmoved, and it awake at the end."""
    torch.manual_seed(seed)
    model = mlp(64, [32, 32], 10)(Activation.parse(arm))
    assert isinstance(model, nn.Sequential)
    optimizer = _optimizer(setting, model)
    train = list(torch.randint(len(x), (_STEPS // 2 + _STEPS, _BATCH)))
    for batch in train[: _STEPS // 2]:
        _step(model, optimizer, x[batch], y[batch])
    layer = model[2 * setting.layer]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        z = _before(model, setting.layer, x)
        layer.bias[0] -= z.max() + 0.5 * z.std()
    optimizer.zero_grad()
    functional.cross_entropy(model(x), y).backward()  # over all of the data
    assert layer.weight.grad is not None
    output = model[2 * setting.layer + 1](_before(model, setting.layer, x))
    zero = not output.any() and not layer.weight.grad[0].any()
    was = layer.weight[0].clone(), layer.bias[0].clone()
    for batch in train[_STEPS // 2 :]:
        _step(model, optimizer, x[batch], y[batch])
    unmoved = torch.equal(was[0], layer.weight[0]) and torch.equal(was[1], layer.bias[0])
    return bool(zero), unmoved, bool((_before(model, setting.layer, x) > 0).any())


def _optimizer(setting: _Setting, model: nn.Module) -> torch.optim.Optimizer:
    if setting.optimizer == "Adam":
        return torch.optim.Adam(model.parameters(), lr=setting.rate)
    return torch.optim.SGD(model.parameters(), lr=setting.rate, momentum=setting.momentum, weight_decay=setting.decay)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad()
    functional.cross_entropy(model(x), y).backward()
    optimizer.step()


def _before(model: nn.Sequential, layer: int, x: Tensor) -> Tensor:
    """Return the pre-activations of unit 0 of a hidden layer."""
    with torch.no_grad():
        return model[: 2 * layer + 1](x)[:, 0]  # type: ignore[no-any-return]  # of a slice nothing is known


def judge(measured: Measured) -> Answer:
    """Decide by the counts of ReLU; those of Leaky ReLU are shown beside them."""
    seeds, counts = measured["seeds"], measured["counts"]
    relu = {s.name: counts[f"{s.name}: relu"] for s in _SETTINGS}
    leaky = {s.name: counts[f"{s.name}: leaky_relu(0.01)"] for s in _SETTINGS}
    silenced = all(each["zero"] == seeds for each in relu.values())
    stopped = {name: each["unmoved"] == seeds and not each["awake"] for name, each in relu.items()}
    awake, leaky_awake = (sum(each["awake"] for each in arm.values()) for arm in (relu, leaky))
    moved = [
        f"{name} (in {seeds - relu[name]['unmoved']} of {seeds} it moved, in {relu[name]['awake']} it fired again)"
        for name in relu
        if not stopped[name]
    ]
    kept = [name for name in relu if stopped[name]]
    sentence = (
        f"With all of its inputs negative, the unit's outputs and gradient were exactly 0 in "
        f"{sum(each['zero'] for each in relu.values())} of {seeds * len(relu)} runs. It stayed as it was, bit for bit, with: "
        f"{'; '.join(kept) or 'none'}. It did not with: {'; '.join(moved) or 'none'}. In all, {awake} of {seeds * len(relu)} ReLU "
        f"units fired again, and {leaky_awake} of as many with Leaky ReLU."
    )
    plot = _plot(relu, leaky, seeds)
    numbers = {f"{name}, {what}": value for name, each in counts.items() for what, value in each.items()}
    if silenced and all(stopped.values()):
        return Answer("S7", "holds", sentence, numbers=numbers, plots=(plot,))
    if silenced and stopped[_SETTINGS[0].name]:
        return Answer(
            "S7",
            "holds only when",
            sentence,
            condition="the inputs of its layer do not change, and nothing but the gradient moves its weights",
            reason=(
                "The gradient is 0 indeed. But what an optimiser remembers (momentum, Adam's averages) and weight decay move "
                "the weights without one; and where layers below learn, they move the inputs of the unit until some are "
                "positive again."
            ),
            numbers=numbers,
            plots=(plot,),
        )
    return Answer("S7", "does not hold here", sentence, numbers=numbers, plots=(plot,))


def _plot(relu: Measured, leaky: Measured, seeds: int) -> Plot:
    names = tuple(relu)
    series = tuple(
        Series(arm, names, tuple(100 * each["awake"] / seeds for each in found.values()), kind="bars")
        for arm, found in zip(_ARMS, (relu, leaky), strict=True)
    )
    told = "; ".join(f"{n}: ReLU {relu[n]['awake']}, Leaky ReLU {leaky[n]['awake']}" for n in names)
    return Plot(
        "Silenced units that fired again",
        "",
        f"% of {seeds} seeds",
        series,
        f"Silenced units that fired again after {_STEPS} steps, of {seeds}. {told}.",
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=13),)
