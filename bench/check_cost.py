"""What a check costs beside a plain forward pass over the same data: time, as a ratio of runs in turn, and memory.

    python bench/check_cost.py            time, of all networks
    python bench/check_cost.py --memory   the peak of memory that a check adds, each in a process of its own

The networks: one of the size of ResNet-18 (He et al. 2016) at 224 x 224, and 8 dense layers of 256 units, whose check
costs the more the smaller the batches are.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from peak import peak_memory
from torch import Tensor, nn

import leaky


class Block(nn.Module):
    """A basic block of a residual network."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.short = nn.Sequential()
        if stride != 1 or into != out:
            self.short = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.short(x))


def resnet18(images: int) -> tuple[nn.Module, list[Tensor]]:
    """Return the network and so many images, by 8."""
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
    blocks = [Block(*width) for width in [*widths, (512, 512, 1)]]
    net = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
    return net, [torch.randn(8, 3, 224, 224) for _ in range(images // 8)]


def dense(samples: int) -> tuple[nn.Module, list[Tensor]]:
    """Return eight layers of 256 units and batches of so many samples."""
    layers = [layer for _ in range(8) for layer in (nn.Linear(256, 256), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(256, 10)), [torch.randn(samples, 256) for _ in range(20_480 // samples)]


NETWORKS: dict[str, Callable[[], tuple[nn.Module, list[Tensor]]]] = {
    **{f"ResNet-18, {images} images": functools.partial(resnet18, images) for images in (48, 192)},
    # 1,024 is what a check takes of an array whose samples are so small, if nobody says otherwise.
    **{f"dense, 8 x 256, by {samples}": functools.partial(dense, samples) for samples in (64, 512, 1024)},
}


def forward(net: nn.Module, batches: list[Tensor]) -> None:
    """Run the data through the network, as for its predictions."""
    net.eval()
    with torch.no_grad():
        for batch in batches:
            net(batch)


def times(rounds: int) -> None:
    """Print the time of a check divided by that of a forward pass."""
    for name, make in NETWORKS.items():
        torch.manual_seed(0)
        net, batches = make()
        ratios = []
        for i in range(rounds + 1):
            start = time.perf_counter()
            forward(net, batches)
            middle = time.perf_counter()
            leaky.check(net, batches)
            ratios.append((time.perf_counter() - middle) / (middle - start))
            if i == 0:
                ratios.clear()  # what is loaded at first
        print(f"{name:25} {median(ratios):.2f} times a plain forward pass (median of {rounds} rounds)")


def memory() -> None:
    """Print the bytes a unit by which a check raises the peak."""
    for name, make in NETWORKS.items():
        units = sum(seen.site.units for seen in leaky.check(*make()).sites.values())
        peaks = []
        for what in ("forward", "check"):
            command = [sys.executable, __file__, "--peak-of", name, what]
            peaks.append(median(_peak(command) for _ in range(3)))
        more = 1024 * (peaks[1] - peaks[0])
        print(
            f"{name:25} {peaks[0] / 1024:.0f} MiB, {more / units:+.0f} bytes for each of {units:,} units when checked"
        )


def _peak(command: list[str]) -> int:
    # Memory given back as soon as it is freed, so that the peak is that of what is in use.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    return int(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def peak_of(name: str, what: str) -> None:
    """Print by how many KiB the work raises the process's peak, once a small check has loaded what it needs."""
    leaky.check(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.randn(8, 4))
    net, batches = NETWORKS[name]()
    before = peak_memory()
    if what == "check":
        leaky.check(net, batches)
    else:
        forward(net, batches)
    print(peak_memory() - before)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        peak_of(*arguments.peak_of)
    elif arguments.memory:
        memory()
    else:
        times(arguments.rounds)
