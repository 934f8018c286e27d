"""S10: whether activations explode for large positive inputs."""

from __future__ import annotations

import math

import torch
from torch import nn

from leaky.activation import Activation
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.experiment import Experiment, Lab, Measured, repeatable
from leaky.claims.means import geometric_mean
from leaky.claims.statement import Published, Statement
from leaky.wording import listing, number

_ARMS = ("relu", "leaky_relu(0.01)", "leaky_relu(0.2)", "tanh")
_UNBOUNDED = _ARMS[:3]
_STANDARD = ("PyTorch's default", "Glorot", "He")
_TOO_LARGE, _NORMALISED = "twice He's", "twice He's + BatchNorm"
_WAYS = (*_STANDARD, _TOO_LARGE, _NORMALISED)
_DEPTH, _WIDTH, _SAMPLES, _SEEDS = 50, 128, 256, 5
_EXPLODED = 100.0
_SCALES = (1.0, 10.0, 100.0, 1000.0, 10000.0)

STATEMENT = Statement(
    "S10",
    "Activations can explode for large positive inputs.",
    "test",
    recipe=(
        f"{_DEPTH} layers of {_WIDTH} units on {_SAMPLES} samples from the normal distribution, {_SEEDS} seeds: root mean square of the "
        "activations of each layer over those of the first, geometric mean over seeds. Weights by PyTorch's default for nn.Linear, by Glorot's rule, by He's, twice "
        "as large as He's, and these with BatchNorm before each activation. And the outputs of five layers by He's rule for inputs "
        "multiplied by 1 to 10,000. Biases are 0."
    ),
    criterion=(
        f"Exploded is a growth by more than {_EXPLODED:g} from the first layer to the last. It holds if, with ReLU or Leaky ReLU, "
        "activations explode by one of the three customary rules. It holds only when the weights are drawn too large and nothing "
        "normalises, if they explode with weights twice He's alone, and not with BatchNorm; if with BatchNorm too, it holds. It does not hold if they explode nowhere. Growth with the "
        "input is told: exponent 1 is proportional, 0 is bounded."
    ),
    published=(
        Published(
            "for",
            "Rectifiers can have very large outputs, so that recurrent networks of them were expected to explode more than "
            "bounded ones; with an identity as first weights they train.",
            "Le, Jaitly & Hinton 2015, arXiv:1504.00941",
        ),
        Published(
            "against",
            "With the gain √(2/(1 + α²)) the size of the signal is the same in all layers.",
            "He et al. 2015, arXiv:1502.01852",
        ),
        Published(
            "against",
            "Batch normalisation fixes the size of every layer's inputs, whatever the weights.",
            "Ioffe & Szegedy 2015, arXiv:1502.03167",
        ),
    ),
)


@repeatable
def measure(lab: Lab) -> Measured:
    """Return growth over depth by way and activation, and growth with the input by activation."""
    growth: Measured = {}
    for i, way in enumerate(_WAYS):
        for arm in _ARMS:
            runs = [_sizes(arm, way, seed) for seed in range(_SEEDS)]
            growth[f"{way}: {arm}"] = [geometric_mean(layer) for layer in zip(*runs, strict=True)]
        lab.report((i + 1) / (len(_WAYS) + 1))
    return {"growth": growth, "inputs": {arm: [_output(arm, scale) for scale in _SCALES] for arm in _ARMS}}


def _sizes(arm: str, way: str, seed: int) -> list[float]:
    """Return the root mean square of each layer's activations over that of the first's."""
    torch.manual_seed(seed)
    value = torch.randn(_SAMPLES, _WIDTH)
    activation = Activation.parse(arm)
    sizes = []
    with torch.no_grad():
        for _ in range(_DEPTH):
            value = nn.functional.linear(value, _weight(way, activation))
            if way == _NORMALISED:
                value = nn.functional.batch_norm(value, None, None, training=True)
            value = activation.module()(value)
            sizes.append(value.square().mean().sqrt().item())
    return [size / sizes[0] for size in sizes]


