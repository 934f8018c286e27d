"""From a template to a page that asks nobody for anything."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from leaky.report import svg, words
from leaky.report.look import DEAD


def render(template: str, **values: Any) -> str:
    """Return the page of a template; every value that is not Markup is escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("leaky.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = words.plain
    environment.globals |= {
        "words": words,
        "light": Markup(svg.variables("light")),
        "dark": Markup(svg.variables("dark")),
        "font": Markup(svg.FONT),
        "dead_colour": DEAD,
    }
    return environment
