"""What the libraries below say: errors of all kinds and many lines, made one; and warnings that are no one's concern."""

from __future__ import annotations

import logging
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


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what onnx-ir has to say of values whose type or shape it cannot tell."""
    log = logging.getLogger("onnx_ir")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
