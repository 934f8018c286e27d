"""``leaky.revive``: which of the dead units are meant, and how they are revived."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leaky.checkup import Check, Finding
from leaky.checkup.finding import name_sites
from leaky.revival.result import Revival, Unrevived

if TYPE_CHECKING:
    import torch

#: of which sites: a pattern on their names, a finding, a check, or several of these
Choice = str | Finding | Check | Collection[str | Finding | Check]


def revive(
    model: torch.nn.Module,
    check: Check,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    only: Choice | None = None,
    data: Any = None,
    batch_size: int | None = None,
    seed: int | None = None,
) -> Revival:
    """Make the units that a check found dead anew, in place, so that they learn again.

    A unit is given new incoming weights and its outgoing weights become 0. So the network computes what it did, on data on
    which the unit was dead, to the last bit: outputs are compared, and should a single bit differ all is left as it was.
    From there it learns like any other: the first step moves its outgoing weights, the second its incoming ones. Train
    on with a negative slope, or a lower rate, lest units die again.

    Followed are linear layers and convolutions of any kind, through normalisation before the activation, and through
    reshaping, pooling, concatenation and the like behind it. Units are left, with the reason, where their output is more
    than weights read: residual sums, attention, normalisation behind the activation, the network's own outputs; and
    where weights are shared, frozen or computed, or the activation has a slope, so that its units learn anyway.

    Source: Sokar et al. (2023), "The dormant neuron phenomenon in deep reinforcement learning" (ReDo); Dohare et al.
    (2024), "Loss of plasticity in deep continual learning" (continual backpropagation). The bias is ours: such that
    the unit is active on half of what it is shown.

    Args:
        model: the ``torch.nn.Module`` that was checked, in whatever mode it is in.
        check: of :func:`leaky.check`, on data like those that the network is trained on.
        optimizer: what it remembers of the weights concerned is forgotten.
        only: which of the dead units: those of the sites whose names fit a pattern (``"features.*"``), those that a
            finding names, those that are dead in another check too, or a list of such. None: all.
        data: of any form that :func:`leaky.check` takes, to compare the outputs on. None: the few samples that the
            check has kept. Weights are drawn on these, or on the first batch if that is larger.
        batch_size: for data that are not in batches.
        seed: for the draws, which then leave the global random state alone. None: PyTorch's global generator gives
            one, as it does when layers are made.

    Raises:
        TypeError: ``model`` is not a ``torch.nn.Module``, ``check`` not a check, or ``only`` none of its forms.
        ValueError: the check is of another network, a pattern fits no site, or there are no data; or the network fails
            on a batch, as in a check.
    """
    import torch

    from leaky.revival.networks import revive_units

    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model: {type(model).__name__}; expected a torch.nn.Module")
    if not isinstance(check, Check):
        raise TypeError(f"check: {type(check).__name__}; expected what leaky.check returns")
    wanted, left = _wanted(check, only)
    if not wanted:
        return Revival((), left)
    return revive_units(model, check, wanted, left, optimizer=optimizer, data=data, batch_size=batch_size, seed=seed)


def _wanted(check: Check, only: Choice | None) -> tuple[dict[str, tuple[int, ...]], tuple[Unrevived, ...]]:
    """Return the dead units that are chosen, by site, and those that are silent and learn all the same."""
    choices = _choices(check, only)
    wanted, left = {}, []
    for name, seen in check.judged.items():
        chosen = np.zeros(seen.site.units, bool)
        for choice in choices:
            chosen |= _chosen(choice, name, seen.site.units)
        lost, slow = (
            tuple(np.flatnonzero(units & chosen).tolist()) for units in (seen.dead, seen.silent & seen.learns)
        )
        if slow:
            left.append(Unrevived(name, slow, "its negative slope lets it learn as it is"))
        if lost and seen.site.axis is None:
            left.append(Unrevived(name, lost, "the axis of its units could not be told"))
        elif lost:
            wanted[name] = lost
    return wanted, tuple(left)


def _choices(check: Check, only: Choice | None) -> list[str | Finding | Check]:
    """Return the choices one by one."""
    if only is None:
        return ["*"]
    choices: list[Any] = list(only) if isinstance(only, list | tuple | set) else [only]
    for choice in choices:
        if not isinstance(choice, str | Finding | Check):
            raise TypeError(f"only: {choice!r}; expected a pattern of names, a finding, a check, or a list of these")
        if isinstance(choice, str) and not any(fnmatchcase(name, choice) for name in check.sites):
            raise ValueError(f"only: {choice!r} fits no site; the check has {name_sites([*check.sites])}")
    return choices


def _chosen(choice: str | Finding | Check, site: str, units: int) -> NDArray[np.bool_]:
    """Return which of a site's units are chosen."""
    if isinstance(choice, Check):
        return choice.sites[site].dead if site in choice.sites else np.zeros(units, bool)
    if isinstance(choice, Finding):
        chosen = np.zeros(units, bool)
        chosen[list(choice.units) or slice(None)] = choice.site in (None, site)
        return chosen
    return np.full(units, fnmatchcase(site, choice))
