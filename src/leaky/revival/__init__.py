"""Dead units made anew: they learn again, and until they do the network computes what it did."""

from leaky.revival.result import Revival, Revived, Unrevived
from leaky.revival.run import revive

__all__ = ["Revival", "Revived", "Unrevived", "revive"]
