"""Runs a model through ONNX Runtime, as it is written, and hands over what comes out of its taps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from leaky.onnx.errors import quiet, said_of
from leaky.onnx.feeding import Arrays
from leaky.onnx.layout import Output
from leaky.onnx.tapping import Tap

# Share of the memory that pre-activations may take at once
_SHARE = 4


class Runner:
    """A model in ONNX Runtime.

    Its optimisations are off: they fuse and reorder operations, so that what is seen would not be what is written, and
    some of them have bugs of their own. If not all pre-activations of a sample fit in memory at once, there are several
    sessions, each for some of the sites. Memory is bounded where it is :func:`capped`.
    """

    def __init__(self, model: ir.Model, taps: dict[str, Tap], sizes: dict[str, int], max_memory: int | None) -> None:
        self.limit = None if max_memory is None else max_memory // _SHARE
        self._max_memory = max_memory
        self._taps = taps
        options = session_options(_folder(model), max_memory)
        groups = self._groups(sizes)
        with quiet():
            proto = ir.to_proto(model)
        outputs = list(proto.graph.output)
        self._sessions = []
        for group in groups:
            names = {name for site in group for name in (taps[site].values, taps[site].shapes)}
            del proto.graph.output[:]
            proto.graph.output.extend(output for output in outputs if output.name in names)
            self._sessions.append((self._session(proto, options), group))

    def _groups(self, sizes: dict[str, int]) -> list[list[str]]:
        """Put the sites in groups that fit, each with at least one."""
        groups: list[list[str]] = [[]]
        taken = 0
        for site in self._taps:
            if self.limit is not None and groups[-1] and taken + sizes.get(site, 0) > self.limit:
                groups.append([])
                taken = 0
            groups[-1].append(site)
            taken += sizes.get(site, 0)
        return groups

    def _session(self, proto: onnx.ModelProto, options: ort.SessionOptions) -> ort.InferenceSession:
        with self._said_of("ONNX Runtime does not take the model"):
            return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(self, arrays: Arrays) -> Iterator[tuple[str, Output]]:
        """Yield each site that was reached with its pre-activation.

        Raises:
            ValueError: with what ONNX Runtime says.
        """
        options = ort.RunOptions()
        options.log_severity_level = SILENT
        for session, sites in self._sessions:
            names = list(dict.fromkeys(name for site in sites for name in self._names(site)))
            with self._said_of("ONNX Runtime cannot run the model"):
                outputs = dict(zip(names, session.run(names, arrays, options), strict=True))
            for site in sites:
                tap = self._taps[site]
                values = outputs[tap.values]
                if values.size:
                    yield site, values if tap.shapes is None else _record(values, outputs[tap.shapes])

    @contextmanager
    def _said_of(self, what: str) -> Iterator[None]:
        with said_of(what):
            try:
                yield
            except Exception as error:
                if self._max_memory is not None and "is smaller than requested bytes" in str(error):
                    raise ValueError(f"it takes more than the {self._max_memory:,} bytes allowed") from error
                raise

    def _names(self, site: str) -> list[str]:
        tap = self._taps[site]
        return [tap.values] if tap.shapes is None else [tap.values, tap.shapes]


#: ONNX Runtime's level of logging at which it says nothing
SILENT = 4


def _folder(model: ir.Model) -> Path | None:
    """Return the folder of a model's external data, if it has any."""
    tensors = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    return next((Path(tensor.base_dir) for tensor in tensors if isinstance(tensor, ir.ExternalTensor)), None)


def session_options(folder: Path | None, max_memory: int | None) -> ort.SessionOptions:
    """Return how a model is run: as it is written, its external data in a folder, memory as far as it is bounded."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = SILENT
    if max_memory is not None:
        options.add_session_config_entry("session.use_env_allocators", "1")
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return options


@contextmanager
def capped(max_memory: int | None) -> Iterator[None]:
    """Bound what ONNX Runtime takes for the sessions of runners made within, all together, and free it in the end."""
    if max_memory is None:
        yield
        return
    _serve(max_memory)
    try:
        yield
    finally:
        _serve(_UNBOUNDED)  # in the place of the one that served, which goes with its last session


# As ONNX Runtime takes it: none can be taken away again, and other sessions of the process may want one.
_UNBOUNDED = 0


def _serve(size: int) -> None:
    """Have sessions that want it, from now on, take their memory from a new arena of this size at most."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    as_asked_for = 1
    arena = ort.OrtArenaCfg({"max_mem": size, "arena_extend_strategy": as_asked_for})
    ort.create_and_register_allocator(memory, arena)


def _record(values: NDArray[Any], shapes: NDArray[np.int64]) -> list[NDArray[Any]]:
    """Return the arrays that a record holds."""
    arrays, place, start = [], 0, 0
    while place < len(shapes):
        rank = int(shapes[place])
        shape = shapes[place + 1 : place + 1 + rank]
        size = int(np.prod(shape))
        arrays.append(values[start : start + size].reshape(shape))
        place, start = place + 1 + rank, start + size
    return arrays
