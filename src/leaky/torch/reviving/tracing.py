"""Following units through a forward pass: from the weights that make them to the weights that read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from leaky.evidence import Batch
from leaky.torch.reviving.call import Call
from leaky.torch.reviving.known import Known
from leaky.torch.reviving.layers import Layer, layer_of
from leaky.torch.reviving.parts import Norm, Parameters, Part, Row, Unit, View
from leaky.torch.reviving.tags import Tags, alike, normalised, rule_for
from leaky.torch.watch import Meeting, Watch
from leaky.torch.watch.origin import tensors


@dataclass(frozen=True)
class Trace:
    """What a forward pass has shown: the units that can be silenced, and why the others cannot."""

    units: list[Unit]
    #: by the site's name and the unit's number
    left: dict[tuple[str, int], str]
    #: how many units each site has that was met
    sites: dict[str, int]


def trace(model: nn.Module, run: Callable[[], Any], wanted: Mapping[str, Sequence[int]]) -> Trace:
    """Follow a forward pass, and return what it would take to silence units and to draw them anew.

    Args:
        model: in evaluation mode.
        run: calls it on two samples or more, on which the units are silent, and returns what it returns.
        wanted: the units, by the names of their sites as :func:`leaky.torch.watch.watch` gives them.
    """
    following = _Following(model, wanted)
    with following.watch.watching(), following, torch.no_grad():
        output = run()
    for out in tensors(output):
        following.lose(following.tags(out), "is an output of the network")
    units, left = [], {}
    for unit in ((site, number) for site, numbers in wanted.items() for number in numbers):
        found = following.found(*unit)
        if isinstance(found, Unit):
            units.append(found)
        else:
            left[unit] = found
    return Trace(units, left, {name: site.units for name, (site, _) in following.watch.sites.items()})


def _unseen(x: Tensor, axis: int | None, limits: tuple[float, float]) -> Batch:
    """Return no statistics."""
    units = 1 if axis is None else x.shape[axis]
    return Batch(0, 0, np.zeros((5, units), np.int64), np.full((2, units), math.nan), np.zeros((3, units)))


class _Following(TorchDispatchMode):
    """Tags what rows of weights put out, and the units that they make, and follows the tags."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __init__(self, model: nn.Module, wanted: Mapping[str, Sequence[int]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's is untyped
        self.watch = Watch(model, outputs=lambda met, out: self._met.append(met), statistics=_unseen)
        self._met: list[Meeting] = []
        self._parameters = Parameters(model)
        self.view = self._parameters.view
        self._known = Known()
        self._wanted = wanted
        #: by their tags, which count up from 1 for units, and down from -1 for rows
        self._units: dict[tuple[str, int], int] = {}
        self._rows: dict[int, Row] = {}
        #: by the tags of units: the tags of the rows that make them, and what reads them; by those of rows, their norms
        self._makers: dict[int, int] = {}
        self._making: set[int] = set()
        self._reads: dict[int, list[Part]] = {}
        self._norms: dict[int, list[Norm]] = {}
        self._lost: dict[int, str] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and let the tags follow."""
        kwargs = kwargs or {}
        call = Call(func, args, kwargs)
        if not getattr(func, "is_view", False):
            for view in filter(None, map(self.view, call.tensors)):
                self._parameters.read(view)
        out = func(*args, **kwargs)
        call.outs = list(tensors(out))
        results = self._results(call)
        for target in call.written:
            self._known.overwritten(target)
        for each, tags in zip(call.outs, results, strict=True):
            self._known[each] = tags
        while self._met:
            self._enter(self._met.pop(), call.outs[0])
        return out

    def tags(self, tensor: Any) -> Tags:
        """Return the tags of a tensor; None if it has none, or none that are sure."""
        for shared in self._known.sharing(tensor):
            self.lose(shared, "is overwritten by way of another view")
        return self._known[tensor]

    def lose(self, tags: Tags, why: str) -> None:
        """Take in that what carries these tags cannot be followed any further."""
        if tags is not None:
            where = f" in {self.watch.path}" if self.watch.path else ""
            for tag in tags.unique().tolist():
                self._lost.setdefault(tag, f"{why}{where}")

    def _results(self, call: Call) -> Sequence[Tags]:
        layer = layer_of(call.name, call.given) if call.space == "aten" else None
        weight = None if layer is None else self.view(layer.weight)
        if layer is not None and weight is not None and (layer.bias is None or self.view(layer.bias) is not None):
            return [self._through(layer, weight, self.view(layer.bias), call.outs[0])]
        if all(self.tags(tensor) is None for tensor in call.tensors):
            return [None] * len(call.outs)
        rule = rule_for(call)
        if rule is normalised:
            self._normalise(call)
        return rule(call, self)

    def _through(self, layer: Layer, weight: View, bias: View | None, out: Tensor) -> Tensor:
        """Take in what a layer with weights reads, and return the tags of its rows."""
        tags, axes = self.tags(layer.x), [axis for axis in range(layer.x.ndim) if axis != 1]
        if tags is not None:
            zero = (layer.x == 0).all(dim=0).reshape(layer.x.shape[1], -1).all(dim=1).tolist()
            for channel, tag in enumerate(alike(tags, axes, self.lose).flatten().tolist()):
                if tag < 0:
                    self._lost.setdefault(tag, f"goes to {weight.layer} without an activation")
                elif tag and not zero[channel]:
                    self._lost.setdefault(tag, f"is not 0 where {weight.layer} reads it")
                elif tag:
                    self._reads.setdefault(tag, []).append(layer.read(channel, weight))
        first = -len(self._rows) - 1
        count = layer.outputs * layer.groups
        self._rows.update((first - number, layer.row(number, weight, bias)) for number in range(count))
        rows = torch.arange(first, first - count, -1, dtype=torch.int32, device=out.device)
        return rows.reshape(1, -1, *[1] * (out.ndim - 2)).expand(out.shape)

    def _normalise(self, call: Call) -> None:
        """Take in by which numbers rows are normalised, where it is by running ones."""
        given, tags = call.given, self.tags(call.given["input"])
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, shift = (self.view(given.get(name)) for name in names)
        if tags is None or given.get("training") or mean is None or variance is None:
            return
        axes = [axis for axis in range(tags.ndim) if axis != 1]
        for channel, tag in enumerate(alike(tags, axes, self.lose).flatten().tolist()):
            parts = [None if view is None else Part(view, (channel,)) for view in (scale, shift)]
            self._norms.setdefault(tag, []).append(Norm(Part(mean, (channel,)), Part(variance, (channel,)), *parts))

    def _enter(self, met: Meeting, out: Tensor) -> None:
        """Let the wanted units of a site be followed from here on, in place of the rows that make them."""
        tags, axis = self.tags(out), met.layout.axis
        if axis is None:
            self.lose(tags, "goes through an activation whose units could not be told")
            self._known[out] = None
            return
        laid = met.layout(torch.zeros_like(out, dtype=torch.int32) if tags is None else tags)
        others = [each for each in range(laid.ndim) if each != axis]
        makers = alike(laid, others, self.lose).flatten().tolist()
        wanted = self._wanted.get(met.site.name, ())
        new = [max(maker, 0) for maker in makers]
        for number, maker in enumerate(makers):
            if maker in self._making:
                self._lost.setdefault(maker, "goes to several activations")
            self._making |= {maker} if maker < 0 else set()
            if number in wanted:
                new[number] = unit = len(self._units) + 1
                self._units[met.site.name, number], self._makers[unit] = unit, maker
                if maker > 0:
                    self._lost.setdefault(maker, f"goes through another activation, {met.site.name}")
        vector = torch.tensor(new, dtype=torch.int32, device=out.device)
        spread = vector.reshape([-1 if each == axis else 1 for each in range(laid.ndim)]).expand(laid.shape)
        self._known[out] = spread.movedim(0, met.layout.samples).reshape(out.shape)

    def found(self, site: str, number: int) -> Unit | str:
        """Return a unit with all that concerns it, or why it cannot be silenced or made anew."""
        tag = self._units.get((site, number), 0)
        maker = self._makers.get(tag, 0)
        if maker not in self._rows:
            return "no single row of weights makes it: a residual sum, computed weights, or what is not followed"
        if maker in self._lost:
            return f"its pre-activation {self._lost[maker]}"
        if tag in self._lost:
            return f"its output {self._lost[tag]}"
        unit = Unit(site, number, self._rows[maker], tuple(self._norms.get(maker, ())), tuple(self._reads.get(tag, ())))
        if not unit.reads:
            return "no layer reads its output"
        for part in unit.parts:
            if not self._parameters.once(part.view):
                return f"{part.view.name} is used more than once"
        for part in (unit.row.weight, *unit.reads):
            if not part.view.owner.requires_grad:
                return f"{part.view.name} is frozen"
        return unit
