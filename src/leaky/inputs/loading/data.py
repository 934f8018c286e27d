"""From what a user names as DATA to batches, which can be gone through again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from leaky.inputs.batch_size import batch_size_for, checked_size
from leaky.inputs.batches import count_of, cut, is_whole
from leaky.inputs.loading.archive import members, open_member
from leaky.inputs.loading.code import is_code, named
from leaky.inputs.loading.memory import check_size, default_memory
from leaky.inputs.loading.npy import Stored, batches, stored
from leaky.inputs.loading.problem import LoadingError, existing, quoted, reading
from leaky.user_code import in_one_line

_EXPECTED = ".npy, .npz, a folder of .npy, file.py:loader or package.module:loader"
_REMEDY = " (--max-memory), or smaller batches (--batch)"


@dataclass(frozen=True)
class Batches:
    """The batches of a data set; each ``iter`` starts anew.

    Attributes:
        name: what the user named.
        start: begins to go through them.
        count: the number of batches, None where it is not known beforehand.
        samples: the number of samples, None where it is not known beforehand.
    """

    name: str
    start: Callable[[], Iterator[Any]]
    count: int | None = None
    samples: int | None = None

    def __iter__(self) -> Iterator[Any]:
        return self.start()

    def __length_hint__(self) -> int:
        return self.count or 0


def load_data(
    spec: str, *, batch_size: int | None = None, max_memory: int | None = None, trust: bool = False
) -> Batches:
    """Return the data that a text names, in batches.

    Files are read while the batches are gone through, never more than a batch at a time (but arrays in Fortran's order
    whole). Their arrays have the samples along the first axis, and come in the type that they are stored in: the check
    knows what the model takes.

    Args:
        spec: one of
            ``.npy``: the batches are arrays of shape ``(n, …)``;
            a folder of ``.npy`` files: the same, of all files in the order of their names, as if they were one array;
            ``.npz``: with ``x`` and ``y`` in it, pairs ``(x, y)``, and other arrays are left alone; with ``x`` and no
            ``y``, or a single array of any name, arrays; otherwise dictionaries from the arrays' names to arrays;
            ``file.py:name`` or ``package.module:name``, where the name is an iterable of batches (a ``DataLoader``), a
            function without arguments that returns one, or, to be cut into batches, an array, a tensor, a tuple or a
            dictionary of them, or a PyTorch data set. Its batches come as they are.
        batch_size: samples in a batch; None for what suits the size of a sample, see :func:`leaky.check`.
        max_memory: what a batch may take, in bytes; by default half of the machine's memory.
        trust: run a file that does not lie on the import path. It holds for this call only: nothing is remembered.

    Raises:
        LoadingError: a :class:`ValueError` of one line; there are no such data, they are damaged, too large, or no numbers, or
            the user's code fails. Going through the batches raises it too, where the damage is found only then.
    """
    batch_size = checked_size(batch_size, LoadingError)
    if is_code(spec):
        return _from_code(spec, batch_size, trust)
    max_memory = default_memory() if max_memory is None else max_memory
    suffix = Path(spec).suffix.lower()
    with reading(f"data: {spec!r}"):
        is_folder = spec != "" and Path(spec).is_dir()
    if is_folder:
        return _from_folder(spec, batch_size, max_memory)
    if suffix == ".npy":
        return _from_files(spec, [existing("data", spec, "an .npy file")], batch_size, max_memory)
    if suffix == ".npz":
        return _from_archive(spec, existing("data", spec, "an .npz file"), batch_size, max_memory)
    raise LoadingError(f"data: {spec!r}; expected {_EXPECTED}")


def _from_folder(spec: str, batch_size: int | None, max_memory: int) -> Batches:
    with reading(f"data: {spec!r}"):
        paths = sorted(path for path in Path(spec).iterdir() if path.suffix.lower() == ".npy")
    if not paths:
        raise LoadingError(f"data: {spec!r} holds no .npy file; expected at least one")
    return _from_files(spec, [existing("data", str(path), "an .npy file") for path in paths], batch_size, max_memory)


def _from_files(spec: str, paths: list[Path], batch_size: int | None, max_memory: int) -> Batches:
    parts = []
    for path in paths:
        what = f"data: {str(path)!r}"
        with reading(what):
            size = path.stat().st_size
        parts.append(stored(what, partial(_open, path), size))
    first = parts[0]
    for part in parts:
        if (part.shape[1:], part.dtype) != (first.shape[1:], first.dtype):
            raise LoadingError(
                f"{part.what} has samples of shape {part.shape[1:]}, {part.dtype}; "
                f"expected {first.shape[1:]}, {first.dtype} as in {paths[0].name!r}"
            )
    return _batches(spec, {"x": parts}, batch_size, max_memory, lambda arrays: arrays["x"])


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _from_archive(spec: str, path: Path, batch_size: int | None, max_memory: int) -> Batches:
    what = f"data: {spec!r}"
    found = members(path, what, max_memory)
    odd = [name for name in found if not name.endswith(".npy")]
    if odd:
        raise LoadingError(f"{what} holds {quoted(odd[0])}, which is no .npy; expected arrays alone")
    infos = {name.removesuffix(".npy"): info for name, info in found.items()}
    wanted = [name for name in ("x", "y") if name in infos] if "x" in infos else list(infos)
    if not wanted:
        raise LoadingError(f"{what} holds no array; expected one, x and y, or one for each input of the model")
    arrays = {
        name: [stored(f"{what}, array {quoted(name)},", partial(open_member, path, info.filename), info.file_size)]
        for name, info in ((name, infos[name]) for name in wanted)
    }
    if len(wanted) == 1:
        return _batches(spec, arrays, batch_size, max_memory, lambda arrays: arrays[wanted[0]])
    if "x" in infos:
        return _batches(spec, arrays, batch_size, max_memory, lambda arrays: (arrays["x"], arrays["y"]), "y")
    return _batches(spec, arrays, batch_size, max_memory, dict)


def _batches(
    spec: str,
    arrays: dict[str, list[Stored]],
    batch_size: int | None,
    max_memory: int,
    combine: Callable[[dict[str, NDArray[Any]]], Any],
    targets: str | None = None,
) -> Batches:
    """Return the batches of stored arrays that run side by side; ``combine`` makes each of them from the arrays' parts."""
    lengths = {name: sum(part.shape[0] for part in parts) for name, parts in arrays.items()}
    first, samples = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != samples:
            raise LoadingError(
                f"data: {spec!r} has {length:,} samples of {quoted(name)}; expected {samples:,} as of {quoted(first)}"
            )
    inputs = [parts[0] for name, parts in arrays.items() if name != targets]
    batch_size = batch_size or batch_size_for(inputs)
    rows = min(batch_size, samples)
    needed = sum(max(part.memory(rows) for part in parts) for parts in arrays.values())
    check_size(f"data: {spec!r}, in batches of {rows},", needed, max_memory, _REMEDY)

    def start() -> Iterator[Any]:
        for values in zip(*(batches(parts, batch_size) for parts in arrays.values()), strict=True):
            yield combine(dict(zip(arrays, map(_native, values), strict=True)))

    return Batches(spec, start, math.ceil(samples / batch_size), samples)


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that may be written to, its bytes in the machine's own order."""
    return values.astype(values.dtype.newbyteorder("="))


