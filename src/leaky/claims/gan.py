"""S15: generative adversarial networks, and the sparse gradients that are said to hurt them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaky.activation import Activation
from leaky.claims.answer import Answer, Plot, Series
from leaky.claims.contest import by_key, having, mean, rule
from leaky.claims.experiment import Experiment, Lab, Measured
from leaky.claims.pieces import gathered
from leaky.claims.statement import Published, Statement
from leaky.comparison.verdict import judge_all
from leaky.torch.randomness import random_state_kept, seed_all
from leaky.trials import mlp
from leaky.trials.training import one_thread
from leaky.wording import difference, listing, share

_RELU, _LEAK = "relu", "leaky_relu(0.2)"
#: the activations of discriminator and generator
_ARMS = {
    "ReLU in both": (_RELU, _RELU),
    "leak in the discriminator": (_LEAK, _RELU),
    "leak in the generator": (_RELU, _LEAK),
    "leak in both": (_LEAK, _LEAK),
}
_BASELINE = "ReLU in both"
_SEEDS, _STEPS, _LOOKS, _BATCH, _NOISE, _SAMPLES = 20, 1000, 10, 64, 16, 1000
#: of the samples, for a mode to be covered
_ENOUGH = 0.01
#: where the share of zeros in the gradient is taken, from the loss backwards
_PLACES = ("in the discriminator", "at the generator's output", "in the generator")

STATEMENT = Statement(
    "S15",
    "Leaky ReLU is popular for training GANs, where sparse gradients hurt.",
    "test",
    recipe=(
        "Popularity is not tested. A ring of eight Gaussians (radius 1, standard deviation 0.05; hidden layers of 32 units) and the "
        "8 × 8 handwritten digits of scikit-learn (64 units); generator and discriminator have two hidden layers each, with ReLU or "
        f"Leaky ReLU of slope 0.2 in one, the other, both or neither; {_SEEDS} seeds. The generator starts from {_NOISE} normal numbers. "
        f"Non-saturating loss, Adam (rate 0.002, β₁ 0.5), {_STEPS:,} steps of each in turn on batches of {_BATCH}; size, rate and steps were "
        f"chosen with ReLU in both alone. Of {_SAMPLES:,} samples, those within three standard deviations of a Gaussian, or as near to a real "
        "digit as 95 % of real digits are to another one, count for its mode (or digit), and a mode is covered by "
        f"{_ENOUGH:.0%} of all samples. The score is the mean of the last {_LOOKS // 2} of {_LOOKS} counts over the training. "
        "The share of exact zeros in the gradient of the generator's loss is taken as often, on the way in the discriminator's "
        "hidden layers (before the activation), at the generator's output (before its tanh, on digits), and in its hidden layers."
    ),
    criterion=(
        "The three with a leak are held against ReLU in both on each data set, in modes covered, by the differences paired by seed, at 5 % "
        "after Holm's correction for the six comparisons. It holds if all are better; it holds only for those that are named, if some are; it "
        "does not hold if none is better and one worse; else nothing is shown. The shares of zeros are told."
    ),
    published=(
        Published(
            "for",
            "Guidelines for stable convolutional GANs: Leaky ReLU (slope 0.2) in the discriminator, and ReLU in the generator, worked well.",
            "Radford, Metz & Chintala 2015, arXiv:1511.06434",
        ),
        Published(
            "between",
            "Over many architectures and settings of GANs, none of the changes studied was better than the others throughout; "
            "the budget for tuning and the seed weigh as much.",
            "Lucic et al. 2018, arXiv:1711.10337",
        ),
    ),
)


@dataclass(frozen=True, eq=False)
class Target:
    """What a generator is to imitate."""

    #: real samples, shape ``(n, k)``, and the mode of each
    points: Tensor
    modes: Tensor
    #: standard deviation of what is added to a point to draw from the target
    spread: float
    #: how far from its nearest point a sample may be to count for the point's mode
    limit: float
    #: units of each hidden layer
    width: int
    #: whether samples lie in −1 … 1
    bounded: bool

    def draw(self, count: int) -> Tensor:
        """Return real samples."""
        points = self.points[torch.randint(len(self.points), (count,))]
        return points + self.spread * torch.randn(points.shape)

    def covered(self, samples: Tensor) -> int:
        """Return how many modes have enough of the samples."""
        distance, nearest = torch.cdist(samples, self.points).min(1)
        counts = torch.bincount(self.modes[nearest[distance <= self.limit]], minlength=int(self.modes.max()) + 1)
        return int((counts >= _ENOUGH * len(samples)).sum())


def _ring() -> Target:
    angle = torch.arange(8) * (2 * math.pi / 8)
    return Target(torch.stack([angle.cos(), angle.sin()], 1), torch.arange(8), 0.05, 0.15, 32, bounded=False)


def _digits() -> Target:
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    points = torch.tensor(pixels / 8 - 1, dtype=torch.float32)
    apart = torch.cdist(points, points).fill_diagonal_(math.inf).amin(1)
    return Target(points, torch.tensor(classes), 0.0, float(apart.quantile(0.95)), 64, bounded=True)


TARGETS = {"ring": _ring, "digits": _digits}


def train(target: str, of_discriminator: str, of_generator: str, seed: int, steps: int = _STEPS) -> Measured:
    """Train one pair of networks; return the modes covered at each look, and the mean shares of zeros by place.

    The same seed gives every arm the same initial draw (scaled by the gain), the same batches and the same noise.
    """
    with one_thread(), random_state_kept():
        seed_all(seed)
        data = TARGETS[target]()
        width, size = data.width, data.points.shape[1]
        generator = mlp(_NOISE, [width, width], size)(Activation.parse(of_generator))
        discriminator = mlp(size, [width, width], 1)(Activation.parse(of_discriminator))
        if data.bounded:
            generator = nn.Sequential(*generator.children(), nn.Tanh())
        optimizers = [
            torch.optim.Adam(n.parameters(), lr=0.002, betas=(0.5, 0.999), fused=True)
            for n in (discriminator, generator)
        ]
        covered, zeros = [], []
        for step in range(1, steps + 1):
            _step(data, generator, discriminator, optimizers)
            if step % (steps // _LOOKS) == 0:
                noise = torch.randn(_SAMPLES, _NOISE)
                with torch.no_grad():
                    covered.append(data.covered(generator(noise)))
                zeros.append(_zeros(generator, discriminator, noise))
    means = [sum(column) / len(column) for column in zip(*zeros, strict=True)]
    return {"covered": covered, "zeros": dict(zip(_PLACES, means, strict=True))}


def _step(
    data: Target, generator: nn.Module, discriminator: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> None:
    """Take a step of the discriminator, and one of the generator."""
    real, fake = data.draw(_BATCH), generator(torch.randn(_BATCH, _NOISE))
    softplus = nn.functional.softplus
    of_discriminator, of_generator = optimizers
    of_discriminator.zero_grad()
    torch.autograd.backward(softplus(-discriminator(real)).mean() + softplus(discriminator(fake.detach())).mean())
    of_discriminator.step()
    of_generator.zero_grad()
    torch.autograd.backward(softplus(-discriminator(fake)).mean())
    of_generator.step()


def _zeros(generator: nn.Module, discriminator: nn.Module, noise: Tensor) -> tuple[float, float, float]:
    """Return the share of exact zeros in the gradient of the generator's loss, at each of the places."""
    value, linear = noise, []
    for module in [*generator.children(), *discriminator.children()]:
        value = module(value)
        if isinstance(module, nn.Linear):
            linear.append(value)
    *inside, output, first, second, _ = linear
    gradients = torch.autograd.grad(nn.functional.softplus(-value).sum(), [first, second, output, *inside])
    shares = [float((g == 0).double().mean()) for g in gradients]
    return (shares[0] + shares[1]) / 2, shares[2], (shares[3] + shares[4]) / 2


