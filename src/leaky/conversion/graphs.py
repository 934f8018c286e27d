"""Converting an ONNX model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import deepcopy
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leaky.activation import Activation
from leaky.conversion.errors import ConversionError
from leaky.conversion.moved import Moved
from leaky.conversion.result import Change, Conversion, Drift, Left
from leaky.conversion.selection import Selection
from leaky.inputs.arrays import arrays, as_given
from leaky.inputs.batches import Progress, batches
from leaky.onnx import ModelFile
from leaky.onnx.outputs import pairs
from leaky.onnx.reading import checked, opened
from leaky.onnx.rewriting import Outcome, rewrite
from leaky.onnx.suiting import alpha, holds

if TYPE_CHECKING:
    from onnx import ModelProto


def convert_graph(
    model: Any,
    negative_slope: float | None,
    selection: Selection,
    *,
    to: str = "leaky_relu",
    data: Any = None,
    batch_size: int | None = None,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Convert an ONNX model; see :func:`leaky.convert`.

    Relu and its kin become LeakyRelu, in the graph, in the bodies of If, Loop and Scan, and in functions; at slope 0,
    and with ``to="relu"``, they become or stay Relu. All else in the model stays as it is. The sites have the names that a
    check gives them. Sites that no data reach are converted too.

    Args:
        model: the path of an ONNX file, or an ``onnx.ModelProto``, which is left as it is.
        negative_slope: of the converted sites; None: each keeps its own, such as a PRelu that has but one.
        selection: what is to be converted.
        to: ``"leaky_relu"`` or ``"relu"``.
        data: to see how far the outputs move, as for :func:`leaky.check`. None: nothing is run.
        batch_size: for data that are not in batches.
        max_memory: the bytes that the model, and ONNX Runtime, may take.
        progress: called after each batch.

    Returns:
        The conversion. Its model is a ``ModelProto``, or for a path a :class:`leaky.onnx.ModelFile`, both of which
        :func:`leaky.onnx.save` writes to a file.

    Raises:
        ConversionError: a :class:`ValueError`; the model is not sound, the data are none that it takes, or an argument is
            not what is expected; in one line.
    """
    slope = _slope(negative_slope, to)
    path = Path(fspath(model)) if isinstance(model, str | PathLike) else None
    try:
        before, after, outcomes, notes = _rewritten(model, path, slope, selection, max_memory)
        drift = None
        if data is not None:
            stream = arrays(*batches(data, batch_size), progress or (lambda done, total: None))
            drift = _drift(before, after, path, stream, max_memory)
            if drift is None:
                notes.append("No drift: the model has no outputs of floats.")
    except ValueError as error:
        raise ConversionError(as_given(error)) from error
    if slope is not None and (warning := Activation("leaky_relu", (slope,)).slope_warning):
        notes.append(warning)
    return Conversion(
        model=after if path is None else ModelFile(after, path),
        changes=tuple(_change(each) for each in outcomes if not each.reason),
        left=tuple(Left(each.site, each.node, each.form, each.reason) for each in outcomes if each.reason),
        notes=tuple(notes),
        drift=drift,
    )


def _slope(negative_slope: float | None, to: str) -> float | None:
    """Return the slope that is to be written, which has to be one that ONNX holds."""
    if to not in ("leaky_relu", "relu"):
        text = "expected 'leaky_relu' or 'relu' for an ONNX model, whose slopes are not learned any more"
        raise ConversionError(f"to: {to!r}; {text}")
    slope = 0.0 if to == "relu" else negative_slope
    if slope is not None and not holds(slope):
        raise ConversionError(f"negative_slope: {slope!r}; expected what float32 holds, as ONNX has it")
    return slope


def _rewritten(
    model: Any, path: Path | None, slope: float | None, selection: Selection, max_memory: int | None
) -> tuple[ModelProto, ModelProto, list[Outcome], list[str]]:
    """Return the model as it was and as it is to be, and what became of its sites."""
    if path is None:
        before, graph = model, checked(model, None, max_memory)
    else:
        before, graph = opened(path, max_memory)
    after = deepcopy(before)
    return before, after, *rewrite(after, graph, slope, selection.refusal)


def _change(outcome: Outcome) -> Change:
    before, after = outcome.before, outcome.after
    text = outcome.kind
    if text in ("leaky_relu", "prelu") and isinstance(before, float) and not math.isnan(before):
        text = _text(text, before)
    return Change(
        outcome.site, outcome.node, outcome.form, text, _text("leaky_relu", after) if after else "relu", "node"
    )


def _text(name: str, slope: float) -> str:
    """Write an activation with its slope as ONNX has it, in float32, in the fewest digits that tell it."""
    return str(Activation(name, (float(str(np.float32(alpha(slope)))),)))


def _drift(
    before: ModelProto, after: ModelProto, path: Path | None, batches: Iterable[object], max_memory: int | None
) -> Drift | None:
    """Return how far the outputs moved; None if the models have none of floats."""
    moved = Moved()
    folder = None if path is None else path.parent
    for samples, one, other in pairs((before, after), batches, folder=folder, max_memory=max_memory):
        if not one:
            return None
        name = _compared(one, samples)
        shown = name if len(one) > 1 else ""
        moved.add(shown, one[name].astype(np.float64), other[name].astype(np.float64), samples)
    return moved.drift()


def _compared(outputs: dict[str, NDArray[Any]], samples: int) -> str:
    """Return the name of the output that is compared: the logits, or else the first that tells the samples apart."""
    of_samples = [name for name, value in outputs.items() if value.shape[:1] == (samples,)]
    return next(iter([*(name for name in outputs if name == "logits"), *of_samples, *outputs]))