def _from_code(spec: str, batch_size: int | None, trust: bool) -> Batches:
    name, thing, _ = named("data", spec, trust)

    def make() -> Any:
        calls = callable(thing) and not isinstance(thing, Iterable)
        return in_one_line(f"{name} failed", thing, LoadingError) if calls else thing

    made = make()
    if is_whole(made):
        return _from_arrays(spec, name, made, batch_size)
    loader, _ = cut(made, batch_size)
    if not isinstance(loader, Iterable) or isinstance(loader, Mapping | str | bytes):
        raise LoadingError(f"{name} is of type {type(made).__name__}; expected an iterable of batches")
    if isinstance(loader, Iterator):
        return Batches(spec, _afresh(name, loader, make))
    return Batches(spec, partial(_told, name, loader), count_of(loader))


def _from_arrays(spec: str, name: str, whole: Any, batch_size: int | None) -> Batches:
    """Return the batches of an array, or of several in a tuple or a dictionary."""
    arrays = (
        list(whole.values()) if isinstance(whole, Mapping) else list(whole) if isinstance(whole, tuple) else [whole]
    )
    for array in arrays:
        if not array.shape or array.shape[0] != (arrays[0].shape or (0,))[0] or not array.shape[0]:
            expected = (
                "at least one sample" if array is arrays[0] else f"{arrays[0].shape[0]:,} samples, as of the first"
            )
            raise LoadingError(f"{name} has shape {tuple(array.shape)}; expected {expected}")
    samples = arrays[0].shape[0]
    batch_size = batch_size or batch_size_for(arrays)

    def cut_out(here: slice) -> Any:
        if isinstance(whole, Mapping):
            return {key: array[here] for key, array in whole.items()}
        return tuple(array[here] for array in whole) if isinstance(whole, tuple) else whole[here]

    pieces = range(0, samples, batch_size)
    return Batches(spec, lambda: (cut_out(slice(i, i + pieces.step)) for i in pieces), len(pieces), samples)


def _afresh(name: str, first: Iterator[Any], make: Callable[[], Any]) -> Callable[[], Iterator[Any]]:
    """Return what goes through an iterator, which can be done once, and later through others that are made like it."""
    unused = [first]

    def start() -> Iterator[Any]:
        if unused:
            return _told(name, unused.pop())
        source = make()
        if source is first:
            raise LoadingError(f"{name} can be gone through only once; expected a function that returns it")
        return _told(name, source)

    return start


def _told(name: str, source: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches; what fails in the user's code is told in one line."""
    end = object()
    batches = in_one_line(f"{name} failed", partial(iter, source), LoadingError)
    while (batch := in_one_line(f"{name} failed", partial(next, batches, end), LoadingError)) is not end:
        yield batch
