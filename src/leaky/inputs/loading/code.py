"""What a user names in code of theirs: ``file.py:name`` or ``package.module:name``."""

from __future__ import annotations

import importlib
import re
import sys
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from leaky.inputs.loading.problem import LoadingError, existing, quoted
from leaky.user_code import in_one_line, lend, lent, run_file
from leaky.wording import listing

_SPEC = re.compile(r"(?P<where>.+\.py|[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")

_MOST_NAMES = 8


def is_code(spec: str) -> bool:
    """Return whether a text has the form ``file.py:name`` or ``package.module:name``."""
    return _SPEC.fullmatch(spec) is not None


class Named(NamedTuple):
    """What a text names."""

    #: for messages
    what: str
    thing: Any
    module: ModuleType


def named(argument: str, spec: str, trust: bool) -> Named:
    """Return what the text names. This runs the file, or imports the module.

    Args:
        argument: for messages, ``"model"``, ``"network"``, ``"data"`` or ``"task"``.
        spec: a text of which :func:`is_code` is true.
        trust: run a file that lies outside the import path; and look for modules in the current folder too.

    Raises:
        LoadingError: there is no such file, module or name, it fails, or it would need trust.
    """
    match = _SPEC.fullmatch(spec)
    assert match is not None
    where, name = match["where"], match["name"]
    load = _from_file if where.endswith(".py") else _from_import_path
    module = load(argument, where, trust)
    if not hasattr(module, name):
        raise LoadingError(f"{argument}: {where!r} defines no {name!r}; expected {_names(module)}")
    return Named(f"{argument}: {name!r} of {where!r}", getattr(module, name), module)


def _names(module: ModuleType) -> str:
    """Return what is said of the names that a module defines, some of them if there are many."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", None) in (None, module.__name__)
    ]
    return "one of its names" + (f", such as {listing(own[:_MOST_NAMES])}" if own else "")


def _from_file(argument: str, where: str, trust: bool) -> ModuleType:
    path = existing(argument, where, "a Python file").resolve()
    if not trust and not _importable(path):
        raise LoadingError(
            f"{argument}: {where!r} would be run, and is not on the import path; expected --trust with it"
        )
    stat = path.stat()
    return in_one_line(
        f"{argument}: {where!r} failed", partial(_run, path, stat.st_mtime_ns, stat.st_size), LoadingError
    )


@lru_cache(maxsize=8)
def _run(path: Path, _changed: int, _size: int) -> ModuleType:
    """Run a file once while it stays the same: model and data often stand in one."""
    return run_file(path)


def _importable(path: Path) -> bool:
    """Return whether Python would find the file by ``import``, had no file been trusted before."""
    return _outermost(path) in {Path(entry).resolve() for entry in sys.path if entry not in lent}


def _outermost(path: Path) -> Path | None:
    """Return the folder that has to be on the import path for the file to be found, maybe in a package."""
    return next((folder for folder in path.parents if not (folder / "__init__.py").is_file()), None)


def _from_import_path(argument: str, where: str, trust: bool) -> ModuleType:
    if trust:
        lend(Path.cwd(), last=True)
    what = f"{argument}: the module {quoted(where)}"
    if not trust and in_one_line(f"{what} cannot be found", partial(_lies_in_lent, where), LoadingError):
        raise LoadingError(f"{what} would be run, and is not on the import path; expected --trust with it")
    return in_one_line(f"{what} cannot be imported", partial(importlib.import_module, where), LoadingError)


def _lies_in_lent(module: str) -> bool:
    """Return whether a module would be found only for a file that was trusted before. Nothing is imported for it."""
    top = module.partition(".")[0]
    spec = sys.modules[top].__spec__ if top in sys.modules else find_spec(top)
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    paths = [Path(place).resolve() for place in places if place]
    return any(str(_outermost(path)) in lent and not _importable(path) for path in paths)
