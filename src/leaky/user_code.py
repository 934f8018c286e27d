"""Running code of a user's own, which they named to be run, and saying in one line how it failed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

_T = TypeVar("_T")

#: what is on the import path only because a user's file that was run may import what lies beside it
lent: set[str] = set()


def run_file(path: Path) -> ModuleType:
    """Run a user's file as a module, with its folder importable as it is for a script.

    Raises:
        Exception: whatever the file raises.
    """
    path = path.resolve()
    # One name for each file: by it, classes are pickled.
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    spec = importlib.util.spec_from_file_location(f"leaky_user_{path.stem}_{digest}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    lend(path.parent)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(spec.name, None)  # as `import` does with what was run by half
        raise
    return module


def lend(folder: Path, *, last: bool = False) -> None:
    """Put a folder on the import path, if it is not there; the files in it are trusted no more than they were."""
    if (entry := str(folder)) not in sys.path:
        sys.path.insert(len(sys.path) if last else 0, entry)
        lent.add(entry)


def in_one_line(what: str, call: Callable[[], _T], kind: type[ValueError]) -> _T:
    """Call a user's code; an exception in it becomes one of ``kind`` that says in one line what and where.

    Raises:
        ValueError: of ``kind``; one that the code raises itself goes through as it is.
    """
    try:
        return call()
    except kind:
        raise
    except (Exception, SystemExit) as error:
        raise kind(f"{what}: {one_line(error)}{_where(error)}") from error


def one_line(error: BaseException) -> str:
    """Return an exception as ``Kind: text``, without line breaks."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _where(error: BaseException) -> str:
    """Return the line of the user's own code, not of a library that it called, at which an exception was raised."""
    libraries = (str(Path(__file__).parent), sysconfig.get_path("stdlib"), "site-packages", "<frozen")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(part in f.filename for part in libraries)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
