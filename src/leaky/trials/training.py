"""One trial: build the network, train it, measure it after every epoch."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeGuard

import numpy as np
import torch
from torch import nn

from leaky.activation import Activation
from leaky.torch.randomness import random_state_kept, seed_all
from leaky.trials.making import make
from leaky.trials.measure import Data, Probe, measure
from leaky.trials.record import Epoch, Trial
from leaky.trials.task import Task


def run_trial(task: Task, activation: Activation, seed: int, floor: Sequence[float] = ()) -> Trial:
    """Train the task's network once and return what was measured.

    The same seed gives every activation the same initial draw, the same order of batches and the same noise. The numbers
    (not the timing) repeat exactly on the same machine and versions; one thread is used, since the count changes the
    order of sums. The caller's random state and thread count are put back.

    Args:
        task: what is trained.
        activation: the arm.
        seed: of the initial draw, the order of batches and the noise.
        floor: scores on the test data by epoch, epoch 0 being birth; a training that falls below is given up.
    """
    weights_seed, order_seed, noise_seed = (int(s) for s in np.random.SeedSequence(seed).generate_state(3))
    with one_thread(), random_state_kept():
        train, test = task.tensors("train"), task.tensors("test")
        seed_all(weights_seed)
        made = make(task, activation)
        model = made.model
        seed_all(noise_seed)
        probe = Probe(model, made.sites)
        epochs, seconds = [measure(task, model, probe, train, test)], [math.nan]
        diverged = stopped = None
        order = torch.Generator().manual_seed(order_seed)
        optimizer = task.make_optimizer(model)
        for epoch in range(1, task.epochs + 1):
            if not _train_epoch(task, model, train, optimizer, order, seconds):
                diverged = epoch
                break
            epochs.append(measure(task, model, probe, train, test))
            if _broken(epochs[-1]):
                diverged = epoch
                break
            if epoch < min(len(floor), task.epochs) and (epochs[-1].test_score or 0.0) < floor[epoch]:
                stopped = epoch
                break
    return Trial(
        activation=str(activation),
        seed=seed,
        diverged=diverged,
        epochs=tuple(epochs),
        sites=tuple(probe.sites),
        units=tuple(evidence.units for evidence, _ in probe.sites.values()),
        layers=tuple(probe.layers),
        seconds_per_step=statistics.median(seconds[1:] or [0.0]),
        stopped=stopped,
        slopes=tuple(m.weight.mean().item() for m in model.modules() if _learns_slope(m)),
    )


def _learns_slope(module: nn.Module) -> TypeGuard[nn.PReLU]:
    return isinstance(module, nn.PReLU) and hasattr(module, "leaky_activation")


def _train_epoch(
    task: Task,
    model: nn.Module,
    train: Data,
    optimizer: torch.optim.Optimizer,
    order: torch.Generator,
    seconds: list[float],
) -> bool:
    """Train on every batch once, noting the seconds of each step; return False as soon as a loss is not finite."""
    x, y = train
    for batch in torch.split(torch.randperm(len(x), generator=order), task.batch_size):
        if len(batch) == 1 < task.batch_size:
            continue  # a remainder of one sample, on which BatchNorm cannot train; there is another batch
        batch_x, batch_y = x[batch], y[batch]
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = task.loss(model(batch_x), batch_y)
        torch.autograd.backward(loss)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        if not math.isfinite(loss.item()):
            return False
    return True


def _broken(epoch: Epoch) -> bool:
    return None in (epoch.train_loss, epoch.test_loss, epoch.test_score) or None in epoch.gradient + epoch.largest


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread, and put the caller's number back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
