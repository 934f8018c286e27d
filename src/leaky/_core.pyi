"""The compiled core. ``leaky.function`` is the friendly way to it.

The functions on addresses are for adapters to frameworks with arrays of their own. They check nothing but their
numbers: the memory must be there, contiguous, aligned to its type, and held by the caller, and a slope must not be NaN.
They release the GIL, share large runs among threads, leave the floating-point environment alone, and touch no byte
outside the arrays. ``dtype`` is a number out of ``TYPES``; ``n`` counts elements. ``y`` may be ``x`` or ``grad`` itself.
A mask has ceil(n / 8) bytes; bit i % 8 of byte i // 8 is set where x[i] > 0, the rest of the last byte is 0.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The best instruction set that the CPU has, up to the one named by LEAKY_ISA: "avx512", "avx2" or "scalar".
ISA: str

# The types that there are kernels for: float16, bfloat16, float32, float64.
TYPES: dict[str, int]

leaky_relu: np.ufunc
leaky_relu_derivative: np.ufunc
leaky_relu_backward: np.ufunc
leaky_relu_inverse: np.ufunc

def register_bfloat16(dtype: np.dtype[Any], /) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int, /) -> None: ...

# Shares large runs among the threads of an OpenMP library that is loaded, given the addresses of GOMP_parallel, of a
# function that says how many threads are allowed, and of omp_get_thread_num. Only the first call counts.
def borrow_threads(gomp_parallel: int, allowed: int, omp_get_thread_num: int, /) -> None: ...

# The ufuncs in the plain case, without their overhead: C-contiguous ndarrays of one type that there are kernels for,
# the slope a float and not NaN, ``out`` None or such an array, apart from the operands or one of them. Else None.
def plain_leaky_relu(x: Any, negative_slope: Any, out: Any, /) -> NDArray[Any] | None: ...
def plain_leaky_relu_derivative(x: Any, negative_slope: Any, out: Any, /) -> NDArray[Any] | None: ...
def plain_leaky_relu_backward(grad: Any, x: Any, negative_slope: Any, out: Any, /) -> NDArray[Any] | None: ...

# On addresses.
def forward(x: int, y: int, n: int, dtype: int, slope: float, /) -> None: ...
def derivative(x: int, y: int, n: int, dtype: int, slope: float, /) -> None: ...
def backward(grad: int, x: int, y: int, n: int, dtype: int, slope: float, /) -> None: ...
def forward_with_mask(x: int, y: int, mask: int, n: int, dtype: int, slope: float, /) -> None: ...
def backward_from_mask(grad: int, mask: int, y: int, n: int, dtype: int, slope: float, /) -> None: ...
def mask(x: int, mask: int, n: int, dtype: int, /) -> None: ...

# By the same machinery, as the speed that the others are measured against.
def copy(x: int, y: int, nbytes: int, /) -> None: ...

# Asks the system for huge pages under fresh memory, which then faults in several times as fast. May do nothing.
def advise_huge_pages(address: int, nbytes: int, /) -> None: ...

# One pass over the numbers of units, seen as samples x before x units x after. ``block`` takes ten rows of 64-bit words,
# each with a word for each unit. int64: samples and positions above 0, positions at or below ``low``, at or above
# ``high``, not finite. float64: of the finite numbers the smallest, the largest, the sum, the sum of the squares, and
# the sum of those above 0, each no larger than ``high``.
def statistics(
    x: int,
    dtype: int,
    samples: int,
    before: int,
    units: int,
    after: int,
    low: float,
    high: float,
    block: NDArray[np.int64],
    /,
) -> None: ...

# Adds one term to each of some sums, exactly. The fixed-point sums' limbs count in units of 2^(32 limb - 1074); those
# from ``first`` on are given, as an array of limbs x sums. Infinities and NaNs are added to ``beyond``. Where the terms
# reach beyond these limbs, adds nothing and returns the first limb that they take and the one after their last.
def add_exactly(
    terms: NDArray[np.float64], first: int, limbs: NDArray[np.int64], beyond: NDArray[np.float64], /
) -> tuple[int, int] | None: ...
