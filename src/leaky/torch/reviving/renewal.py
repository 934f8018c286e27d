"""Silencing units and drawing them anew, so that they are active on about half of the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from leaky.evidence import Floats
from leaky.function import gain
from leaky.torch.reviving.call import Call
from leaky.torch.reviving.layers import layer_of
from leaky.torch.reviving.parts import Norm, Parameters, Row, Unit, View
from leaky.torch.watch import watch

# How often weights are drawn, for units that no bias nor mean can put where they are active on some of the data only.
_DRAWS = 8


class Renewal:
    """New numbers for units, beside the old ones, which the model has until the new ones are put in."""

    def __init__(self, units: Iterable[Unit]) -> None:
        owners = {id(part.view.owner): part.view.owner.detach() for unit in units for part in unit.parts}
        self._numbers = [(owner, owner.clone(), owner.clone()) for owner in owners.values()]

    @contextmanager
    def put_in(self) -> Iterator[None]:
        """Have the new numbers in the model within; what is done to them there is kept, if nothing fails."""
        try:
            self.keep()
            yield
            for owner, _, new in self._numbers:
                new.copy_(owner)
        finally:
            for owner, old, _ in self._numbers:
                owner.copy_(old)

    def keep(self) -> None:
        """Put the new numbers in for good."""
        for owner, _, new in self._numbers:
            owner.copy_(new)


@torch.no_grad()
def renew(
    model: nn.Module, run: Callable[[], Any], units: Sequence[Unit], generator: torch.Generator
) -> dict[tuple[str, int], float]:
    """Silence units and draw them anew; return the share of positions at which each is active then.

    Weights are drawn from N(0, 2/n), n of them (He et al. 2015, for rectifiers). If running statistics normalise the
    unit, they become those of the data; else its bias is such that it is active on half of the positions; without one,
    of eight draws the one is taken that comes nearest to that. What reads the unit becomes 0, with its sign, so that
    every product, and with it every sum, stays what it was, to the last bit.

    Args:
        model: in evaluation mode.
        run: calls it on data.
        units: to be revived.
        generator: on the CPU, for the draws.
    """
    for unit in units:
        for part in unit.reads:
            part.numbers.copy_(torch.zeros(()).copysign(part.numbers))
    with watch(model) as seen, _Drawing(model, units, generator):
        run()
    shares: dict[str, Floats] = {name: evidence.share for name, (_, evidence) in seen.sites.items()}
    return {(unit.site, unit.number): float(np.nan_to_num(shares[unit.site][unit.number])) for unit in units}


class _Drawing(TorchDispatchMode):
    """Draws rows when a forward pass comes to their layer, on the numbers that reach it."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __init__(self, model: nn.Module, units: Sequence[Unit], generator: torch.Generator) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's is untyped
        self._parameters = Parameters(model)
        self._generator = generator
        self._rows: dict[View | None, list[Unit]] = {}
        self._norms: dict[View | None, list[Norm]] = {}
        for unit in units:
            self._rows.setdefault(unit.row.weight.view, []).append(unit)
            for norm in unit.norms:
                self._norms.setdefault(norm.mean.view, []).append(norm)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation; draw the rows that it puts out, and normalise them anew."""
        call = Call(func, args, kwargs or {})
        layer = layer_of(call.name, call.given)
        weight = None if layer is None else self._parameters.view(layer.weight)
        if units := self._rows.get(weight):
            self._draw(units, lambda: func(*args, **call.kwargs))
        for norm in self._norms.get(self._parameters.view(call.given.get("running_mean")), ()):
            _standardise(norm, call.given["input"][:, norm.channel])
        return func(*args, **call.kwargs)

    def _draw(self, units: list[Unit], run: Callable[[], Tensor]) -> None:
        """Draw the rows of a layer; ``run`` returns what it puts out."""
        for unit in units:
            self._fill(unit.row)
        out = run()
        for unit in units:
            if unit.row.bias is not None and not unit.norms:
                unit.row.bias.numbers.copy_(-out[:, unit.row.number].float().median())
        bare = [unit.row for unit in units if unit.row.bias is None and not unit.norms]
        tried = {row.number: [(_imbalance(out, row), row.weight.numbers.clone())] for row in bare}
        for _ in range(_DRAWS - 1 if bare else 0):
            for row in bare:
                self._fill(row)
            out = run()
            for row in bare:
                tried[row.number].append((_imbalance(out, row), row.weight.numbers.clone()))
        for row in bare:
            row.weight.numbers.copy_(min(tried[row.number], key=lambda pair: pair[0])[1])

    def _fill(self, row: Row) -> None:
        """Draw the weights of a row; the bias is 0."""
        numbers = row.weight.numbers
        drawn = torch.randn(numbers.shape, generator=self._generator)
        numbers.copy_(drawn * (gain(0.0) / math.sqrt(row.inputs)))
        if row.bias is not None:
            row.bias.numbers.zero_()


def _imbalance(out: Tensor, row: Row) -> float:
    """Return how far the share of positions at which a row is above 0 is from a half."""
    return abs(float((out[:, row.number] > 0).float().mean()) - 0.5)


def _standardise(norm: Norm, x: Tensor) -> None:
    """Make a channel's running statistics those of its numbers, and its scale and shift 1 and 0."""
    norm.mean.numbers.copy_(x.float().mean())
    norm.variance.numbers.copy_(x.float().var(correction=0))
    for part, value in ((norm.scale, 1.0), (norm.shift, 0.0)):
        if part is not None:
            part.numbers.fill_(value)
