"""Converting an ONNX model."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leaky.activation import Activation
from leaky.checkup.batches import batches
from leaky.checkup.finding import Finding
from leaky.checkup.graphs import arrays
from leaky.checkup.result import Check
from leaky.checkup.run import Progress
from leaky.conversion.result import Change, Conversion, Drift, Left
from leaky.function import real_slope

if TYPE_CHECKING:
    from leaky.onnx.rewriting import Outcome


def convert_graph(
    model: Any,
    negative_slope: float | None = 0.01,
    *,
    to: str = "leaky_relu",
    kinds: str | Collection[str] = ("relu", "leaky_relu"),
    only: Any = None,
    skip: Any = None,
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
        to: ``"leaky_relu"`` or ``"relu"``.
        kinds: of the sites that are meant: ``relu``, ``leaky_relu``, ``prelu``, ``relu6``, ``hardtanh``, ``threshold``.
        only: patterns of names, checks or findings: the sites that are meant. None: all.
        skip: in the same forms: the sites that must stay.
        data: to see how far the outputs move, as for :func:`leaky.check`. None: nothing is run.
        batch_size: for data that are not in batches.
        max_memory: the bytes that the model, and ONNX Runtime, may take.
        progress: called after each batch.

    Returns:
        The conversion. Its model is a ``ModelProto``, or for a path a :class:`leaky.onnx.ModelFile`, both of which
        :func:`leaky.onnx.save` writes to a file.

    Raises:
        ValueError: the model is not sound, the data are none that it takes, or an argument is not what is expected; in
            one line.
        TypeError: the slope is not a real number.
    """
    from leaky.onnx import ModelFile
    from leaky.onnx.reading import checked, opened
    from leaky.onnx.rewriting import Wish, rewrite

    slope = _slope(negative_slope, to)
    wish = Wish(slope, _kinds(kinds), _matcher("only", only, default=True), _matcher("skip", skip, default=False))
    path = Path(fspath(model)) if isinstance(model, str | PathLike) else None
    if path is not None:
        before, graph = opened(path, max_memory)
    else:
        before, graph = model, checked(model, None, max_memory)
    after = type(before)()
    after.CopyFrom(before)
    outcomes, notes = rewrite(after, graph, wish)
    drift = None
    if data is not None:
        from leaky.onnx.outputs import pairs

        stream = arrays(*batches(data, batch_size), progress or (lambda done, total: None))
        folder = None if path is None else path.parent
        drift = _drift(pairs((before, after), graph.graph, stream, folder=folder, max_memory=max_memory))
        if drift is None:
            notes.append("No drift: the model has no outputs of floats.")
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
    if to not in ("leaky_relu", "relu"):
        raise ValueError(f"to: {to!r}; expected 'leaky_relu' or 'relu', as the slopes of an ONNX model are not trained")
    if to == "relu" or negative_slope is None:
        return 0.0 if to == "relu" else None
    slope = real_slope(negative_slope)
    with np.errstate(over="ignore", under="ignore"):
        held = float(np.float32(slope))
    if (held == 0) != (slope == 0) or math.isinf(held) != math.isinf(slope):
        raise ValueError(f"negative_slope: {slope!r}; expected what float32 holds, as ONNX has it")
    return slope


def _kinds(kinds: str | Collection[str]) -> tuple[str, ...]:
    from leaky.onnx.rewriting import KINDS

    given = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    for kind in given:
        if kind not in KINDS:
            raise ValueError(f"kinds: {kind!r}; expected some of {', '.join(KINDS)}")
    return given


def _matcher(argument: str, given: Any, *, default: bool) -> Callable[[str], bool]:
    """Return what says whether a site is among those given."""
    if given is None:
        return lambda name: default
    matchers = [_matches(argument, each) for each in (given if isinstance(given, list | tuple) else [given])]
    return lambda name: any(matches(name) for matches in matchers)


def _matches(argument: str, given: Any) -> Callable[[str], bool]:
    match given:
        case str():
            return lambda name: fnmatchcase(name, given)
        case Check():
            return {name for name, seen in given.judged.items() if seen.dead.any()}.__contains__
        case Finding():
            return lambda name: given.site in (None, name)
    raise ValueError(f"{argument}: {type(given).__name__}; expected a pattern of names, a check, or a finding of one")


def _change(outcome: Outcome) -> Change:
    before, after = outcome.before, outcome.after
    text = outcome.kind
    if text in ("leaky_relu", "prelu") and isinstance(before, float):
        text = _text(text, before)
    return Change(
        outcome.site, outcome.node, outcome.form, text, _text("leaky_relu", after) if after else "relu", "node"
    )


def _text(name: str, slope: float) -> str:
    """Write an activation with its slope as ONNX has it, in float32, in the fewest digits that tell it."""
    return str(Activation(name, (float(str(np.float32(slope))),)))


def _drift(pairs: Iterable[tuple[int, list[NDArray[Any]], list[NDArray[Any]]]]) -> Drift | None:
    """Return how far the outputs moved; None if there are none."""
    tally = _Tally()
    for samples, before, after in pairs:
        tally.add(samples, before, after)
    return tally.drift()


class _Tally:
    """The differences between outputs, so far."""

    def __init__(self) -> None:
        self.samples = self.elements = self.agreeing = 0
        self.largest = self.total = self.squares = 0.0
        self.scored = True

    def add(self, samples: int, before: list[NDArray[Any]], after: list[NDArray[Any]]) -> None:
        self.samples += samples
        for one, other in zip(before, after, strict=True):
            one, other = one.astype(np.float64), other.astype(np.float64)
            same = (one == other) | (np.isnan(one) & np.isnan(other))
            with np.errstate(invalid="ignore", over="ignore"):
                moved = np.where(same, 0.0, np.abs(one - other))
                self.squares += float(np.square(one).sum())
            self.largest = max(self.largest, float(moved.max(initial=0.0)))
            self.total += float(moved.sum())
            self.elements += moved.size
        self.scored &= bool(before) and before[0].ndim == 2 and before[0].shape[0] == samples and before[0].shape[1] > 1
        if self.scored:
            self.agreeing += int((before[0].argmax(axis=1) == after[0].argmax(axis=1)).sum())

    def drift(self) -> Drift | None:
        if not self.elements:
            return None
        scale = math.sqrt(self.squares / self.elements)
        agreement = self.agreeing / self.samples if self.scored else None
        return Drift(self.samples, self.largest, self.total / self.elements, scale, agreement)
