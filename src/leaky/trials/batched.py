"""Layers of several networks at once, which round as those of one network do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from leaky.trials.parts import Unsuited

# Outputs of a layer, and multiplications in all, below which PyTorch takes products of single matrices in another order than
# those of stacks.
_NARROW, _TINY = 8, 400


class Leak(nn.Module):
    """Stands where an activation stood, with each network's own slope: of ReLU 0, of PReLU what it has learnt.

    A pre-activation of -inf, of which ReLU makes 0, becomes NaN.
    """

    #: of the network that is run, times -1, shape (1,)
    minus_slope: Tensor
    #: where it is written down, of each call, 1 where the pre-activation was above 0 and -1 elsewhere, and the output
    calls: list[tuple[Tensor, Tensor]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return x where it is above 0, and elsewhere the slope times it."""
        if x.dtype != torch.float32:
            raise Unsuited(f"an activation is given {x.dtype}; expected torch.float32")
        # By operations without a branch for each number, of which torch.where has one that cannot be foreseen; and as
        # one factor, so that the backward pass is one product.
        sign = torch.sign(functional.threshold(x.detach(), 0.0, -1.0))
        y = x * functional.prelu(sign, self.minus_slope)
        if self.calls is not None:
            self.calls.append((sign, y.detach()))
        return y


class Linear(nn.Linear):
    """``nn.Linear``, whose products vmap would take in another order."""

    def forward(self, input: Tensor) -> Tensor:
        """Return what ``nn.Linear`` does."""
        bias = self.weight.new_zeros(self.out_features) if self.bias is None else self.bias
        output: Tensor = _ByVmap.apply(input.flatten(0, -2), self.weight, bias)  # type: ignore[no-untyped-call]
        return output.view(*input.shape[:-1], -1)


class _ByVmap(torch.autograd.Function):
    """A linear layer of one network, which vmap makes into :class:`_Layers`."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: it is differentiated as what vmap makes of it."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *given: Tensor) -> tuple[Tensor, int]:
        stacked = (
            tensor.expand(info.batch_size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
            for tensor, axis in zip(given, in_dims, strict=True)
        )
        return _Layers.apply(*stacked), 0  # type: ignore[no-untyped-call]  # PyTorch's is untyped


class _Layers(torch.autograd.Function):
    """Linear layers side by side: x of shape (networks, samples, inputs), weights of (networks, outputs, inputs)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        if _alone(x, weight):
            return _apart(torch.addmm, bias, x, weight.transpose(1, 2))
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (grad,) = grads
        product = partial(_apart, torch.mm) if _alone(x, weight) else torch.bmm
        return (
            product(grad, weight) if ctx.needs_input_grad[0] else None,
            product(grad.transpose(1, 2), x),
            grad.sum(1),
        )


def _alone(x: Tensor, weight: Tensor) -> bool:
    return weight.shape[1] < _NARROW or x.shape[1] * weight[0].numel() < _TINY


def _apart(product: Callable[..., Tensor], *stacks: Tensor) -> Tensor:
    """Return products of matrices by themselves, which also lie in memory as those of one network do."""
    return torch.stack([product(*(matrix.clone() for matrix in matrices)) for matrices in zip(*stacks, strict=True)])
