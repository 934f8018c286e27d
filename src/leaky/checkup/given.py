"""What is noted of the data as they go in: their statistics, and where the first number is that is none."""

from __future__ import annotations

from collections.abc import Callable

from leaky.evidence import Batch, Evidence

# Inputs with more channels or features than this are taken as one: what is kept of them should stay small.
_MOST_CHANNELS = 4096


class Given:
    """The inputs of one run, batch after batch, if they are one array of floats whose channels stay as many."""

    def __init__(self) -> None:
        self.evidence: Evidence | None = None
        #: the first number that is NaN or infinite, and where; "" if all are finite
        self.nonfinite = ""
        self._samples = 0
        self._several = False

    def several(self) -> None:
        """Note that there is no one array of floats: nothing is known of the inputs."""
        self.evidence, self._several = None, True

    def note(
        self,
        shape: tuple[int, ...],
        statistics: Callable[[int | None], Batch],
        first: Callable[[], tuple[list[int], bool]],
    ) -> None:
        """Take in a batch.

        Args:
            shape: of the array, the samples on axis 0.
            statistics: returns those of the array, given the axis of its channels.
            first: returns the place of the first number that is not finite, and whether that is NaN.
        """
        axis = 1 if len(shape) > 1 and shape[1] <= _MOST_CHANNELS else None
        units = 1 if axis is None else shape[1]
        if not self._samples and not self._several:
            self.evidence = Evidence(units)
        if self.evidence is None or self.evidence.units != units:
            self.several()  # they differ from batch to batch: there is no mean to speak of
            return
        self.evidence.add(statistics(axis))
        if self.evidence.nonfinite.any() and not self.nonfinite:
            (sample, *place), is_nan = first()
            word = "NaN" if is_nan else "an infinite number"
            where = f", column {place[0]}" if len(place) == 1 else f", at {tuple(place)}" if place else ""
            self.nonfinite = f"{word} in sample {self._samples + sample:,}{where}"
        self._samples += shape[0]