def measure(lab: Lab) -> Measured:
    """Return the modes covered by data set, arm and seed, and the mean share of zeros by data set, arm and place."""
    calls = {
        f"{target}, {arm}, {seed}": (target, *activations, seed)
        for target in TARGETS
        for seed in range(_SEEDS)
        for arm, activations in _ARMS.items()
    }
    trained = gathered(lab, "claims: gan", EXPERIMENTS[0].fingerprint(), train, calls)
    measured: Measured = {"covered": {}, "zeros": {}}
    for target in TARGETS:
        for arm in _ARMS:
            mine = [trained[f"{target}, {arm}, {seed}"] for seed in range(_SEEDS)]
            late = [one["covered"][-(_LOOKS // 2) :] for one in mine]
            measured["covered"].setdefault(target, {})[arm] = [sum(counts) / len(counts) for counts in late]
            places = {place: sum(one["zeros"][place] for one in mine) / _SEEDS for place in _PLACES}
            measured["zeros"].setdefault(target, {})[arm] = places
    return measured


def judge(measured: Measured) -> Answer:
    """Hold the pairs with a leak against ReLU in both."""
    verdicts = by_key(judge_all(measured["covered"], _BASELINE))
    ruling = rule(verdicts)
    won, lost = ([f"{arm} ({target})" for target, arm in having(verdicts, word)] for word in ("better", "worse"))
    gains = listing([f"{arm} ({target}) {difference(v.difference, 'r2', 0)}" for (target, arm), v in verdicts.items()])
    zeros = measured["zeros"]
    told = [
        f"on {target} {share(zeros[target][_BASELINE][_PLACES[0]])} of the gradient are zeros in the discriminator and "
        f"{share(zeros[target][_BASELINE][_PLACES[1]])} where it reaches the generator's output"
        for target in zeros
    ]
    sentence = f"Modes covered beyond those of ReLU in both: {gains}."
    sentence += f" Worse is {listing(lost)}." if lost else ""
    sentence += f" With ReLU in both, {listing(told)}."
    return Answer(
        "S15",
        ruling,
        sentence,
        condition=f"it is the {listing(won).replace(' and ', ' or ')}" if ruling == "holds only when" else "",
        reason="" if ruling == "holds" else _REASON,
        numbers={
            **{f"{target}, {arm}: modes gained": v.difference for (target, arm), v in verdicts.items()},
            **{
                f"{target}, {arm}: zeros {place}": value
                for target, arms in zeros.items()
                for arm, places in arms.items()
                for place, value in places.items()
            },
        },
        plots=(*(_plot(target, arms) for target, arms in measured["covered"].items()), _plot_of_zeros(zeros)),
    )


_REASON = (
    "Half of the gradient is cut in each hidden layer of a ReLU discriminator, yet what arrives at the generator is a sum over "
    "all paths that are left, and hardly ever zero: in small networks, sparse inside is not sparse where it counts."
)


def _plot(target: str, arms: dict[str, list[float]]) -> Plot:
    means = {arm: mean(values) or 0.0 for arm, values in arms.items()}
    of = "digits" if target == "digits" else "Gaussians"
    return Plot(
        f"Modes covered: {target}",
        "",
        f"{of} covered",
        (Series("modes", tuple(means), tuple(means.values()), kind="bars"),),
        f"Mean number of {of} covered over {_SEEDS} seeds: {', '.join(f'{a} {m:.1f}' for a, m in means.items())}.",
    )


def _plot_of_zeros(zeros: dict[str, dict[str, dict[str, float]]]) -> Plot:
    arms = zeros["digits"]
    told = "; ".join(f"{arm}: " + ", ".join(f"{p} {share(v)}" for p, v in at.items()) for arm, at in arms.items())
    return Plot(
        "Zeros in the generator's gradient: digits",
        "",
        "share of exact zeros",
        tuple(Series(arm, _PLACES, tuple(at[p] for p in _PLACES), kind="bars") for arm, at in arms.items()),
        f"The share of exact zeros in the gradient of the generator's loss by place. {told}.",
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=90.0),)
