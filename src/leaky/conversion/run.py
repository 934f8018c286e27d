"""One conversion: what is handed over is told apart, and what is asked for is looked at."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Literal

from leaky.conversion.result import Conversion
from leaky.conversion.selection import Selection, Sites
from leaky.function import real_slope

_KINDS = ("relu", "leaky_relu", "prelu", "relu6", "hardtanh", "rrelu", "threshold")
_TARGETS = ("leaky_relu", "relu", "prelu")


def convert(
    model: Any,
    negative_slope: float | None = 0.01,
    *,
    to: Literal["leaky_relu", "relu", "prelu"] = "leaky_relu",
    kinds: str | Iterable[str] = ("relu", "leaky_relu"),
    only: Sites = None,
    skip: Sites = None,
    subclasses: bool = False,
    data: Any = None,
    batch_size: int | None = None,
    inplace: bool = False,
) -> Conversion:
    """Return a network with Leaky ReLU in the places of its rectifiers, and an account of what changed and what did not.

    Modules become others of their kind; functions that modules hold become modules; and a module that calls a rectifier in its code becomes one of a class whose code calls Leaky ReLU there, with the slopes in its ``leaky_slopes``.

    Args:
        model: a ``torch.nn.Module``.
        negative_slope: of the new activations; None: each keeps the slope that it has, a ReLU 0, at which it computes what it did, to the bit.
        to: what they become: ``"leaky_relu"``, ``"relu"`` or ``"prelu"``, whose slopes are learned from there on.
        kinds: which are converted, as a site's kind is called: ``relu``, ``leaky_relu``, ``prelu``, ``relu6``,
            ``hardtanh``, ``rrelu``, ``threshold``.
        only: which sites: a pattern of names such as ``"encoder.*"``, a :class:`leaky.Check` (its sites with dead units), a finding, or a list of these. What runs several times in a pass is converted if one of its sites is named.
        skip: which sites stay as they are, in the same words.
        subclasses: whether to convert modules of a class that is made of one of PyTorch's, and may do something else.
        data: what :func:`leaky.check` takes. The network is run on them, so that the sites are found, and named, as a check does: also the calls that may be no activations, such as ``clamp(min=0)``, which are converted where a layer feeds them. Without data nothing is run, and those are left.
        batch_size: see :func:`leaky.check`.
        inplace: convert the network itself, not a copy.

    Raises:
        ValueError: an argument is not what is expected, or the network cannot be copied.
        TypeError: ``only`` or ``skip`` is of no form known, or the slope is no number.
    """
    asked = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    for kind in asked:
        if kind not in _KINDS:
            raise ValueError(f"kinds: {kind!r}; expected some of {', '.join(_KINDS)}")
    if to not in _TARGETS:
        raise ValueError(f"to: {to!r}; expected one of {', '.join(_TARGETS)}")
    slope = None if negative_slope is None else real_slope(negative_slope)
    selection = Selection(only, skip, asked)
    if not _is_network(model):
        raise ValueError(f"model: {type(model).__name__}; expected a torch.nn.Module")
    from leaky.conversion.networks import Target, convert_network

    return convert_network(
        model,
        Target(to, slope),
        selection,
        subclasses=subclasses,
        data=data,
        batch_size=batch_size,
        inplace=inplace,
    )


def _is_network(model: Any) -> bool:
    # Whoever hands over a network has imported PyTorch.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)
