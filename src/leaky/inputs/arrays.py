"""Data of any kind as the arrays that an ONNX model is called with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from leaky.inputs.batches import Batch, Progress
from leaky.inputs.errors import InputError


def arrays(
    stream: Iterable[Batch], total: int | None, progress: Progress
) -> Iterator[dict[str, Any] | tuple[Any, ...]]:
    """Yield batches in the form in which ``leaky.onnx`` takes them, and tell of each that is done."""
    batch = None
    for batch in stream:
        targets = () if batch.target is None else (batch.target,)
        named = {name: _on_host(value) for name, value in batch.named.items()}
        yield named or tuple(map(_on_host, (*batch.positional, *targets)))
        progress(batch.number + 1, total)
    if batch is None:
        raise InputError("data: no samples; expected at least one")


def as_given(error: ValueError) -> str:
    """Return what ``leaky.onnx`` says of its batches as said of the data that they were made of."""
    return re.sub("^batches:", "data:", str(error))


def _on_host(value: Any) -> Any:
    """Return a tensor of PyTorch as an array; others as they are."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # bfloat16, of which NumPy knows nothing
        return tensor.float().numpy()
