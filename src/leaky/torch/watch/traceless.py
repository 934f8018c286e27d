"""Leaving a model, and the process it is in, as they were found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from leaky.torch.randomness import random_state_kept


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode, and all as it was at the end, also after an error or Ctrl-C.

    Put back are every module's train flag, buffers and their contents, the parameters' gradients (there are none
    within), the random states of PyTorch, NumPy and Python, the grad mode and the number of threads. Parameters are not
    looked after: nothing short of a copy of them could undo a forward pass that changes them.
    """
    with ExitStack() as stack:
        stack.enter_context(random_state_kept())
        for keep in (_switches, _gradients, _buffers, _flags):
            keep(model, stack)
        model.eval()
        yield


def _flags(model: nn.Module, stack: ExitStack) -> None:
    flags = [(module, module.training) for module in model.modules()]

    def restore() -> None:
        for module, flag in flags:
            module.training = flag

    stack.callback(restore)


def _buffers(model: nn.Module, stack: ExitStack) -> None:
    kept = [(module, dict(module._buffers)) for module in model.modules()]
    copies = {id(each): (each, each.detach().clone()) for _, own in kept for each in own.values() if each is not None}

    def restore() -> None:
        for module, own in kept:
            if list(own.items()) != list(module._buffers.items()):
                module._buffers.clear()
                module._buffers.update(own)
        with torch.no_grad():
            for buffer, copy in copies.values():
                if not torch.equal(buffer, copy):
                    buffer.copy_(copy)

    stack.callback(restore)


def _gradients(model: nn.Module, stack: ExitStack) -> None:
    kept = [(parameter, parameter.grad) for parameter in model.parameters()]

    def restore() -> None:
        for parameter, gradient in kept:
            parameter.grad = gradient

    stack.callback(restore)
    for parameter, _ in kept:
        parameter.grad = None


def _switches(model: nn.Module, stack: ExitStack) -> None:
    threads = torch.get_num_threads()

    def restore_threads() -> None:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)

    stack.callback(restore_threads)
    stack.callback(torch.set_grad_enabled, torch.is_grad_enabled())
