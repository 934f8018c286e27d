"""A network that says ReLU in many ways, in a module that other processes can import too."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Two calls, one of them shared by both of its runs, and a method of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

    def act(self, x: Tensor) -> Tensor:
        return torch.relu(x) - x.relu() / 2

    def forward(self, x: Tensor) -> Tensor:
        return x + self.act(self.second(self.act(self.first(x))))


class Traveller(nn.Module):
    """Modules, a function held, calls, masks, and blocks within."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(8)])
        self.blocks = nn.Sequential(Block(), Block())
        self.shared, self.held = nn.ReLU(), F.relu
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(self.layers[0](x))
        x = self.held(self.layers[1](x))
        x = F.relu(self.layers[2](x), inplace=True)
        x = torch.relu_(self.layers[3](x))
        x = self.layers[4](x).clamp(min=0)
        y = self.layers[5](x)
        x = torch.where(y > 0, y, 0)
        z = self.layers[6](x)
        x = z * (z > 0)
        return self.blocks(self.norm(self.shared(self.layers[7](x))))  # type: ignore[no-any-return]
