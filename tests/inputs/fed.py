"""A network of four inputs, and data for it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.ReLU())


DATA = np.random.default_rng(0).normal(size=(60, 7))
A, B, Y = DATA[:, :4], DATA[:, 4:], np.arange(60) % 8
