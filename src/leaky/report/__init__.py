"""Plots and pages from what the tools return.

What draws a comparison is loaded when first asked for, because the comparison needs PyTorch and the function does not.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaky.checkup.result import Check
from leaky.files import write_atomically
from leaky.report.function import function_figure
from leaky.report.svg import save

if TYPE_CHECKING:
    from leaky.comparison import Comparison
    from leaky.report.check_page import render_check
    from leaky.report.page import render_html
    from leaky.report.summary import summary_figure

__all__ = ["function_figure", "render_check", "render_html", "save", "summary_figure", "write_report"]

_LAZY = {
    "render_check": "leaky.report.check_page",
    "render_html": "leaky.report.page",
    "summary_figure": "leaky.report.summary",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'leaky.report' has no attribute {name!r}")


def write_report(result: Comparison | Check, path: str | Path, *, command: str = "") -> None:
    """Write the report of a comparison or a check, whole or not at all.

    Args:
        result: what :func:`leaky.compare` or :func:`leaky.check` returned.
        path: an ``.html`` file; or, for a comparison, ``.svg``, ``.png`` or ``.pdf`` for its summary picture.
        command: the command line that repeats it, to be shown in the report.

    Raises:
        ValueError: another suffix.
        OSError: the file cannot be written.
    """
    is_page = Path(path).suffix.lower() == ".html"
    if isinstance(result, Check):
        if not is_page:
            raise ValueError(f"path: {str(path)!r}; expected a name that ends in .html")
        from leaky.report.check_page import render_check

        write_atomically(path, render_check(result, command=command))
    elif is_page:
        from leaky.report.page import render_html

        write_atomically(path, render_html(result, command=command))
    else:
        from leaky.report.summary import summary_figure

        save(summary_figure(result), path)
