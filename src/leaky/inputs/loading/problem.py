"""What is wrong with a model or data that were named, in one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leaky.inputs.errors import InputError
from leaky.wording import plain

# Names out of a file are shortened in messages: one may be as long as the file.
_LONGEST_NAME = 60


class LoadingError(InputError):
    """A model or data that cannot be loaded; the text says why in one line, without control characters."""

    def __init__(self, text: str) -> None:
        super().__init__(plain(text))


def quoted(name: str) -> str:
    """Return a name out of a file between quotes, on one line and not too long."""
    shown = plain(name)
    return repr(shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever a damaged or hostile file makes a reader raise into a LoadingError: the kinds have no end."""
    try:
        yield
    except LoadingError:
        raise
    except FileNotFoundError:
        raise LoadingError(f"{what} is not there any more; expected a file") from None
    except OSError as error:
        raise LoadingError(f"{what} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise LoadingError(f"{what} needs more memory than there is") from error
    except Exception as error:
        raise LoadingError(f"{what} is damaged, or not what its name says ({type(error).__name__})") from error


def existing(argument: str, name: str, expected: str) -> Path:
    """Return the path of a regular file.

    Raises:
        LoadingError: there is none. A pipe or a device is none: reading it might never end.
    """
    path = Path(name)
    with reading(f"{argument}: {name!r}"):
        if path.is_file():
            return path
        there = path.exists()
    raise LoadingError(f"{argument}: {name!r} is {'no file' if there else 'not there'}; expected {expected}")
