"""Finding the dead units of a network, saying why, and how sure that is."""

from typing import TYPE_CHECKING, Any

from leaky.checkup.finding import Cause, Finding
from leaky.checkup.result import Check, merge
from leaky.checkup.run import check
from leaky.checkup.seen import Layer, Seen
from leaky.extras import needed_by

if TYPE_CHECKING:
    from leaky.checkup.birth import AtBirth, at_birth, born_dead_bound

__all__ = [
    "AtBirth",
    "Cause",
    "Check",
    "Finding",
    "Layer",
    "Seen",
    "at_birth",
    "born_dead_bound",
    "check",
    "merge",
]


def __getattr__(name: str) -> Any:
    if name in ("AtBirth", "at_birth", "born_dead_bound"):  # these need PyTorch
        with needed_by(f"leaky.checkup.{name}"):
            from leaky.checkup import birth

        return getattr(birth, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