def _weight(way: str, activation: Activation) -> torch.Tensor:
    if way == "PyTorch's default":
        return nn.Linear(_WIDTH, _WIDTH, bias=False).weight
    gain = {"Glorot": 1.0, "He": activation.gain}.get(way, 2 * activation.gain)
    return torch.randn(_WIDTH, _WIDTH) * (gain / math.sqrt(_WIDTH))


def _output(arm: str, scale: float) -> float:
    """Return the root mean square of the outputs of five layers for an input of this scale."""
    torch.manual_seed(0)
    value = scale * torch.randn(_SAMPLES, _WIDTH)
    activation = Activation.parse(arm)
    with torch.no_grad():
        for _ in range(5):
            value = activation.module()(nn.functional.linear(value, _weight("He", activation)))
    return value.square().mean().sqrt().item()


def judge(measured: Measured) -> Answer:
    """Decide by the growth from the first layer to the last."""
    last = {(way, arm): measured["growth"][f"{way}: {arm}"][-1] for way in _WAYS for arm in _ARMS}
    exploded = {way: [arm for arm in _UNBOUNDED if last[way, arm] > _EXPLODED] for way in _WAYS}
    exponents = {arm: _exponent(measured["inputs"][arm]) for arm in _ARMS}
    told = [f"{number(max(last[way, arm] for arm in _UNBOUNDED))} ({way})" for way in _WAYS]
    sentence = (
        f"From the first to the last of {_DEPTH} layers the activations of ReLU and Leaky ReLU grew at most by a factor of {listing(told)}. "
        f"Outputs grow as the input to the power of {listing([f'{exponents[arm]:.2f} ({arm})' for arm in _ARMS])}, where 1 is in "
        "proportion and 0 bounded."
    )
    numbers: dict[str, float | None] = {f"growth, {way}, {arm}": value for (way, arm), value in last.items()}
    numbers |= {f"exponent of the input, {arm}": value for arm, value in exponents.items()}
    plots = (*(_plot(measured, arm) for arm in ("leaky_relu(0.01)", "tanh")), _inputs(measured))
    if any(exploded[way] for way in _STANDARD):
        return Answer("S10", "holds", sentence, numbers=numbers, plots=plots)
    if exploded[_TOO_LARGE] and not exploded[_NORMALISED]:
        return Answer(
            "S10",
            "holds only when",
            sentence,
            condition="the weights are drawn too large and nothing normalises",
            reason=(
                "The function passes a positive input on as it is: it neither makes it larger nor bounds it. What grows is the "
                "product of the weights, layer by layer; by He's rule it neither grows nor shrinks, and normalisation sets it back."
            ),
            numbers=numbers,
            plots=plots,
        )
    return Answer(
        "S10", "does not hold here" if not exploded[_TOO_LARGE] else "holds", sentence, numbers=numbers, plots=plots
    )


def _exponent(outputs: list[float]) -> float:
    """Return the slope of the logarithm of the output over that of the input, between the two largest inputs."""
    return math.log(outputs[-1] / outputs[-2]) / math.log(_SCALES[-1] / _SCALES[-2])


def _plot(measured: Measured, arm: str) -> Plot:
    depths = tuple(float(layer) for layer in range(1, _DEPTH + 1))
    series = tuple(Series(way, depths, tuple(measured["growth"][f"{way}: {arm}"])) for way in _WAYS)
    return Plot(
        f"Size of the activations: {arm}",
        "layer",
        "× that of the first",
        series,
        f"Growth of the activations of {arm} over {_DEPTH} layers: {listing([f'{s.name} {number(s.y[-1])}' for s in series])}.",
        log_y=True,
        mark=_EXPLODED,
    )


def _inputs(measured: Measured) -> Plot:
    return Plot(
        "Outputs of five layers over the size of the input",
        "input, multiplied by",
        "root mean square",
        tuple(Series(arm, _SCALES, tuple(measured["inputs"][arm])) for arm in _ARMS),
        "Outputs over the scale of the inputs: in proportion for ReLU and Leaky ReLU, bounded by 1 for tanh.",
        log_x=True,
        log_y=True,
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=3),)
