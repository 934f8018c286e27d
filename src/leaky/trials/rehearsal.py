"""One step of training, before any trial: to find mistakes early, and to know the task again later."""

from __future__ import annotations

import hashlib
import re
from functools import partial

import torch

from leaky.activation import Activation
from leaky.torch.randomness import random_state_kept, seed_all
from leaky.trials.environment import environment
from leaky.trials.making import Made, make
from leaky.trials.measure import Probe, evaluating
from leaky.trials.task import Task, TaskError
from leaky.trials.training import one_thread
from leaky.user_code import in_one_line

# Samples of the rehearsal: enough to see what the network does with them.
_SAMPLES = 32


def rehearse(task: Task, activation: Activation) -> str:
    """Train the task's network for one step, and return its fingerprint.

    Two trials of an activation with the same fingerprint and seed give the same numbers: it is a digest of the data, the
    recipe, the environment, the network's initial draw, and what one step makes of it.

    Raises:
        TaskError: the network cannot be built, run or trained with this activation, it ignores the activation, or it is
            not the same, or not a fresh one, each time it is made.
    """
    with one_thread(), random_state_kept():
        return in_one_line(
            f"task: the network with {activation} failed", partial(_rehearse, task, activation), TaskError
        )


def describe(task: Task, activation: Activation) -> dict[str, str]:
    """Return the task's recipe in words."""
    with random_state_kept():
        made = make(task, activation)
        recipe = task.recipe(made.model)
    if made.sites:
        recipe["activations converted"] = f"{len(made.sites)}, wherever the network says ReLU"
    if made.left:
        recipe["the same in every arm"] = ", ".join(f"{left.site} ({left.reason})" for left in made.left)
    return recipe


def _rehearse(task: Task, activation: Activation) -> str:
    made = _fresh(task, activation)
    model = made.model
    optimizer = task.make_optimizer(model)
    # An address in memory, as functions have in their repr, is another one in every process.
    described = re.sub(r" at 0x[0-9a-fA-F]+", "", f"{model}{optimizer}")
    parts = hashlib.sha256(task.digest() + repr(environment()).encode() + described.encode())
    _add(parts, *model.state_dict().values())
    x, y = (part[: max(2, min(task.batch_size, _SAMPLES))] for part in task.tensors("train"))
    with Probe(model, made.sites).watching() as probe:
        output = model(x)
    if not probe.sites:
        raise TaskError(
            "task: the network ignores the activation; expected activation.module() where nn.ReLU() would stand"
        )
    _check_output(task, output, x, y)
    loss = task.loss(output, y)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    _add(parts, output, loss, *gradients)
    optimizer.step()
    with evaluating(model), torch.no_grad():
        output = model(x)
    _add(parts, *model.state_dict().values(), output)
    parts.update(repr(task.score(output, y)).encode())
    return parts.hexdigest()[:16]


def _fresh(task: Task, activation: Activation) -> Made:
    """Make the network twice, to see that it comes out the same and yet another one."""
    models = []
    for _ in range(2):
        seed_all(0)
        models.append(make(task, activation))
    first, second = (made.model.state_dict(keep_vars=True) for made in models)
    if {id(v) for v in first.values()} & {id(v) for v in second.values()}:
        raise TaskError("task: the model factory returned the same weights twice; expected a fresh network each time")
    if list(first) != list(second) or not all(torch.equal(first[name], second[name]) for name in first):
        raise TaskError(
            "task: the model factory draws from random numbers of its own; "
            "expected those of PyTorch, NumPy (np.random) or Python, which are seeded for it"
        )
    return models[0]


def _check_output(task: Task, output: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> None:
    """Refuse an output that the loss would misread or reject."""
    shape = tuple(output.shape)
    if not task.classifies:
        if shape not in (tuple(y.shape), (*y.shape, 1)):
            hint = " (targets of floats are measurements; for classes use y.astype(int))" if y.ndim == 1 else ""
            raise TaskError(
                f"task: the network's output has shape {shape}; expected {tuple(y.shape)} as the targets{hint}"
            )
        return
    classes = 1 + max(int(task.tensors(part)[1].max()) for part in ("train", "test"))
    if len(shape) != 2 or shape[1] < classes:
        raise TaskError(
            f"task: the network's output has shape {shape} for {len(x)} samples; "
            f"expected ({len(x)}, {classes}) or wider, as the targets have classes 0 … {classes - 1}"
        )


def _add(parts: hashlib._Hash, *tensors: torch.Tensor) -> None:
    for tensor in tensors:
        parts.update(tensor.numpy(force=True).tobytes())
