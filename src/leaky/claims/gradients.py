"""S9: gradients through depth, and saturation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from leaky.activation import Activation
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.experiment import Experiment, Lab, Measured, repeatable
from leaky.claims.means import geometric_mean
from leaky.claims.statement import Published, Statement
from leaky.trials import load_task
from leaky.wording import listing, number

_ARMS = ("sigmoid", "tanh", "relu", "leaky_relu(0.01)", "leaky_relu(0.2)")
_OLD, _NEW = _ARMS[:2], _ARMS[2:]
_INITS = ("Glorot", "He")
_DEPTHS, _WIDTH, _SEEDS = (5, 10, 20, 30), 64, 10
_JUDGED, _VANISHED = 20, 0.01
_INPUTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)

STATEMENT = Statement(
    "S9",
    "ReLU cured the vanishing gradients of sigmoid and tanh; neither ReLU nor Leaky ReLU saturates for positive inputs.",
    "test",
    recipe=(
        f"Networks of 5 to 30 hidden layers of {_WIDTH} units on 256 handwritten digits at birth, {_SEEDS} seeds. Weights by "
        "Glorot's rule (gain 1) or by He's (the gain of each activation: √2 for ReLU, 5/3 for tanh, 1 for sigmoid). Measured is the norm of the "
        "gradient of the cross-entropy by the weights of the second hidden layer over that by the weights of the last; the "
        "geometric mean over seeds. And the derivatives at inputs from 1 to 50, by PyTorch, in float32."
    ),
    criterion=(
        f"Vanished is a ratio below {_VANISHED:g} at {_JUDGED} layers. Saturated is a derivative below 0.01 at some input. The statement holds "
        "if with either rule sigmoid and tanh have vanished and ReLU and Leaky ReLU have not, and these two do not saturate. "
        "It holds only when …, if ReLU has not vanished with one rule at least, and sigmoid has; the condition names the rules and activations "
        "for which it is so. It does not hold if ReLU has vanished with both, or sigmoid with neither, or "
        "ReLU or Leaky ReLU saturates."
    ),
    published=(
        Published(
            "for",
            "Deep rectifier networks train well without unsupervised pre-training, which those of tanh were held to need.",
            "Glorot, Bordes & Bengio 2011, Deep Sparse Rectifier Neural Networks",
        ),
        Published(
            "between",
            "For sigmoid and tanh the initialisation is much of the matter: one that keeps variances lets gradients through tanh.",
            "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
        ),
        Published(
            "between",
            "ReLU needs its own: with Glorot's rule a ReLU network of 30 layers stalled, with a gain of √2 it converged.",
            "He et al. 2015, arXiv:1502.01852",
        ),
    ),
)


@repeatable
def measure(lab: Lab) -> Measured:
    """Return ratios of gradients and the norms of the first by rule, activation and depth, and derivatives by activation."""
    task = load_task("digits")
    x, y = (part[:256] for part in task.tensors("train"))
    ratios: Measured = {}
    norms: Measured = {}
    for i, arm in enumerate(_ARMS):
        for init in _INITS:
            pairs = [[_gradients(arm, init, depth, seed, x, y) for seed in range(_SEEDS)] for depth in _DEPTHS]
            ratios[f"{init}: {arm}"] = [geometric_mean([first / last for first, last in runs]) for runs in pairs]
            norms[f"{init}: {arm}"] = [geometric_mean([first for first, _ in runs]) for runs in pairs]
        lab.report((i + 1) / len(_ARMS))
    return {"ratios": ratios, "norms": norms, "derivatives": {arm: _derivatives(arm) for arm in _ARMS}}


def _gradients(arm: str, init: str, depth: int, seed: int, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the norms of the gradients by the weights of the second hidden layer and of the last."""
    torch.manual_seed(seed)
    activation = Activation.parse(arm)
    gain = 1.0 if init == "Glorot" else activation.gain
    hidden = [nn.Linear(x.shape[1] if i == 0 else _WIDTH, _WIDTH) for i in range(depth)]
    layers = [*hidden, nn.Linear(_WIDTH, 10)]
    for layer in layers:
        # Glorot's 2/(fan_in + fan_out) is 1/fan_in for the square layers that are compared.
        nn.init.normal_(layer.weight, std=(gain if layer is not layers[-1] else 1.0) / math.sqrt(layer.in_features))
        nn.init.zeros_(layer.bias)
    model = nn.Sequential(*(part for layer in hidden for part in (layer, activation.module())), layers[-1])
    functional.cross_entropy(model(x), y).backward()
    first, last = hidden[1].weight.grad, hidden[-1].weight.grad
    assert first is not None
    assert last is not None
    # A gradient that is not finite teaches as little as none.
    norms = [norm if math.isfinite(norm := weight.norm().item()) else 0.0 for weight in (first, last)]
    return norms[0], max(norms[1], torch.finfo(torch.float32).tiny)


