"""The gradients at sites are those that autograd brings to their outputs."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from leaky.torch.watch import watch
from leaky.torch.watch.statistics import on_device


class Branching(nn.Module):
    """Sites in place, shared, on views, with and without weights before them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 1), nn.Linear(4 * 9, 4 * 9)
        self.relu, self.inplace = nn.ReLU(), nn.ReLU(inplace=True)
        self.outputs: list[Tensor] = []

    def keep(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            x.retain_grad()
        self.outputs.append(x)
        return x * 1

    def forward(self, x: Tensor) -> Tensor:
        x = self.keep(self.inplace(self.first(x)))
        x = x.flatten(1) + self.keep(self.relu(self.second(x.flatten(1))))
        x = self.keep(self.relu(self.second(x)))
        x = self.keep(torch.where(x > 0.0, x, 0.1 * x))
        return self.keep(torch.sigmoid(x))


def test_gradients_are_those_that_autograd_brings_to_the_outputs() -> None:
    model = Branching()
    with watch(model, gradients=True) as seen:
        for _ in range(2):
            seen.backward(model(torch.randn(3, 2, 3, 3)).pow(2).sum())
    assert [parameter.grad for parameter in model.parameters()] == [None] * 4

    model.outputs.clear()
    torch.manual_seed(0)
    with watch(model, gradients=True) as seen:
        loss = model(torch.randn(3, 2, 3, 3)).pow(2).sum()
        loss.backward()
    assert len(seen.sites) == len(model.outputs) == 5
    for (site, evidence), output in zip(seen.sites.values(), model.outputs, strict=True):
        assert output.grad is not None
        gradient = (
            output.grad.double().abs().flatten(2).sum(dim=(0, 2)) if output.ndim > 2 else output.grad.abs().sum(0)
        )
        assert torch.allclose(torch.from_numpy(evidence.gradient.value()), gradient.double(), rtol=1e-5), site.name
        assert evidence.gradient_positions == output.numel() // site.units


def test_gradients_that_are_not_finite_are_not_left_out() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    for device in (None, on_device):
        with pytest.MonkeyPatch.context() as patch, watch(model, gradients=True) as seen:
            if device:
                patch.setattr("leaky.torch.watch.gradients.statistics", device)
            factors = torch.tensor([1.0, math.nan, -math.inf, -2.0])
            seen.backward((model(torch.randn(5, 3)) * factors).sum())
            seen.backward((model(torch.randn(5, 3)) * torch.tensor([1.0, math.inf, 1.0, 1.0])).sum())
        ((_, evidence),) = seen.sites.values()
        np.testing.assert_array_equal(evidence.gradient.value(), [10.0, math.nan, math.inf, 15.0])
        assert evidence.gradient_positions == 10


class Overwritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.layer(x)).mul_(3.0).add_(1.0)


def test_a_gradient_is_that_of_the_output_before_it_is_overwritten() -> None:
    model = Overwritten()
    with watch(model, gradients=True) as seen:
        seen.backward(model(torch.randn(5, 3)).sum())
    ((_, evidence),) = seen.sites.values()
    assert evidence.gradient.value().tolist() == [15.0] * 4


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        y = x * torch.sigmoid(x)
        x.sum()  # and more
        return y

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gate = torch.sigmoid(x)
        return gradient * gate * (1 + x * (1 - gate))


def test_gradients_reach_what_a_function_of_ones_own_computes() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return Swish.apply(self.layer(x)).mul_(2)

    model = Own()
    with watch(model, gradients=True) as seen:
        seen.backward(model(torch.randn(5, 3)).sum())
    ((site, evidence),) = seen.sites.values()
    assert site.kind == "silu"
    assert evidence.gradient.value().tolist() == [10.0] * 4


def test_a_gradient_that_would_be_another_tensors_is_left_out() -> None:
    class Tripled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return torch.sigmoid(x).mul_(3.0)

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            return gradient

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return 2 * Tripled.apply(self.layer(x))

    model = Own()
    with watch(model, gradients=True) as seen:
        seen.backward(model(torch.randn(5, 3)).sum())
    ((_, evidence),) = seen.sites.values()
    assert (evidence.samples, evidence.gradient_positions) == (5, 0)


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.block = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        return torch.tanh(checkpoint(self.block, x, use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("by_hand", [False, True])
def test_recomputing_in_backward_counts_no_site_twice(reentrant: bool, by_hand: bool) -> None:
    model = Checkpointed(reentrant)
    with watch(model, gradients=True) as seen:
        for _ in range(2):
            loss = model(torch.randn(5, 4)).sum()
            loss.backward() if by_hand else seen.backward(loss)
    counts = {name: (evidence.samples, evidence.gradient_positions) for name, (_, evidence) in seen.sites.items()}
    reached = 10 if by_hand or not reentrant else 0
    assert counts == {"relu()": (10, reached), "block.1": (10, 10), "tanh()": (10, 10)}
    hint = "gradients are not seen beyond torch.utils.checkpoint with use_reentrant=True"
    assert seen.notes == ([hint] if reentrant and not by_hand else [])


def test_a_backward_pass_within_the_forward_pass_is_none_of_it() -> None:
    class Force(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Linear(4, 4), nn.Tanh())

        def forward(self, x: Tensor) -> Tensor:
            x = x.requires_grad_()
            energy = checkpoint(self.block, x, use_reentrant=False).sum()
            return torch.autograd.grad(energy, x)[0]

    model = Force()
    with watch(model) as seen:
        model(torch.randn(5, 4))
    assert {name: evidence.samples for name, (_, evidence) in seen.sites.items()} == {"block.1": 5}


def test_without_gradients_none_are_taken() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with watch(model) as seen:
        model(torch.randn(5, 3)).sum().backward()
    ((_, evidence),) = seen.sites.values()
    assert evidence.gradient_positions == 0


def test_frozen_layers_get_none_and_raise_nothing() -> None:
    model = nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.ReLU())
    with watch(model, gradients=True) as seen:
        seen.backward(model(torch.randn(5, 3)).sum())
        with torch.no_grad():
            seen.backward(model(torch.randn(5, 3)).sum())
    ((_, evidence),) = seen.sites.values()
    assert (evidence.samples, evidence.gradient_positions) == (10, 0)
