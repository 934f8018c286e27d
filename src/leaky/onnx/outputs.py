"""What comes out of two models, one made from the other, for the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from leaky.onnx.errors import said_of
from leaky.onnx.feeding import Arrays, Inputs
from leaky.onnx.running import SILENT, capped, session_options

Outputs = dict[str, NDArray[Any]]


def pairs(
    models: tuple[onnx.ModelProto, onnx.ModelProto],
    batches: Iterable[object],
    *,
    folder: Path | None = None,
    max_memory: int | None = None,
) -> Iterator[tuple[int, Outputs, Outputs]]:
    """Run two models on batches through ONNX Runtime on the CPU, as they are written.

    Args:
        models: of the same inputs and outputs.
        batches: as for :func:`leaky.onnx.watch`.
        folder: of their external data, if they have any.
        max_memory: the bytes that ONNX Runtime may take for both.

    Yields:
        For each run the number of samples, and the outputs of each model that are arrays of floats, by name.

    Raises:
        ValueError: ONNX Runtime does not take a model or cannot run it, or a batch is not what they take; in one line.
    """
    inputs = Inputs(ir.from_proto(models[0]).graph)
    feeds = map(inputs.feed, batches)
    with capped(max_memory):
        before, after = (_session(model, folder, max_memory) for model in models)
        several: bool | None = None
        for feed in feeds:
            fixed = inputs.fixed(feed)
            if several is None:
                several = fixed is not None or _runs(before, feed.part(0, 2))
            step = fixed or (feed.samples if several else 1)
            for start in range(0, feed.samples, step):
                real, arrays = min(step, feed.samples - start), feed.part(start, step)
                yield real, _run(before, arrays, step, real), _run(after, arrays, step, real)
        if several is None:
            raise ValueError("batches: there is none")


def _session(model: onnx.ModelProto, folder: Path | None, max_memory: int | None) -> ort.InferenceSession:
    with said_of("ONNX Runtime does not take the model"):
        options = session_options(folder, max_memory)
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _run(session: ort.InferenceSession, arrays: Arrays, samples: int, real: int) -> Outputs:
    """Return the outputs for so many samples, of which the first are real."""
    options = ort.RunOptions()
    options.log_severity_level = SILENT
    names = [output.name for output in session.get_outputs() if output.type in _FLOATS]
    with said_of("ONNX Runtime cannot run the model"):
        values = session.run(names, arrays, options) if names else []
    return {
        name: value[:real] if value.shape[:1] == (samples,) else value
        for name, value in zip(names, values, strict=True)
    }


_FLOATS = {"tensor(float16)", "tensor(float)", "tensor(double)"}


def _runs(session: ort.InferenceSession, arrays: Arrays) -> bool:
    try:
        _run(session, arrays, 2, 2)
    except ValueError:
        return False
    return True
