"""Plain arguments that are not what they should be, each told in a line."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from leaky.inputs.errors import InputError
from leaky.wording import shown


def whole_number(argument: str, value: Any, expected: str = "a whole number of at least 1") -> int:
    """Return a whole number from 1 up as Python's own.

    Raises:
        TypeError: it is none.
        InputError: it is below 1.
    """
    complaint = f"{argument}: {shown(value)}; expected {expected}"
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(complaint)
    if number < 1:
        raise InputError(complaint)
    return number


def memory(value: Any) -> int | None:
    """Return ``max_memory``, a number of bytes, or None for no limit.

    Raises:
        TypeError: it is no whole number.
        InputError: it is below 1.
    """
    return None if value is None else whole_number("max_memory", value, "a number of bytes, such as 2**30")


def truth(argument: str, value: Any) -> bool:
    """Return a truth value as Python's own.

    Raises:
        TypeError: it is none. Words are not: ``"no"`` would count as true.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument}: {shown(value)}; expected True or False")
    return bool(value)


def several(argument: str, values: Any, expected: str) -> list[Any]:
    """Return what can be gone through as a list.

    Raises:
        TypeError: it cannot, or is a text.
    """
    try:
        each = None if isinstance(values, str | bytes) else iter(values)
    except TypeError:  # an array of no axis has __iter__, too
        each = None
    if each is None:
        raise TypeError(f"{argument}: {shown(values)}; expected {expected}")
    return list(each)
