"""Which of leaky's extras to install for a package that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# By package; the extra of what most people install has all others.
_EXTRAS = {
    "jax": "jax",
    "jaxlib": "jax",
    "onnx": "onnx",
    "onnx_ir": "onnx",
    "onnxruntime": "onnx",
    "ml_dtypes": "peers",
    "numba": "peers",
    "numexpr": "peers",
    "distributed": "cluster",
    "psycopg": "cluster",
}
_USUAL = "torch"


class MissingPackageError(ModuleNotFoundError):
    """A package that is not installed; the text says in one line what needs it, and how to install it."""


@contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Tell of any package that is found missing that this needs it.

    Raises:
        MissingPackageError: there is one, which is no module of leaky's own.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "leaky").partition(".")[0]
        if package == "leaky":
            raise
        extra = _EXTRAS.get(package, _USUAL)
        raise MissingPackageError(f"{what} needs {package}: pip install 'leaky[{extra}]'", name=error.name) from error
