"""A generative adversarial network on a ring of eight Gaussians: how many of the eight does the generator learn?

    python examples/gan.py [STEPS] [SEEDS]

Change: the slopes in ARMS, the widths, the learning rates. One training shows little: GANs differ from seed to seed.
"""

import math
import sys

import torch
from torch import nn

import leaky

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
SEEDS = int(sys.argv[2]) if len(sys.argv) > 2 else 1
ARMS = {"ReLU in both": (0.0, 0.0), "leaky discriminator": (0.0, 0.2), "leaky in both": (0.2, 0.2)}

angles = torch.arange(8) * math.pi / 4
CENTRES = 2 * torch.stack([angles.cos(), angles.sin()], 1)


def network(inputs, outputs, slope):
    layers = [nn.Linear(inputs, 64), leaky.torch.LeakyReLU(slope), nn.Linear(64, 64), leaky.torch.LeakyReLU(slope)]
    return nn.Sequential(*layers, nn.Linear(64, outputs))


def real(count):
    return CENTRES[torch.randint(8, (count,))] + 0.05 * torch.randn(count, 2)


def modes(generator):
    """Return how many of the eight at least 1 % of the samples come near to."""
    near = torch.cdist(generator(torch.randn(2000, 8)), CENTRES) < 0.3
    return int((near.float().mean(0) > 0.01).sum())


def train(generator_slope, discriminator_slope, seed):
    torch.manual_seed(seed)
    generator, discriminator = network(8, 2, generator_slope), network(2, 1, discriminator_slope)
    step_g, step_d = (torch.optim.Adam(n.parameters(), lr=1e-3, betas=(0.5, 0.9)) for n in (generator, discriminator))
    for _ in range(STEPS):
        fake, softplus = generator(torch.randn(128, 8)), nn.functional.softplus
        step_d.zero_grad()
        (softplus(-discriminator(real(128))) + softplus(discriminator(fake.detach()))).mean().backward()
        step_d.step()
        step_g.zero_grad()
        softplus(-discriminator(fake)).mean().backward()
        step_g.step()
    dead = sum(int(seen.dead.sum()) for seen in leaky.check(generator, torch.randn(1000, 8)).sites.values())
    return modes(generator), dead


for name, slopes in ARMS.items():
    results = [train(*slopes, seed) for seed in range(SEEDS)]
    print(f"{name}: " + ", ".join(f"{found} of 8 modes (units dead: {dead})" for found, dead in results))
