"""Callbacks for other people's training loops, for Lightning and transformers.

They are those around :class:`leaky.torch.Monitor` and :class:`leaky.torch.SlopeSchedule`. Each loads its framework when it
is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaky.torch.callbacks.lightning import LightningMonitor, LightningSlopeSchedule
    from leaky.torch.callbacks.transformers import TransformersMonitor, TransformersSlopeSchedule

__all__ = ["LightningMonitor", "LightningSlopeSchedule", "TransformersMonitor", "TransformersSlopeSchedule"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        framework = "lightning" if name.startswith("Lightning") else "transformers"
        return getattr(importlib.import_module(f"leaky.torch.callbacks.{framework}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
