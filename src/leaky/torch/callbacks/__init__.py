"""Callbacks for other people's training loops, around :class:`leaky.torch.Monitor`: for Lightning and transformers.

Each loads its framework when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaky.torch.callbacks.lightning import LightningMonitor
    from leaky.torch.callbacks.transformers import TransformersMonitor

__all__ = ["LightningMonitor", "TransformersMonitor"]


def __getattr__(name: str) -> Any:
    if name == "LightningMonitor":
        from leaky.torch.callbacks.lightning import LightningMonitor

        return LightningMonitor
    if name == "TransformersMonitor":
        from leaky.torch.callbacks.transformers import TransformersMonitor

        return TransformersMonitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
