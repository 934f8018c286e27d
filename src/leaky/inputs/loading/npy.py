"""Arrays in ``.npy`` files and in members of ``.npz`` archives, read a batch at a time."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from leaky.inputs.loading.problem import LoadingError, reading

# NumPy reads no header beyond 10,000 characters.
_MOST_OF_HEADER = 12_000
_MOST_DIMENSIONS = 32

# By the version of the format. The third differs from the second in the names of fields alone, which no array here has.
_READERS: dict[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Stored:
    """An array in a file: its header is read and checked, its values are not yet.

    Attributes:
        what: the array, for messages.
        open: gives a stream from the start of its header.
        shape, dtype: of the values; the first axis is that of the samples.
        by_column: the values lie in Fortran's order, so that no row can be read without all others.
        offset: of the values in the stream.
    """

    what: str
    open: Callable[[], IO[bytes]]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_column: bool
    offset: int

    @property
    def row_size(self) -> int:
        """Bytes of one sample."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def memory(self, rows: int) -> int:
        """Bytes that reading so many samples at a time takes: as they are, put together, and as another type."""
        batch = rows * math.prod(self.shape[1:]) * (2 * self.dtype.itemsize + 8)
        return batch + (2 * self.shape[0] * self.row_size if self.by_column else 0)

    def values(self) -> IO[bytes]:
        """Return a stream of the values, sample by sample."""
        with reading(self.what):
            stream = self.open()
            stream.seek(self.offset)
            if not self.by_column:
                return stream
            with stream:
                columns = self.take(stream, self.shape[0]).reshape(self.shape[::-1])
            return io.BytesIO(columns.T.tobytes())

    def take(self, stream: IO[bytes], rows: int) -> NDArray[Any]:
        """Return the next so many samples.

        Raises:
            LoadingError: the file ends before, or is damaged.
        """
        with reading(self.what):
            data = stream.read(rows * self.row_size)
            if len(data) < rows * self.row_size:
                raise LoadingError(f"{self.what} ends early; expected {self.shape[0]:,} samples as its header says")
            return np.frombuffer(data, self.dtype).reshape(rows, *self.shape[1:])


def stored(what: str, start: Callable[[], IO[bytes]], size: int) -> Stored:
    """Return the array of a stream that holds it and nothing else, ``size`` bytes with its header.

    Raises:
        LoadingError: it is no array of numbers with at least one sample, or not of that size.
    """
    with reading(what):
        with start() as stream:
            head = io.BytesIO(stream.read(_MOST_OF_HEADER))
        with warnings.catch_warnings(action="ignore"):
            shape, by_column, dtype = _READERS[np.lib.format.read_magic(head)](head)
    if dtype.kind not in "buif":
        kind = "Python objects, which could run code" if dtype.hasobject else f"type {str(dtype)[:40]}"
        raise LoadingError(f"{what} is an array of {kind}; expected numbers")
    if not 1 <= len(shape) <= _MOST_DIMENSIONS or not all(type(n) is int and n > 0 for n in shape):
        raise LoadingError(f"{what} has shape {str(shape)[:60]}; expected at least one sample")
    claimed = head.tell() + math.prod(shape) * dtype.itemsize
    if claimed != size:
        raise LoadingError(
            f"{what} has {size:,} bytes; expected {_number(claimed)} for shape {str(shape)[:60]}, {dtype}"
        )
    return Stored(what, start, shape, dtype, by_column, head.tell())


def _number(count: int) -> str:
    return f"{count:,}" if count < 10**18 else "more than 10¹⁸"


def batches(parts: Sequence[Stored], size: int) -> Iterator[NDArray[Any]]:
    """Yield the samples of arrays, one array after the other, so many at a time; the last batch has what is left."""
    held: list[NDArray[Any]] = []
    for part in parts:
        left = part.shape[0]
        with part.values() as stream:
            while left:
                held.append(part.take(stream, min(left, size - sum(map(len, held)))))
                left -= len(held[-1])
                if sum(map(len, held)) == size:
                    yield held[0] if len(held) == 1 else np.concatenate(held)
                    held = []
    if held:
        yield held[0] if len(held) == 1 else np.concatenate(held)
