"""One training step of a convolution network, with PyTorch's Leaky ReLU and with leaky's: its time, and what it keeps.

    python bench/training_step.py            both in turn: the ratio of times, the bytes that the layers keep for backward
    python bench/training_step.py --memory   each in a process of its own: the peak of its memory

The network is made of depthwise-separable blocks (Howard et al. 2017, "MobileNets") with batch normalisation; batch 64 of
3 x 64 x 64. What differs is the one line that names the activation.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from peak import peak_memory
from torch import nn

import leaky.torch

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "nn.LeakyReLU(0.01)": lambda: nn.LeakyReLU(0.01),
    "leaky.torch.LeakyReLU(0.01)": lambda: leaky.torch.LeakyReLU(0.01),
}
THEIRS, OURS = ACTIVATIONS


def network(activation: Callable[[], nn.Module], channels: int = 32, blocks: int = 4) -> nn.Sequential:
    """Return the network, the same weights each time."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), activation()]
    for block in range(blocks):
        stride, wider = (2, min(2 * channels, 128)) if block % 2 else (1, channels)
        layers += [
            nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            activation(),
            nn.Conv2d(channels, wider, 1, bias=False),
            nn.BatchNorm2d(wider),
            activation(),
        ]
        channels = wider
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Training:
    """A network in training on noise."""

    def __init__(self, name: str) -> None:
        self.net = network(ACTIVATIONS[name])
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01)
        self.x, self.y = torch.randn(64, 3, 64, 64), torch.randint(0, 10, (64,))

    def loss(self) -> torch.Tensor:
        """Return the loss of one forward pass."""
        return F.cross_entropy(self.net(self.x), self.y)

    def step(self) -> float:
        """Take one step and return its time in seconds."""
        start = time.perf_counter()
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()
        return time.perf_counter() - start

    def kept(self) -> int:
        """Return the bytes that a forward pass keeps for backward, the parameters aside."""
        parameters = {p.untyped_storage().data_ptr() for p in self.net.parameters()}
        storages: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = self.loss()
        kept = sum(size for address, size in storages.items() if address not in parameters)
        del loss
        return kept


def times(rounds: int) -> None:
    """Print the ratio of the times of a step, and the bytes kept."""
    trainings = {name: Training(name) for name in ACTIVATIONS}
    kept = {name: training.kept() for name, training in trainings.items()}
    for training in trainings.values():
        training.step()
    taken: dict[str, list[float]] = {name: [] for name in trainings}
    for i in range(rounds):
        for name in list(trainings)[:: 1 if i % 2 else -1]:
            taken[name].append(trainings[name].step())
    for name in trainings:
        print(f"{name:28} {1e3 * median(taken[name]):6.0f} ms a step, {kept[name] / 2**20:5.0f} MiB kept for backward")
    ratio = median(theirs / ours for theirs, ours in zip(taken[THEIRS], taken[OURS], strict=True))
    print(
        f"{ratio:.2f} times as fast, {100 * (1 - kept[OURS] / kept[THEIRS]):.0f} % less kept (medians of {rounds} rounds)"
    )


def memory() -> None:
    """Print the peak of memory that a training of three steps adds to that of its process.

    Once as glibc's allocator has it, which keeps part of what is freed; once with everything given back when it is freed.
    """
    for title, environment in (
        ("the allocator's default", {}),
        ("MALLOC_MMAP_THRESHOLD_=131072", {"MALLOC_MMAP_THRESHOLD_": "131072"}),
    ):
        peaks = {}
        print(title)
        for name in ACTIVATIONS:
            done = subprocess.run(
                [sys.executable, __file__, "--peak-of", name],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, **environment},
            )
            peaks[name] = int(done.stdout)
            print(f"  {name:28} {peaks[name] / 1024:6.0f} MiB")
        print(f"  {100 * (1 - peaks[OURS] / peaks[THEIRS]):.0f} % less at the peak")


def peak_of(name: str) -> None:
    """Print by how many KiB three steps raise the process's peak, after one small one has loaded what it needs."""
    training = Training(name)
    images, classes = training.x, training.y
    training.x, training.y = images[:2], classes[:2]
    training.step()
    before = peak_memory()
    training.x, training.y = images, classes
    for _ in range(3):
        training.step()
    print(peak_memory() - before)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak-of", choices=list(ACTIVATIONS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        peak_of(arguments.peak_of)
    elif arguments.memory:
        memory()
    else:
        times(arguments.rounds)
