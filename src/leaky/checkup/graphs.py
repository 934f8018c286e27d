"""Checking an ONNX model."""

from __future__ import annotations

import math
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaky.checkup.given import Given
from leaky.checkup.result import Check
from leaky.checkup.seen import Seen
from leaky.evidence import batch_statistics_of
from leaky.inputs.arrays import arrays, as_given
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
    given = Given()
    try:
        source = Path(model) if isinstance(model, str) else model
        watched = watch(source, arrays(stream, total, progress), max_memory=max_memory, look=partial(_note, given))
    except ValueError as error:
        raise InputError(as_given(error)) from error
    return Check(
        model=Path(fspath(model)).name if isinstance(model, str | PathLike) else model.graph.name or "model",
        samples=watched.samples,
        sites={name: Seen(site, evidence) for name, (site, evidence) in watched.sites.items()},
        notes=tuple(watched.notes),
        trained=trained,
        inputs=given.evidence,
        nonfinite_input=given.nonfinite,
    )


def _note(given: Given, inputs: dict[str, NDArray[Any]]) -> None:
    """Take in the statistics of the inputs, if there is one array of floats."""
    floats = [array for array in inputs.values() if array.dtype.kind == "f"]
    if len(floats) != 1 or not floats[0].ndim:
        given.several()
        return
    x = floats[0]

    def first() -> tuple[list[int], bool]:
        place = np.argwhere(~np.isfinite(x))[0].tolist()
        return place, bool(np.isnan(x[tuple(place)]))

    given.note(x.shape, lambda axis: batch_statistics_of(x, axis, (-math.inf, math.inf)), first)
