"""The right slope for a network, by experiment."""

from leaky.tuning.result import Tuning
from leaky.tuning.run import tune

__all__ = ["Tuning", "tune"]
