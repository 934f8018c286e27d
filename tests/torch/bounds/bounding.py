"""Inputs in a range, those that drive a network to extremes, and whether bounds hold on them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from leaky.torch.bounds import Proofs, ranged
from leaky.torch.watch import watch


def everywhere(shape: tuple[int, ...], low: float, high: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return two samples that may be anything in range."""
    return ranged(np.full((2, *shape), low), high, dtype)


def seen(model: nn.Module, x: Tensor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the least and the greatest pre-activation of each unit in a plain forward pass."""
    with watch(model) as found, torch.no_grad():
        model(x.clone())
    return {name: (evidence.smallest, evidence.largest) for name, (_, evidence) in found.sites.items()}


def corners(model: nn.Module, low: Tensor, high: Tensor, tries: int = 6) -> Tensor:
    """Return inputs that drive what goes into modules to extremes: the corners that gradients at random points show."""
    found = []
    for seed in range(tries):
        generator = torch.Generator().manual_seed(seed)
        x = (low + (high - low) * torch.rand((1, *low.shape), generator=generator)).requires_grad_()
        values: list[Tensor] = []

        def keep(_: nn.Module, args: tuple[Tensor, ...], values: list[Tensor] = values) -> None:
            values.append(args[0] + 0)  # a copy: some overwrite it

        handles = [module.register_forward_pre_hook(keep) for module in model.modules() if module is not model]
        model(x.clone())
        for handle in handles:
            handle.remove()
        for value in values:
            for flat in value.flatten()[torch.randperm(value.numel(), generator=generator)[:2]]:
                (gradient,) = torch.autograd.grad(flat, x, retain_graph=True)
                found += [torch.where(gradient > 0, high, low), torch.where(gradient > 0, low, high)]
    return torch.cat(found).detach()


def assert_holds(proofs: Proofs, model: nn.Module, inputs: Tensor) -> None:
    for batch, count in ((1, 20), (7, 70), (len(inputs), len(inputs))):
        for part in inputs[-count:].split(batch):
            for name, (smallest, largest) in seen(model, part).items():
                proof = proofs.sites[name]
                assert (proof.lower <= smallest).all()
                assert (largest <= proof.upper).all()
                assert (largest[proof.dead] <= 0).all()
                assert (smallest[proof.always_on] > 0).all()
