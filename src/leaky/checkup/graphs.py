"""Checking an ONNX model."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any

from leaky.checkup.result import Check
from leaky.checkup.seen import Seen
from leaky.inputs.arrays import arrays
from leaky.inputs.batches import Progress, batches
from leaky.inputs.errors import InputError


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
        raise InputError(str(error)) from error
    return Check(
        model=Path(fspath(model)).name if isinstance(model, str | PathLike) else model.graph.name or "model",
        samples=watched.samples,
        sites={name: Seen(site, evidence) for name, (site, evidence) in watched.sites.items()},
        notes=tuple(watched.notes),
        trained=trained,
    )
