"""One of the processes of test_monitor_ranks: trains on its part of the batches, and prints what its monitor says.

Usage: rank.py RANK RANKS FILE WINDOWS, of which the last holds, in JSON, the batches of each rank in each window.
"""

import json
import sys
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.distributed.algorithms.join import Join
from torch.nn.parallel import DistributedDataParallel

from leaky.torch import Monitor


class Sometimes(nn.Module):
    """A network with a second activation that only some inputs reach."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.second = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        return torch.relu(self.second(x)) if x.sum() > 2 else self.second(x)


def build() -> nn.Module:
    torch.manual_seed(0)
    return Sometimes()


def main(rank: int, ranks: int, file: str, windows: list[list[list[list[list[float]]]]]) -> None:
    store = distributed.FileStore(file, ranks)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=ranks, timeout=timedelta(seconds=60))
    model = DistributedDataParallel(build())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)  # the same network throughout, for one process to follow
    with Monitor(model) as monitor:
        for window in windows:
            with Join([model]):
                for batch in window[rank]:
                    optimizer.zero_grad()
                    model(torch.tensor(batch)).square().sum().backward()
                    optimizer.step()
            monitor.end_window()
    print(json.dumps(monitor.to_dict()), flush=True)
    sys.stdin.read()  # until the test has heard all ranks, and ends them: none goes while another may still talk to it


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
