"""How many samples make a batch where nobody says."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

# Enough that what is done once a batch does not tell, few enough for the activations of a convolution network to fit in
# memory: from 8 photographs to a thousand rows of a table.
_NUMBERS, _FEWEST, _MOST = 2**19, 8, 1024
# What is whole and more than a byte may be a token, of which a network makes some hundred numbers.
_NUMBERS_OF_A_TOKEN = 64

#: for a PyTorch data set, whose samples are not looked at beforehand
OF_A_DATA_SET = 64


def batch_size_for(arrays: Iterable[Any]) -> int:
    """Return how many samples to run at once, of arrays with the samples on axis 0: the largest of them decides."""
    numbers: int = max(math.prod(a.shape[1:]) * (_NUMBERS_OF_A_TOKEN if holds_tokens(a.dtype) else 1) for a in arrays)
    return min(max(_NUMBERS // max(numbers, 1), _FEWEST), _MOST)


def checked_size(batch_size: Any, kind: type[ValueError]) -> int | None:
    """Return a batch size as a plain number.

    Raises:
        ValueError: of ``kind``; it is no whole number of at least 1.
    """
    if batch_size is None:
        return None
    try:
        size = 0 if isinstance(batch_size, bool) else operator.index(batch_size)
    except TypeError:
        size = 0
    if size < 1:
        raise kind(f"batch_size: {batch_size!r}; expected a whole number of at least 1")
    return size


def holds_tokens(dtype: Any) -> bool:
    """Say whether an array's type is that of whole numbers of more than a byte, as tokens have."""
    name = str(dtype).rpartition(".")[2]  # torch.int64
    return name.startswith(("int", "uint", ">i", ">u")) and not name.endswith("int8")
