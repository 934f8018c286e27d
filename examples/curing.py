"""A deep network that does not learn: what ails it, the cure, and whether it helped.

    python examples/curing.py [SLOPE]

Change: the slope, the depth, the width; or put your own network and data in their place.
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import leaky

SLOPE = float(sys.argv[1]) if len(sys.argv) > 1 else 0.3
DEPTH, WIDTH, EPOCHS = 20, 16, 4

x, y = load_digits(return_X_y=True)
x, y = torch.tensor((x - x.mean()) / x.std()).float(), torch.tensor(y)
train, test = slice(0, 1400), slice(1400, None)


def network():
    torch.manual_seed(0)
    layers = [nn.Linear(WIDTH if depth else 64, WIDTH) for depth in range(DEPTH)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())), nn.Linear(WIDTH, 10))


def learn(model):
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(1400).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return (model(x[test]).argmax(1) == y[test]).float().mean().item()


before = leaky.check(network(), x[train], trained=False)
print("As it was made:", before.headline)
worst = before.worst[0]
print(f"The worst, {worst.code} at {worst.site}: {worst.text}")

cured = leaky.convert(network(), SLOPE, data=x[train], trained=False)
after = leaky.check(cured.model, x[train], trained=False)
print(f"With slope {SLOPE:g}:", after.headline)

print(
    f"Trained with ReLU {learn(network()):.0%}, with slope {SLOPE:g} {learn(cured.model):.0%} of the test digits are right."
)
print("That is one training each: leaky compare judges by many.")
