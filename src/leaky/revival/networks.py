"""Reviving the units of a PyTorch network, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from leaky.checkup import Check, Seen
from leaky.inputs import InputError
from leaky.inputs.batches import Batch
from leaky.inputs.feeding import Call, Feed, calls_of
from leaky.revival.result import Revival, Revived, Unrevived
from leaky.torch.randomness import random_state_kept
from leaky.torch.reviving.parts import Unit
from leaky.torch.reviving.renewal import Renewal, renew
from leaky.torch.reviving.state import forget
from leaky.torch.reviving.tracing import Trace, trace
from leaky.torch.watch import undisturbed, unwrapped, watch
from leaky.torch.watch.origin import tensors
from leaky.user_code import in_one_line

#: units, each by its site's name and its number, with why they stay as they were
_Reasons = dict[tuple[str, int], str]


def revive_units(
    model: nn.Module,
    check: Check,
    wanted: Mapping[str, Sequence[int]],
    left: Sequence[Unrevived],
    *,
    optimizer: torch.optim.Optimizer | None,
    data: Any,
    batch_size: int | None,
    seed: int | None,
) -> Revival:
    """Revive units; see :func:`leaky.revive`."""
    model = unwrapped(model)
    kept, calls = _calls(model, check, data, batch_size)
    if seed is None:
        seed = int(torch.randint(2**63 - 1, ()))
    samples = 0
    with undisturbed(model), torch.no_grad():
        traced = _on_batch(0, partial(trace, model, partial(kept.copied().on, model), wanted))
        _hold_against(check, wanted, traced)
        attempt: _Attempt = _on_batch(0, partial(_Attempt, model, kept, traced, seed))
        for number, (count, call) in enumerate(calls):
            if not attempt.units:
                break
            _on_batch(number, partial(attempt.compare, call, number))
            samples += count
    notes = attempt.put_in(optimizer)
    if data is None and attempt.units:
        notes.append("Outputs were compared on the samples that the check has kept; with data given, on those.")
    reasons = [*left, *_grouped(attempt.left)]
    return Revival(tuple(_revived(attempt)), tuple(reasons), samples if attempt.units else 0, tuple(notes))


def _calls(
    model: nn.Module, check: Check, data: Any, batch_size: int | None
) -> tuple[Call, Iterator[tuple[int, Call]]]:
    """Return what to draw on, the first batch or what the check has kept, and all batches with how many samples each has."""
    example = check.example
    kept = None if example is None else Feed(model)(Batch(example.positional, example.named))
    if data is None:
        if kept is None:
            raise InputError("data: None, and the check has kept no samples; expected data like those it was made on")
        return kept, iter([(kept.samples, kept)])
    calls = calls_of(model, data, batch_size)
    first = next(calls, None)
    if first is None:
        raise InputError("data: no samples; expected at least one")
    return max(kept or first[1], first[1], key=lambda call: call.samples), chain([first], calls)


def _on_batch(number: int, run: Any) -> Any:
    return in_one_line(f"data: batch {number} failed", run, InputError)


def _hold_against(check: Check, wanted: Mapping[str, Sequence[int]], traced: Trace) -> None:
    """Raise an error if the network has other sites than the check."""
    for name in wanted:
        units = check.sites[name].site.units
        there = traced.sites.get(name)
        if there != units:
            has = "no such site" if there is None else f"{there} units there"
            raise ValueError(f"check: {name!r} has {units} units, the network {has}; expected a check of this network")


class _Attempt:
    """New numbers for as many units as can have them, held against the old ones batch by batch."""

    def __init__(self, model: nn.Module, kept: Call, traced: Trace, seed: int) -> None:
        self.units, self.left = traced.units, dict(traced.left)
        self.active: dict[tuple[str, int], float] = {}
        self._model, self._kept, self._seed = model, kept, seed
        self._renew()

    def _renew(self) -> None:
        """Draw all units anew, but for those that no draw makes active."""
        self._renewal = Renewal(self.units)
        with self._renewal.put_in():
            generator = torch.Generator().manual_seed(self._seed)
            run = partial(self._kept.copied().on, self._model)
            self.active = renew(self._model, run, self.units, generator)
        self._drop([unit for unit in self.units if not self.active[unit.key]], "new weights do not make it active")

    def _drop(self, units: Sequence[Unit], reason: str) -> None:
        """Leave units as they were; the others are drawn once more."""
        if units:
            self.left |= {unit.key: reason for unit in units}
            self.units = [unit for unit in self.units if unit not in units]
            self._renew()

    def compare(self, call: Call, number: int) -> None:
        """See that the outputs on a batch are the same; leave the units by which they are not."""
        while self.units and not self._same(call):
            awake = self._awake(call)
            why = f"it is active on batch {number} of the data" if awake else f"the outputs changed on batch {number}"
            self._drop(awake or self.units, why)

    def _same(self, call: Call) -> bool:
        before = self._outputs(call)
        with self._renewal.put_in():
            after = self._outputs(call)
        return len(before) == len(after) and all(map(_same_bits, before, after))

    def _outputs(self, call: Call) -> list[Tensor]:
        with random_state_kept():
            outputs = [out.clone() for out in tensors(call.copied().on(self._model))]
        if not outputs:
            raise InputError("model: it returns no tensors that could be compared; expected some")
        return outputs

    def _awake(self, call: Call) -> list[Unit]:
        """Return the units that are not dead on a batch."""
        with watch(self._model) as seen:
            call.copied().on(self._model)
        silent = {name: Seen(*pair).silent for name, pair in seen.sites.items()}
        return [unit for unit in self.units if unit.site in silent and not silent[unit.site][unit.number]]

    def put_in(self, optimizer: torch.optim.Optimizer | None) -> list[str]:
        """Give the network its new numbers, and return what an optimiser could not be made to forget."""
        if not self.units:
            return []
        self._renewal.keep()
        kept = forget(optimizer, [part for unit in self.units for part in unit.parts])
        return [f"The optimiser keeps {name}: it is of another shape than the weights." for name in kept]


def _same_bits(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(*(each.contiguous().reshape(-1).view(torch.uint8) for each in (one, other)))


def _grouped(reasons: _Reasons) -> Iterator[Unrevived]:
    for site, reason in dict.fromkeys((site, why) for (site, _), why in reasons.items()):
        yield Unrevived(
            site, tuple(sorted(n for (name, n), why in reasons.items() if (name, why) == (site, reason))), reason
        )


def _revived(attempt: _Attempt) -> Iterator[Revived]:
    groups: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[Unit]] = {}
    for unit in attempt.units:
        norms = tuple(norm.mean.view.layer for norm in unit.norms)
        readers = tuple(dict.fromkeys(part.view.layer for part in unit.reads))
        groups.setdefault((unit.site, unit.row.weight.view.layer, norms, readers), []).append(unit)
    for (site, layer, norms, readers), units in groups.items():
        active = sum(attempt.active[unit.key] for unit in units) / len(units)
        yield Revived(site, tuple(unit.number for unit in units), layer, norms, readers, active)
