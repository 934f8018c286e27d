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
    weights_seed, order_seed, noise_seed = seeds(seed)
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
            if broken(epochs[-1]):
                diverged = epoch
                break
            if hopeless(task, floor, epoch, epochs[-1]):
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


def seeds(seed: int) -> tuple[int, int, int]:
    """Return the seeds of a trial's initial weights, of its order of batches, and of noise in training."""
    weights, order, noise = (int(s) for s in np.random.SeedSequence(seed).generate_state(3))
    return weights, order, noise


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
    for batch in batches(task, torch.randperm(len(x), generator=order)):
        batch_x, batch_y = x[batch], y[batch]
        start = time.perf_counter()
        loss = step(task, model, optimizer, batch_x, batch_y)
        seconds.append(time.perf_counter() - start)
        if not math.isfinite(loss.item()):
            return False
    return True


def step(
    task: Task, model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Train on one batch, and return the loss before."""
    optimizer.zero_grad()
    loss = task.loss(model(x), y)
    torch.autograd.backward(loss)
    optimizer.step()
    return loss


def batches(task: Task, order: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the batches of an epoch: indices of samples on the last axis, as those of ``order``."""
    for batch in torch.split(order, task.batch_size, dim=-1):
        if batch.shape[-1] > 1 or task.batch_size == 1:  # on a remainder of one sample BatchNorm cannot train
            yield batch


def broken(epoch: Epoch) -> bool:
    """Say whether a number of it is NaN or infinite that is finite in a network that trains."""
    return None in (epoch.train_loss, epoch.test_loss, epoch.test_score) or None in epoch.gradient + epoch.largest


def hopeless(task: Task, floor: Sequence[float], number: int, epoch: Epoch) -> bool:
    """Say whether a training is to be given up after this epoch, which is not the last."""
    return number < min(len(floor), task.epochs) and (epoch.test_score or 0.0) < floor[number]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread, and put the caller's number back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
