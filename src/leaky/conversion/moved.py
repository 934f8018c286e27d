"""The differences between the outputs of two networks, whatever framework they are of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leaky.conversion.errors import ConversionError
from leaky.conversion.result import Drift


class Moved:
    """The differences between outputs, batch after batch."""

    def __init__(self) -> None:
        self._samples = self._numbers = self._ranked = self._agreed = 0
        self._largest = self._total = self._sizes = 0.0
        self._name = ""

    def add(
        self, name: str, before: NDArray[np.float64], after: NDArray[np.float64], samples: int, what: str = "data"
    ) -> None:
        """Take in a batch: the name of the output that is compared, and its values.

        Raises:
            ConversionError: the outputs are not of one shape.
        """
        if before.shape != after.shape:
            raise ConversionError(
                f"{what}: outputs of shape {before.shape} before, {after.shape} after; expected the same"
            )
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        with np.errstate(invalid="ignore"):
            difference = np.where(same, 0.0, np.abs(after - before))
        difference[np.isnan(difference)] = np.inf  # NaN on one side alone
        self._name = name
        self._samples += samples
        self._numbers += before.size
        self._largest = max(self._largest, float(difference.max(initial=0.0)))
        self._total += float(difference.sum())
        self._sizes += float(np.abs(before[np.isfinite(before)]).sum())
        scores = before.ndim == 2 or (before.ndim == 3 and name.rpartition(".")[2] == "logits")
        if scores and before.shape[-1] > 1 and len(before) == samples:
            ranked = before.argmax(-1) == after.argmax(-1)
            self._ranked += ranked.size
            self._agreed += int(ranked.sum())

    def drift(self) -> Drift:
        """Return it all.

        Raises:
            ConversionError: there were no samples.
        """
        if not self._samples:
            raise ConversionError("data: no samples; expected at least one")
        numbers = max(self._numbers, 1)
        return Drift(
            samples=self._samples,
            largest=self._largest,
            mean=self._total / numbers,
            scale=self._sizes / numbers,
            agreement=self._agreed / self._ranked if self._ranked else None,
            output=self._name,
        )
