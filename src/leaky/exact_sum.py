"""Sums of many float64 numbers that are exact, so that their order does not matter: shards add up to the whole."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaky import _core

Floats = NDArray[np.float64]


class ExactSum:
    """Sums of float64 numbers, one for each unit, that do not depend on the order or grouping of the additions.

    Each is kept as a fixed-point number of as many bits as it takes, and rounded once when it is asked for. So nothing
    is ever lost, however much the terms differ in size, nor where a sum passes beyond the largest float64 and comes
    back. Infinities and NaNs among the terms make of the sum what they would in IEEE 754. There is room for 2**30 terms.
    """

    def __init__(self, units: int) -> None:
        # Limbs x units: the limb at index i counts in units of 2**(32 * (first + i) - 1074).
        self._first = 0
        self._limbs: NDArray[np.int64] = np.zeros((0, units), np.int64)
        self._beyond: Floats = np.zeros(units)

    def add(self, terms: Floats) -> None:
        """Add one number to each unit's sum: a contiguous array of float64, shape (units,)."""
        reach = _core.add_exactly(terms, self._first, self._limbs, self._beyond)
        if reach:
            self._widen(*reach)
            _core.add_exactly(terms, self._first, self._limbs, self._beyond)

    def merge(self, other: ExactSum) -> None:
        """Add another's sums. ValueError if they are of another number of units."""
        if len(other._beyond) != len(self._beyond):
            raise ValueError(f"the sums must be of {len(self._beyond)} units, got {len(other._beyond)}")
        if len(other._limbs):
            self._widen(other._first, other._first + len(other._limbs))
            start = other._first - self._first
            self._limbs[start : start + len(other._limbs)] += other._limbs
        with np.errstate(invalid="ignore"):
            self._beyond += other._beyond

    def value(self) -> Floats:
        """Return the sums, each rounded once; infinite where it is beyond the largest float64."""
        sums = [_rounded(limbs, 32 * self._first - 1074) for limbs in self._limbs.T.tolist()]
        return np.where(self._beyond == 0, sums, self._beyond)

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as they are, for JSON."""
        return {"first": self._first, "limbs": self._limbs.tolist(), "beyond": to_texts(self._beyond)}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> ExactSum:
        """Return what ``to_dict`` described, to the last bit."""
        self = cls(len(state["beyond"]))
        self._first = state["first"]
        self._limbs = np.array(state["limbs"], np.int64).reshape(len(state["limbs"]), len(state["beyond"]))
        self._beyond = from_texts(state["beyond"])
        return self

    def _widen(self, first: int, end: int) -> None:
        held = len(self._limbs)
        if held:
            first, end = min(first, self._first), max(end, self._first + held)
        limbs = np.zeros((end - first, self._limbs.shape[1]), np.int64)
        if held:
            limbs[self._first - first : self._first - first + held] = self._limbs
        self._first, self._limbs = first, limbs


def _rounded(limbs: list[int], exponent: int) -> float:
    """Return the number of these limbs, the lowest first, in units of 2**exponent."""
    whole = 0
    for limb in reversed(limbs):
        whole = (whole << 32) + limb
    try:
        return float(whole << exponent) if exponent >= 0 else whole / (1 << -exponent)
    except OverflowError:
        return math.inf if whole > 0 else -math.inf


def to_texts(numbers: Floats) -> list[str]:
    """Return numbers as texts that are exact, and that JSON can hold whatever they are."""
    return [number.hex() for number in numbers.tolist()]


def from_texts(texts: Iterable[str]) -> Floats:
    """Return the numbers that ``to_texts`` made them of."""
    return np.array([float.fromhex(text) for text in texts], np.float64)
