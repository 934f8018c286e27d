"""Plots and pages from what the tools return.

What draws is loaded when first asked for: it takes time, and what draws a comparison needs PyTorch too.
"""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from leaky.checkup.result import Check
from leaky.files import write_atomically

if TYPE_CHECKING:
    from leaky.claims import Claims
    from leaky.comparison import Comparison
    from leaky.report.check.page import render_check
    from leaky.report.claims.page import render_claims
    from leaky.report.comparison.page import render_html
    from leaky.report.comparison.summary import summary_figure
    from leaky.report.function import function_figure
    from leaky.report.svg import save
    from leaky.report.tuning.page import render_tuning
    from leaky.tuning import Tuning

__all__ = [
    "function_figure",
    "render_check",
    "render_claims",
    "render_html",
    "render_tuning",
    "save",
    "summary_figure",
    "write_report",
]

_LAZY = {
    "function_figure": "leaky.report.function",
    "render_check": "leaky.report.check.page",
    "render_claims": "leaky.report.claims.page",
    "render_html": "leaky.report.comparison.page",
    "render_tuning": "leaky.report.tuning.page",
    "save": "leaky.report.svg",
    "summary_figure": "leaky.report.comparison.summary",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'leaky.report' has no attribute {name!r}")


def write_report(
    result: Comparison | Check | Tuning | Claims, path: str | Path, *, command: str = "", then: str = ""
) -> None:
    """Write the report of a comparison, a check, a tuning or on claims, whole or not at all.

    Args:
        result: what :func:`leaky.compare`, :func:`leaky.check`, :func:`leaky.tune` or :func:`leaky.claims.run` returned.
        path: an ``.html`` file; or, for a comparison, ``.svg``, ``.png`` or ``.pdf`` for its summary picture.
        command: the command line that repeats it, to be shown in the report.
        then: of a check, the command line that converts its network, to be shown as well.

    Raises:
        TypeError: the result is none of these.
        ValueError: another suffix.
        OSError: the file cannot be written.
    """
    is_page = Path(path).suffix.lower() == ".html"
    if isinstance(result, Check):
        from leaky.report.check.page import render_check

        page = partial(render_check, result, then=then)
    elif type(result).__name__ == "Tuning":  # whose class takes long to load
        from leaky.report.tuning.page import render_tuning

        page = partial(render_tuning, cast("Tuning", result))
    elif type(result).__name__ == "Claims":
        from leaky.report.claims.page import render_claims

        page = partial(render_claims, cast("Claims", result))
    elif type(result).__name__ != "Comparison":
        expected = "expected what leaky.check, leaky.compare, leaky.tune or leaky.claims.run returned"
        raise TypeError(f"result: {type(result).__name__}; {expected}")
    else:
        from leaky.report.comparison.page import render_html
        from leaky.report.comparison.summary import summary_figure
        from leaky.report.svg import save

        comparison = cast("Comparison", result)
        page = partial(render_html, comparison)
        if not is_page:
            save(summary_figure(comparison), path)
            return
    if not is_page:
        raise ValueError(f"path: {str(path)!r}; expected a name that ends in .html")
    write_atomically(path, page(command=command))