def _derivatives(arm: str) -> list[float]:
    x = torch.tensor(_INPUTS, requires_grad=True)
    Activation.parse(arm).module()(x).sum().backward()
    assert x.grad is not None
    found: list[float] = x.grad.tolist()
    return found


def judge(measured: Measured) -> Answer:
    """Decide by the ratios at the depth judged and the smallest derivatives."""
    at = _DEPTHS.index(_JUDGED)
    ratio = {(init, arm): measured["ratios"][f"{init}: {arm}"][at] for init in _INITS for arm in _ARMS}
    vanished = {key: value < _VANISHED for key, value in ratio.items()}
    smallest = {arm: min(measured["derivatives"][arm]) for arm in _ARMS}
    saturates = [arm for arm in _NEW if smallest[arm] < 0.01]
    told = [f"{arm} {' and '.join(number(ratio[init, arm]) for init in _INITS)}" for arm in _ARMS]
    sentence = (
        f"Gradient of the second layer over that of layer {_JUDGED}, by Glorot's and by He's rule: {listing(told)}. "
        f"At inputs up to {_INPUTS[-1]:g} the smallest derivatives are "
        f"{listing([f'{smallest[arm]:.2g} ({arm})' for arm in _ARMS])}."
    )
    numbers = {f"gradient ratio at {_JUDGED} layers, {init}, {arm}": value for (init, arm), value in ratio.items()}
    numbers |= {
        f"gradient of the second layer at {_JUDGED} layers, {key}": value[at]
        for key, value in measured["norms"].items()
    }
    numbers |= {f"smallest derivative, {arm}": value for arm, value in smallest.items()}
    plots = (*(_through_depth(measured, init) for init in _INITS), _saturation(measured))
    kept = [init for init in _INITS if not vanished[init, "relu"]]
    leaking = [key for key in vanished if key[1] in _NEW and key[1] != "relu" and vanished[key]]
    cured = [arm for arm in _OLD if all(vanished[init, arm] for init in _INITS)]
    if saturates or not kept or not any(vanished[init, "sigmoid"] for init in _INITS):
        return Answer("S9", "does not hold here", sentence, numbers=numbers, plots=plots)
    if len(kept) == len(_INITS) and len(cured) == len(_OLD) and not leaking:
        return Answer("S9", "holds", sentence, numbers=numbers, plots=plots)
    return Answer(
        "S9",
        "holds only when",
        sentence,
        condition=_condition(kept, vanished),
        reason=(
            "What a layer does to the gradient is the derivative times the weights. ReLU passes half of the signal, so its "
            "weights have to be √2 larger than those that suit tanh: with Glorot's the gradients are small in all layers alike, "
            f"{number(measured['norms']['Glorot: relu'][at])} in the second against {number(measured['norms']['He: relu'][at])} with He's, "
            "which the ratio does not show. Sigmoid's derivative is at most 1/4, and no customary gain makes up for that. tanh is "
            "steep at 0 and fares well while its inputs are small."
        ),
        numbers=numbers,
        plots=plots,
    )


def _condition(kept: list[str], vanished: dict[tuple[str, str], bool]) -> str:
    parts = [] if len(kept) == len(_INITS) else [f"the weights are drawn by {kept[0]}'s rule"]
    for arm in _OLD:
        spared = [init for init in _INITS if not vanished[init, arm]]
        if len(spared) == len(_INITS):
            parts.append(f"{arm} is left out, whose gradients do not vanish with either rule")
        elif spared:
            parts.append(f"{arm} is not drawn by {spared[0]}'s rule, with which its gradients do not vanish")
    for arm in _NEW[1:]:
        gone = [init for init in kept if vanished[init, arm]]
        if gone:
            parts.append(f"{arm} is not drawn by {listing(gone, 'or')}'s rule, with which its gradients vanish")
    return ", and ".join(parts)


def _through_depth(measured: Measured, init: str) -> Plot:
    series = tuple(
        Series(arm, tuple(float(d) for d in _DEPTHS), tuple(measured["ratios"][f"{init}: {arm}"])) for arm in _ARMS
    )
    ends = listing([f"{s.name} {number(s.y[-1])}" for s in series])
    return Plot(
        f"First over last gradient, weights by {init}'s rule",
        "hidden layers",
        "ratio",
        series,
        f"Ratio of the first gradient to the last over depth, by {init}'s rule. At {_DEPTHS[-1]} layers: {ends}.",
        log_y=True,
        mark=_VANISHED,
    )


def _saturation(measured: Measured) -> Plot:
    series = tuple(
        # What has underflowed to 0 has no place on a logarithmic axis.
        Series(arm, _INPUTS, tuple(value or None for value in measured["derivatives"][arm]))
        for arm in _ARMS
    )
    return Plot(
        "Derivative at positive inputs",
        "input",
        "derivative",
        series,
        "Derivatives over positive inputs: 1 for ReLU and Leaky ReLU at all of them; those of sigmoid and tanh fall to 0.",
        log_x=True,
        log_y=True,
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=5),)
