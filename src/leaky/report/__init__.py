"""Plots and pages from what the tools return.

What draws a comparison is loaded when first asked for, because the comparison needs PyTorch and the function does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaky.report.function import function_figure
from leaky.report.svg import save

if TYPE_CHECKING:
    from leaky.report.page import render_html
    from leaky.report.summary import summary_figure

__all__ = ["function_figure", "render_html", "save", "summary_figure"]


def __getattr__(name: str) -> Any:
    if name == "render_html":
        from leaky.report.page import render_html

        return render_html
    if name == "summary_figure":
        from leaky.report.summary import summary_figure

        return summary_figure
    raise AttributeError(f"module 'leaky.report' has no attribute {name!r}")
