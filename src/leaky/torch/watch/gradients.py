"""The gradients that reach the outputs of sites in a backward pass."""

from __future__ import annotations

import math
import weakref

import numpy as np
import torch
from torch import Tensor

from leaky.evidence import Evidence
from leaky.torch.watch.labels import Layout
from leaky.torch.watch.statistics import statistics


class _Awaited:
    """The output of a site, whose gradient is wanted."""

    def __init__(self, output: Tensor, inplace: bool, layout: Layout, evidence: Evidence) -> None:
        self._output = weakref.ref(output)
        self._version = output._version + inplace  # as autograd will leave it
        self._layout, self._evidence = layout, evidence

    def ask(self) -> bool:
        """Have the gradient taken in when it comes; say whether autograd has yet to take the output over."""
        output = self._output()
        if output is None or output._version != self._version:  # it is no more, or no more the output
            return False
        if output.grad_fn is None:
            return True
        output.register_hook(self._take)
        return False

    def _take(self, gradient: Tensor) -> None:
        x = self._layout(gradient.detach().abs())
        seen = statistics(x, self._layout.axis, (0.0, math.inf))
        total = seen.total  # of the finite ones
        if seen.nonfinite.any():
            total = np.where(seen.high > 0, np.inf, total)
            total = np.where(seen.nonfinite > seen.high, np.nan, total)
        self._evidence.add_gradient(total, seen.positions)


class Gradients:
    """The outputs of one forward pass whose gradients are wanted.

    An operation's output has no place yet in autograd's graph while the operation is looked at. It has one by the next
    operation; or, if it is made within an ``autograd.Function``, once that is done.
    """

    def __init__(self) -> None:
        self._enabled = False
        self._awaited: list[_Awaited] = []

    def begin(self) -> None:
        """Start a forward pass."""
        self._enabled = torch.is_grad_enabled()
        self._awaited.clear()

    def want(self, output: Tensor, inplace: bool, layout: Layout, evidence: Evidence) -> None:
        """Have the gradient of an output asked for as soon as can be."""
        if self._enabled and not output.is_inference():
            self._awaited.append(_Awaited(output, inplace, layout, evidence))

    def ask(self) -> None:
        """Ask for what can be had: before each operation, for it might overwrite an output, and at the end."""
        if self._awaited:
            self._awaited = [each for each in self._awaited if each.ask()]
