"""Pairs of networks that are trained against each other (Goodfellow et al. 2014), and what is measured of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaky.activation import Activation
from leaky.claims.experiment import Measured
from leaky.torch.randomness import random_state_kept, seed_all
from leaky.trials import mlp
from leaky.trials.training import one_thread

STEPS, LOOKS, BATCH, NOISE, SAMPLES = 1000, 10, 64, 16, 1000
#: of the samples, for a mode to be covered
ENOUGH = 0.01
#: where the share of zeros in the gradient is taken, from the loss backwards
PLACES = ("in the discriminator", "at the generator's output", "in the generator")


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
        return int((counts >= ENOUGH * len(samples)).sum())


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


def train(target: str, of_discriminator: str, of_generator: str, seed: int, steps: int = STEPS) -> Measured:
    """Train one pair of networks; return the modes covered at each look, and the mean shares of zeros by place.

    The same seed gives every arm the same initial draw (scaled by the gain), the same batches and the same noise.
    """
    with one_thread(), random_state_kept():
        seed_all(seed)
        data = TARGETS[target]()
        width, size = data.width, data.points.shape[1]
        generator = mlp(NOISE, [width, width], size)(Activation.parse(of_generator))
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
            if step % (steps // LOOKS) == 0:
                noise = torch.randn(SAMPLES, NOISE)
                with torch.no_grad():
                    covered.append(data.covered(generator(noise)))
                zeros.append(_zeros(generator, discriminator, noise))
    means = [sum(column) / len(column) for column in zip(*zeros, strict=True)]
    return {"covered": covered, "zeros": dict(zip(PLACES, means, strict=True))}


def _step(
    data: Target, generator: nn.Module, discriminator: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> None:
    """Take a step of the discriminator, and one of the generator."""
    real, fake = data.draw(BATCH), generator(torch.randn(BATCH, NOISE))
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
