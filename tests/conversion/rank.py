"""One of the processes of test_travels: runs a converted network under DistributedDataParallel, and prints what it puts out.

Usage: rank.py RANK RANKS STORE MODEL, the last a file with the network and its input.
"""

import json
import sys
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel


def main(rank: int, ranks: int, file: str, saved: str) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    store = distributed.FileStore(file, ranks)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=ranks, timeout=timedelta(seconds=60))
    network, x = torch.load(saved, weights_only=False)
    model = DistributedDataParallel(network)
    output = model(x)
    output.sum().backward()
    gradient = next(model.parameters()).grad
    assert gradient is not None
    print(json.dumps([output.tolist(), gradient.tolist()]), flush=True)
    sys.stdin.read()  # until the test has heard all ranks


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
