"""What is known of networks at birth without building one."""

import math

from leaky.inputs.arguments import whole_number


def born_dead_bound(width: int, depth: int) -> float:
    """Return an upper bound on the probability that a ReLU network is born dead: ``1 - (1 - 2^-width)^(depth - 1)``.

    For networks without biases, with weights drawn symmetrically about 0, ``width`` units in each layer and ``depth``
    layers, the last of which is the output (Lu et al. 2019, "Dying ReLU and Initialization", theorem 3.3). It is
    reached if all inputs lie on one ray from 0.

    Raises:
        ValueError: width or depth is below 1.
        TypeError: it is no whole number.
    """
    width, depth = whole_number("width", width), whole_number("depth", depth)
    return -math.expm1((depth - 1) * math.log1p(-(2.0**-width)))
