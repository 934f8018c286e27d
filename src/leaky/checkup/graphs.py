"""Checking an ONNX model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from leaky.checkup.batches import Batch, batches
from leaky.checkup.errors import CheckError
from leaky.checkup.result import Check
from leaky.checkup.run import Progress
from leaky.checkup.seen import Seen


def check_graph(
    model: Any,
    data: Any,
    batch_size: int | None,
    *,
    trained: bool,
    progress: Progress,
    max_memory: int | None,
) -> Check:
    """Run the model through ONNX Runtime on the data and return what was seen; see :func:`leaky.check`."""
    from leaky.onnx import watch

    stream, total = batches(data, batch_size)

    try:
        source = Path(model) if isinstance(model, str) else model
        watched = watch(source, arrays(stream, total, progress), max_memory=max_memory)
    except ValueError as error:
        raise CheckError(str(error)) from error
    return Check(
        model=Path(fspath(model)).name if isinstance(model, str | PathLike) else model.graph.name or "model",
        samples=watched.samples,
        sites={name: Seen(site, evidence) for name, (site, evidence) in watched.sites.items()},
        notes=tuple(watched.notes),
        trained=trained,
    )


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
        raise CheckError("data: no samples; expected at least one")


def _on_host(value: Any) -> Any:
    """Return a tensor of PyTorch as an array; others as they are."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # bfloat16, of which NumPy knows nothing
        return tensor.float().numpy()
