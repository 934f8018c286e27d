"""The monitor under DistributedDataParallel: two processes, by gloo on the loopback interface."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed, nn

from leaky.torch import Monitor
from leaky.torch.watch import Watch
from leaky.torch.windows import Tally, Windows

SCRIPT = Path(__file__).with_name("rank.py")
RANKS = 2


def on_ranks(windows: list[Any], folder: Path) -> list[dict[str, Any]]:
    """Return what the monitors of all ranks say; end the processes, whatever happens."""
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    arguments = [str(RANKS), str(folder / "store"), json.dumps(windows)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(SCRIPT), str(rank), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(RANKS)
    ]
    try:
        told = []
        for process in processes:
            assert process.stdout is not None
            assert process.stderr is not None
            out = process.stdout.readline()  # not for ever: a rank that is left alone gives up after a minute
            assert out, process.stderr.read()
            told.append(json.loads(out))
        return told
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def on_one(windows: list[Any]) -> dict[str, Any]:
    """Return what one process says that sees all batches."""
    spec = importlib.util.spec_from_file_location("rank", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    rank = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rank)
    with Monitor(rank.build()) as monitor:
        for window in windows:
            for batch in itertools.chain(*window):
                monitor._model(torch.tensor(batch))
            monitor.end_window()
    return monitor.to_dict()


def test_the_samples_of_all_ranks_count_and_none_waits_for_another(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)

    def batches(count: int, shift: float) -> list[Any]:
        return (rng.normal(size=(count, 3, 4)) + shift).astype(np.float32).tolist()

    # Ranks with more batches, with none, and with inputs that do not reach the second activation.
    windows = [
        [batches(3, -2), batches(1, 2)],
        [batches(1, 1), batches(4, -1)],
        [batches(2, 3), []],
        [batches(2, -3), batches(2, -3)],
    ]
    one = on_one(windows)
    first, second = on_ranks(windows, tmp_path)
    assert first == second
    # The order in which sites are met is not the same.
    assert sorted(first.pop("sites"), key=str) == sorted(one.pop("sites"), key=str)
    assert first == one
    # What it is about has happened: alone, each rank says otherwise.
    assert any(window["died"] for window in one["windows"])
    assert any(window["revived"] for window in one["windows"])
    assert all(
        alone["windows"] != one["windows"]
        for alone in (on_one([[window[rank]] for window in windows[:2]]) for rank in range(RANKS))
    )


class Branches(nn.Module):
    """A network of which a batch runs one half or the other, by the sign of what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(3, 4)
        self.slope = nn.PReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return torch.relu(self.a(x))
        return self.slope(torch.relu(self.b(x)))


def test_ranks_that_meet_sites_in_other_orders_count_them_together() -> None:
    """Names are given as sites are met: what one rank calls relu() another may call relu()[1]."""
    model = Branches()
    with torch.no_grad():
        model.a.bias.fill_(100.0)
        model.b.bias.fill_(-100.0)
    ranks, windows = [Watch(model), Watch(model)], Windows()
    # In each window the batches of each rank, by their signs.
    for signs in ([[1], [-1]], [[1, -1], [-1, 1]], [[], [-1]], [[-1], [1]]):
        total = Tally()
        for watch, mine in zip(ranks, signs, strict=True):
            with watch.watching():
                for sign in mine:
                    model(sign * torch.ones(5, 3))
            total.add(Tally.of(len(mine), len(mine), watch.restart()))
        windows.end(total)
        with torch.no_grad():
            model.slope.weight += 1
    assert {name: site.fed_by for name, site in windows.sites.items()} == {
        "relu()": "a",
        "relu()[1]": "b",
        "slope": "b",
    }
    seen = [{name: window.seen[name] for name in sorted(window.seen)} for window in windows.history]
    assert [(w.get("relu()", 0), w.get("relu()[1]", 0)) for w in seen] == [(5, 5), (10, 10), (0, 5), (5, 5)]
    assert all(window.dead.get("relu()[1]") == 4 for window in windows.history)
    assert not any(window.died or window.revived for window in windows.history)
    assert all(site.name == name for name, site in windows.sites.items())
    assert windows.sites["slope"].slope == 3.25  # as it was when it was last met, not first


def test_windows_cannot_end_by_themselves_on_several_ranks() -> None:
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
        with pytest.raises(ValueError, match=r"^window: 5 with several processes; expected None, and end_window"):
            Monitor(model, window=5)
    finally:
        distributed.destroy_process_group()
