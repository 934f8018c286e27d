"""What is known of networks at birth without building one."""

import math


def born_dead_bound(width: int, depth: int) -> float:
    """Return an upper bound on the probability that a ReLU network is born dead: ``1 - (1 - 2^-width)^(depth - 1)``.

    For networks without biases, with weights drawn symmetrically about 0, ``width`` units in each layer and ``depth``
    layers, the last of which is the output (Lu et al. 2019, "Dying ReLU and Initialization", theorem 3.3). It is
    reached if all inputs lie on one ray from 0.

    Raises:
        ValueError: width or depth is below 1.
    """
    for name, value in (("width", width), ("depth", depth)):
        if value < 1:
            raise ValueError(f"{name}: {value}; expected at least 1")
    return -math.expm1((depth - 1) * math.log1p(-(2.0**-width)))
