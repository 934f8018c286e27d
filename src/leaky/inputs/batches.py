"""Data of any customary shape as a stream of batches, whatever made them: arrays, tensors, a loader."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from operator import length_hint
from typing import Any

from leaky.inputs.batch_size import OF_A_DATA_SET, batch_size_for, checked_size
from leaky.inputs.errors import InputError
from leaky.user_code import in_one_line

#: called after each batch with how many are done, and how many there are, if that is known
Progress = Callable[[int, int | None], None]

_EXPECTED = "expected an array, a tuple (x, y) or a dict of arguments"


@dataclass(frozen=True)
class Batch:
    """One batch: what the network is called with, and the targets, if there are any."""

    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    target: Any = None
    #: of all batches, those without samples included
    number: int = 0

    @property
    def samples(self) -> int:
        """How many samples there are: the length of the first array."""
        return next((len(a) for a in (*self.positional, *self.named.values()) if _is_array(a) and len(a.shape)), 0)


def batches(data: Any, batch_size: int | None = None) -> tuple[Iterator[Batch], int | None]:
    """Return the batches that hold samples, and how many batches there are, if that is known.

    Args:
        data: one array or tensor, a tuple of them (the last is the target, or an input if the network needs so many), or
            a dict of them, which are split; or any
            iterable of batches, each of one of these forms (a list of them counts as a tuple); or a PyTorch data set.
        batch_size: of the split; None for what suits the size of a sample.

    Raises:
        InputError: a :class:`ValueError`; the data are none of these, or there is a batch size for what comes in batches.
            What is wrong with a single batch, or fails in the user's own loader, is raised in a line when it is reached.
    """
    batch_size = checked_size(batch_size, InputError)
    if is_whole(data):
        found, total = _split(_batch(data, "data"), batch_size)
        return _reached(found), total
    if hasattr(data, "to_numpy"):  # a table's iterator gives the names of its columns
        raise InputError(f"data: {type(data).__name__}; {_EXPECTED}, such as data.to_numpy()")
    data, batch_size = cut(data, batch_size)
    if batch_size is not None:
        raise InputError(f"batch_size: {batch_size}, while the data come in batches; expected none")
    streams = isinstance(data, Iterable) and not isinstance(data, str | bytes | Mapping)
    if not streams:
        raise InputError(f"data: {type(data).__name__}; expected an array, a tuple (x, y), or an iterable of batches")
    stream = in_one_line("data: they cannot be gone through", partial(iter, data), InputError)
    return _reached(_batch(each, f"data: batch {number}") for number, each in enumerate(stream)), count_of(data)


def cut(data: Any, batch_size: int | None) -> tuple[Any, int | None]:
    """Return a PyTorch data set, which gives one sample after the other, as a loader of batches; others as they are.

    And the size of batches that is yet to be made.
    """
    torch_data = sys.modules.get("torch.utils.data")  # whoever has a data set has imported it
    if torch_data is not None and isinstance(data, torch_data.Dataset):
        return torch_data.DataLoader(data, batch_size or OF_A_DATA_SET), None
    return data, batch_size


def count_of(stream: Iterable[Any]) -> int | None:
    """Return the number of batches, if it is known; a DataLoader of a stream has a length that fails."""
    try:
        return length_hint(stream) or None
    except (TypeError, NotImplementedError):
        return None


def _reached(stream: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches that hold samples, numbered; what fails in the user's own loader is told in a line."""
    end = Batch((), {})
    for number in itertools.count():
        step = partial(next, stream, end)
        batch = in_one_line(f"data: batch {number} cannot be had", step, InputError)
        if batch is end:
            return
        if batch.samples:
            yield replace(batch, number=number)


def _is_array(value: Any) -> bool:
    """Return whether it is an array of numbers or behaves like one: NumPy's, a tensor, a data set of HDF5 or zarr."""
    return all(hasattr(value, name) for name in ("shape", "dtype", "__getitem__"))


def is_whole(data: Any) -> bool:
    """Return whether the data are all there, to be split, rather than an iterable of batches."""
    if isinstance(data, tuple | Mapping):
        parts = list(data.values() if isinstance(data, Mapping) else data)
        return bool(parts) and all(map(_is_array, parts))
    return _is_array(data)


def _batch(data: Any, what: str) -> Batch:
    """Return one batch, or the whole, in a single form."""
    match data:
        case Mapping():
            batch = Batch((), data)
        case [only]:
            batch = Batch((only,), {})
        case [*inputs, target] if inputs:
            batch = Batch(tuple(inputs), {}, target)
        case _ if _is_array(data):
            batch = Batch((data,), {})
        case _:
            raise InputError(f"{what}: {type(data).__name__}; {_EXPECTED}{_remedy(data)}")
    if not any(_is_array(a) and len(a.shape) for a in (*batch.positional, *batch.named.values())):
        raise InputError(f"{what}: holds no array with an axis of samples; {_EXPECTED}{_remedy(data)}")
    return batch


def _remedy(data: Any) -> str:
    """Return how to make an array of what is none."""
    if isinstance(data, list | tuple | int | float) and not any(
        map(_is_array, data if isinstance(data, list | tuple) else ())
    ):
        return " (numpy.array makes one of lists of numbers)"
    return ""


def _split(whole: Batch, batch_size: int | None) -> tuple[Iterator[Batch], int]:
    inputs = (*whole.positional, *whole.named.values())
    arrays = (*inputs, *([] if whole.target is None else [whole.target]))
    lengths = {len(a) if len(a.shape) else -1 for a in arrays}
    if len(lengths) > 1:
        raise InputError(f"data: arrays of {' and '.join(map(str, sorted(lengths)))} samples; expected as many in each")
    (samples,) = lengths
    size = batch_size or batch_size_for(inputs)

    def pieces() -> Iterator[Batch]:
        for start in range(0, samples, size):
            here = slice(start, start + size)
            target = None if whole.target is None else whole.target[here]
            yield Batch(tuple(a[here] for a in whole.positional), {n: a[here] for n, a in whole.named.items()}, target)

    return pieces(), math.ceil(samples / size)
