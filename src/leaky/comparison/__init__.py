"""The same task with several activations, and what that shows."""

from leaky.comparison.result import Comparison, Verdict
from leaky.comparison.run import DEFAULT_ACTIVATIONS, compare, part

__all__ = ["DEFAULT_ACTIVATIONS", "Comparison", "Verdict", "compare", "part"]
