"""Proofs by interval arithmetic: what every unit does for all inputs in a range, without trying any.

A network's forward pass is run on :class:`Ranged` tensors, which stand for all inputs in range, and whose operations
compute bounds instead of data. A unit whose greatest possible pre-activation is at most 0 is dead for every input in
range, which no number of samples could show.

The bounds hold for what PyTorch computes, roundings included (see :mod:`leaky.torch.bounds.rounding`), of networks that
treat each sample of a batch alone. What a network computes from parameters alone is taken as it is computed here; of
random numbers nothing is known, unless they are not PyTorch's: those are taken as they come.
"""

from leaky.torch.bounds.proofs import Proof, Proofs, follow, prove, ranged
from leaky.torch.bounds.ranged import Ranged, bounds_of
from leaky.torch.bounds.rounding import Interval

__all__ = ["Interval", "Proof", "Proofs", "Ranged", "bounds_of", "follow", "prove", "ranged"]
