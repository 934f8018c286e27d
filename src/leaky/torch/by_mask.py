"""Leaky ReLU by the compiled core, on CPU tensors: forward keeps one bit per element, and backward works from it.

Nothing here decides whether that pays; ``leaky.torch`` does. What is decided here is whether it may be done at all: the
core is handed addresses, so the tensor must be nothing but its numbers in memory.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext

from leaky import _core

_TYPES = {getattr(torch, name): number for name, number in _core.TYPES.items()}


def _keys(tensor: torch.Tensor) -> int:
    return torch._C._dispatch_keys(tensor).raw_repr()


@functools.cache
def _plain_keys() -> frozenset[int]:
    """Return what PyTorch's dispatcher says of a strided CPU tensor and nothing more.

    Whatever stands for a tensor that is somewhere else, or not there at all, says more: batched, traced, fake,
    functional, lazily negated, sparse, nested, quantised. Asked for first when no one is :func:`observed`.
    """
    with torch.inference_mode():
        inference = torch.empty(0, device="cpu")
    with torch.inference_mode(False):
        return frozenset({_keys(torch.empty(0, device="cpu")), _keys(inference)})


# Bytes from which a fresh output is asked for in huge pages. PyTorch's allocations are unmapped when freed and faulted in
# again when next made, 4 KiB at a time, which takes several times as long as the function.
_HUGE = 1 << 22


def observed() -> bool:
    """Say whether someone follows what PyTorch does (modes, tracing, transforms): then it has to be PyTorch's own op."""
    return bool(
        torch._C._len_torch_dispatch_stack()
        or (torch._C._len_torch_function_stack() and not _only_default_devices())
        or torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state()
        or torch.autograd.forward_ad._current_level >= 0
    )


def _only_default_devices() -> bool:
    """Say whether the function modes are those of ``torch.set_default_device``, which follow nothing but factories."""
    stack: list[Any] = _get_current_function_mode_stack()
    return all(isinstance(mode, DeviceContext) for mode in stack)


def _addressable(tensor: torch.Tensor) -> bool:
    return tensor.dtype in _TYPES and not observed() and _keys(tensor) in _plain_keys()


def suits(tensor: torch.Tensor) -> bool:
    """Say whether the core may go through the tensor's memory from end to end."""
    return _addressable(tensor) and _is_dense(tensor)


def forward(input: torch.Tensor, slope: float, inplace: bool) -> torch.Tensor:
    """Return Leaky ReLU of a tensor that :func:`suits`.

    Where a gradient is needed, a mask is kept for it, of one bit per element rounded up to 8 bytes.
    """
    if torch.is_grad_enabled() and input.requires_grad:
        return _ByMask.apply(input, slope, inplace)  # type: ignore[no-any-return, no-untyped-call]  # PyTorch's is untyped
    output = input if inplace else _empty_like(input)
    _core.forward(input.data_ptr(), output.data_ptr(), input.numel(), _TYPES[input.dtype], slope)
    if inplace:
        torch.autograd.graph.increment_version(input)
    return output


class _ByMask(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: torch.Tensor, slope: float, inplace: bool) -> torch.Tensor:
        count = input.numel()
        # The mask first: at the end of the heap, its being freed would give back to the system what is soon asked for.
        mask = torch.empty(_mask_bytes(count), dtype=torch.uint8, device="cpu")
        output = input if inplace else _empty_like(input)
        _core.forward_with_mask(input.data_ptr(), output.data_ptr(), mask.data_ptr(), count, _TYPES[input.dtype], slope)
        if inplace:
            ctx.mark_dirty(input)
        ctx.save_for_backward(mask)
        ctx.slope, ctx.size, ctx.stride = slope, output.size(), output.stride()
        return output

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (grad,), (mask,) = grads, ctx.saved_tensors
        mask = _checked(mask, ctx.size.numel())
        if torch.is_grad_enabled() or not _addressable(grad):
            # A gradient to be differentiated in its turn, batched, or otherwise more than numbers.
            signs = _unpack(mask, ctx.size, ctx.stride).to(grad.dtype)
            return torch.ops.aten.leaky_relu_backward(grad, signs, ctx.slope, False), None, None
        if grad.stride() == ctx.stride:
            result = _empty_like(grad)
        else:  # The mask follows the output's order in memory: bring the gradient into it, and work there.
            grad = result = grad.new_empty_strided(ctx.size, ctx.stride).copy_(grad)
        _core.backward_from_mask(
            grad.data_ptr(), mask.data_ptr(), result.data_ptr(), grad.numel(), _TYPES[grad.dtype], ctx.slope
        )
        return result, None, None


def _mask_bytes(count: int) -> int:
    return -(-count // 64) * 8


def _checked(mask: torch.Tensor, count: int) -> torch.Tensor:
    """Return the mask as it was saved. Hooks on saved tensors may have brought back something else."""
    if (mask.dtype, mask.numel(), mask.device.type) != (torch.uint8, _mask_bytes(count), "cpu"):
        raise RuntimeError(
            f"leaky.torch.leaky_relu saved {_mask_bytes(count)} bytes as torch.uint8 on the CPU for backward; a saved-tensor "
            f"hook gave back {mask.numel()} of {mask.dtype} on {mask.device}"
        )
    return mask.contiguous()


def _unpack(mask: torch.Tensor, size: torch.Size, stride: tuple[int, ...]) -> torch.Tensor:
    """Return the mask's bits as 0 and 1, in the shape and layout of the output that it goes with."""
    bits = mask.unsqueeze(1) >> torch.arange(8, dtype=torch.uint8) & 1
    return bits.view(-1).as_strided(size, stride)


def _is_dense(tensor: torch.Tensor) -> bool:
    """Say whether the elements fill a piece of memory, each once, in whatever order."""
    if tensor.is_contiguous():
        return True
    filled = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.size(), strict=True)):
        if size > 1:
            if stride != filled:
                return False
            filled *= size
    return True


def _empty_like(tensor: torch.Tensor) -> torch.Tensor:
    """Return an uninitialised tensor with the size, type and strides that PyTorch's own op gives its output."""
    layout = torch.preserve_format
    for canonical in (torch.contiguous_format, torch.channels_last):
        if tensor.is_contiguous(memory_format=canonical):
            layout = canonical  # preserved, but for the strides of dimensions of size 1, which tell nothing
            break
    empty = torch.empty_like(tensor, memory_format=layout)
    if (nbytes := empty.nbytes) >= _HUGE:
        _core.advise_huge_pages(empty.data_ptr(), nbytes)
    return empty
