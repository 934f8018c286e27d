"""Errors of the libraries below, which are of all kinds and many lines, as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from leaky.wording import plain


@contextmanager
def said_of(what: str) -> Iterator[None]:
    """Turn whatever is raised within into a :class:`ValueError` of one line that begins with these words."""
    try:
        yield
    except Exception as error:
        text = plain(str(error)) or type(error).__name__
        raise ValueError(f"{what}: {text if len(text) <= 300 else text[:299] + '…'}") from error
