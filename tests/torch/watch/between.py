"""A layer, whatever lies between, and an activation: what is told of its units."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.evidence import Evidence, Site
from leaky.torch.watch import watch


class Between(nn.Module):
    """A layer, what is between, and a ReLU."""

    def __init__(self, layer: nn.Module, between: Callable[[Tensor], Tensor], *more: nn.Module) -> None:
        super().__init__()
        self.layer, self.between, self.more = layer, between, nn.ModuleList(more)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.between(self.layer(x))
        return F.relu(self.seen)


def sites_of(model: nn.Module, *inputs: Tensor) -> list[tuple[Site, Evidence]]:
    with torch.no_grad(), watch(model) as seen:
        model(*inputs)
    return list(seen.sites.values())


IMAGES = torch.randn(4, 3, 8, 8)
WORDS = torch.randn(4, 7, 5)
ROWS = torch.randn(4, 5)
