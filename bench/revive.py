"""Training that dead units have stalled, and what reviving them does: the training loss with and without.

    python bench/revive.py [docs/revive.svg]

Handwritten digits (scikit-learn) through two hidden layers of 32 ReLU units. Three epochs of Adam at a rate of 0.1, a
hundred times the customary one, kill units; from then on the rate is 0.001. After ten epochs training goes on in two
ways: as it was, and with the dead units revived. Both see the same batches in the same order.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

import leaky
from leaky.revival import Revival, revive

SEEDS, HOT, BEFORE, AFTER = 5, 3, 10, 20
PLAIN, REVIVED = "as it is", "revived"


@dataclass
class Training:
    """A network in training, and its loss on all of the data after each epoch."""

    x: Tensor
    y: Tensor
    net: nn.Module
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    losses: list[float] = field(default_factory=list)

    def epochs(self, count: int, rate: float) -> None:
        """Train for so many epochs."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for _ in range(count):
            for batch in torch.randperm(len(self.x), generator=self.order).split(128):
                self.optimizer.zero_grad()
                F.cross_entropy(self.net(self.x[batch]), self.y[batch]).backward()
                self.optimizer.step()
            with torch.no_grad():
                self.losses.append(float(F.cross_entropy(self.net(self.x), self.y)))

    def copied(self) -> Training:
        """Return the same training, to go on in another way."""
        net, optimizer, order = copy.deepcopy((self.net, self.optimizer, self.order))
        return Training(self.x, self.y, net, optimizer, order, list(self.losses))


def stalled(seed: int) -> Training:
    """Return a training that dead units have stalled."""
    x, y = load_digits(return_X_y=True)
    inputs, classes = torch.tensor((x - x.mean()) / x.std(), dtype=torch.float32), torch.tensor(y)
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(net.parameters())
    training = Training(inputs, classes, net, optimizer, torch.Generator().manual_seed(seed))
    training.epochs(HOT, rate=0.1)
    training.epochs(BEFORE - HOT, rate=1e-3)
    return training


def both(seed: int) -> tuple[Revival, dict[str, list[float]]]:
    """Go on in both ways; return what was revived, and the losses of each."""
    plain = stalled(seed)
    other = plain.copied()
    check = leaky.check(other.net, other.x)
    revival = revive(other.net, check, optimizer=other.optimizer, data=other.x, seed=seed)
    for training in (plain, other):
        training.epochs(AFTER, rate=1e-3)
    return revival, {PLAIN: plain.losses, REVIVED: other.losses}


def draw(losses: dict[str, list[list[float]]], path: str) -> None:
    """Draw the median over the seeds, and where the best and the worst of them are."""
    from leaky.report import look, save

    with look.style():
        figure = look.canvas(3.0)
        axes = figure.add_subplot()
        axes.set_title("Training loss")
        ends = []
        for arm, each in zip((PLAIN, REVIVED), look.looks(["relu", "leaky_relu(0.01)"]).values(), strict=True):
            lines = np.array(losses[arm])
            epochs, middle = np.arange(1, lines.shape[1] + 1), np.median(lines, axis=0)
            axes.fill_between(epochs, lines.min(axis=0), lines.max(axis=0), color=each.colour, alpha=0.13, linewidth=0)
            axes.plot(epochs, middle, color=each.colour, linestyle=each.dashes)
            ends.append((float(middle[-1]), arm, each))
        look.epochs(axes, BEFORE + AFTER)
        look.logarithmic(axes)
        axes.axvline(BEFORE, color=look.MUTED, linewidth=0.8, linestyle=":")
        look.name_lines(axes, ends)
        save(look.describe(figure, "Training loss by epoch, with the dead units revived after ten, and without."), path)


def main() -> None:
    """Print a line for each seed, and draw the curve if a path is given."""
    losses: dict[str, list[list[float]]] = {PLAIN: [], REVIVED: []}
    print(f"seed  units revived  loss after {BEFORE} epochs  {AFTER} more {PLAIN}  {AFTER} more {REVIVED}")
    for seed in range(SEEDS):
        revival, ways = both(seed)
        for arm, way in ways.items():
            losses[arm].append(way)
        units = sum(len(each.units) for each in revival.revived)
        print(
            f"{seed:4}{units:10} of 64{ways[PLAIN][BEFORE - 1]:17.3f}{ways[PLAIN][-1]:17.3f}{ways[REVIVED][-1]:17.3f}"
        )
    if len(sys.argv) > 1:
        draw(losses, sys.argv[1])


if __name__ == "__main__":
    main()
