"""Leaving a model, and the process it is in, as they were found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from leaky.torch.randomness import random_state_kept


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode, and all as it was at the end, also after an error or Ctrl-C.

    Put back are every module's train flag, buffers and their contents, the parameters' gradients (there are none
    within), the random states of PyTorch, NumPy and Python, the grad mode and the number of threads. Parameters are not
    looked after: nothing short of a copy of them could undo a forward pass that changes them.

    Raises:
        ValueError: the model has modules whose parameters or buffers are made in its first forward pass.
    """
    for path, module in model.named_modules():
        own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
        if any(map(is_lazy, own)):
            name = f"{path or 'it'}, {type(module).__name__}"
            raise ValueError(f"model: {name}, is still to be initialised; expected a network that has run once")
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
    def restore(module: nn.Module, own: dict[str, Tensor | None]) -> None:
        if list(own.items()) != list(module._buffers.items()):
            module._buffers.clear()
            module._buffers.update(own)

    @torch.no_grad()
    def refill(buffer: Tensor, copy: Tensor) -> None:
        if (buffer.shape, buffer.dtype) != (copy.shape, copy.dtype):
            buffer.data = copy
        elif not torch.equal(buffer, copy):
            buffer.copy_(copy)

    # Each by itself: one that cannot be put back should keep no other from it.
    for module in model.modules():
        stack.callback(restore, module, dict(module._buffers))
    for buffer in model.buffers():
        stack.callback(refill, buffer, buffer.detach().clone())


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
