"""Data that are walked several times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, IterableDataset

from leaky.conversion.errors import ConversionError
from leaky.inputs.batch_size import OF_A_DATA_SET
from leaky.inputs.batches import Batch, batches
from leaky.inputs.errors import InputError


class Passes:
    """The batches of the data, from the first each time; of what can be walked once alone, they are kept.

    Raises:
        ConversionError: the data are of no form known.
    """

    def __init__(self, data: Any, batch_size: int | None) -> None:
        if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
            data, batch_size = DataLoader(data, batch_size or OF_A_DATA_SET), None
        self._data, self._size = data, batch_size
        if isinstance(data, Iterator):
            self._data = list(data)
        self._stream()

    def __iter__(self) -> Iterator[Batch]:
        return (batch for batch in self._stream() if batch.samples)

    def _stream(self) -> Iterator[Batch]:
        try:
            return iter(batches(self._data, self._size)[0])
        except InputError as error:
            raise ConversionError(str(error)) from None
