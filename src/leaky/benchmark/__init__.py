"""How fast the function is beside its peers that are installed: other ways to Leaky ReLU, and other activations."""

from leaky.benchmark.result import Benchmark, Timing
from leaky.benchmark.run import DEFAULT_SIZES, bench

__all__ = ["DEFAULT_SIZES", "Benchmark", "Timing", "bench"]
