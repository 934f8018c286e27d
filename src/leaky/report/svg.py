"""A figure as a file, and as SVG that follows the page it stands on into dark mode and into print."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure

from leaky.files import write_atomically
from leaky.report.look import COLOURS, style

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
FORMATS = ("svg", "png", "pdf")

_VARIABLES = {light: f"var(--{name})" for name, (light, _) in COLOURS.items()}


def variable(colour: str) -> str:
    """Return the CSS variable that stands for a light colour."""
    return _VARIABLES[colour]


def variables(scheme: str) -> str:
    """Return the colours of the ``light`` or ``dark`` scheme as CSS declarations."""
    return "; ".join(f"--{name}: {pair[scheme == 'dark']}" for name, pair in COLOURS.items())


def inline(figure: Figure, prefix: str) -> str:
    """Return the figure as an SVG element for a page that defines the ``variables``.

    Every id begins with ``prefix``, so that those of several figures on one page differ.
    """
    root = _tidy(figure, prefix)
    del root.attrib["width"], root.attrib["height"]
    return ElementTree.tostring(root, encoding="unicode")


def standalone(figure: Figure) -> str:
    """Return the figure as the text of an SVG file, legible on light and dark pages."""
    root = _tidy(figure, "leaky")
    root.set("xmlns", "http://www.w3.org/2000/svg")
    root.set("font-family", FONT)
    sheet = ElementTree.Element("style")
    dark = f"@media (prefers-color-scheme: dark) {{ svg {{ {variables('dark')} }} }}"
    sheet.text = f"svg {{ {variables('light')} }} {dark}"
    root.insert(0, sheet)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure atomically; the suffix of the path (``.svg``, ``.png``, ``.pdf``) decides on the format.

    Raises:
        ValueError: another suffix.
        OSError: the file cannot be written.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise ValueError(f"path: {os.fspath(path)!r} is not a picture; expected a name ending in .svg, .png or .pdf")
    if suffix == "svg":
        write_atomically(path, standalone(figure))
    else:
        # No date and no version, so that the same figure gives the same bytes.
        nameless = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
        write_atomically(path, _drawn(figure, suffix, nameless[suffix]))


def _drawn(figure: Figure, suffix: str, metadata: dict[str, None]) -> bytes:
    stream = io.BytesIO()
    with style(), _any_script():
        figure.savefig(stream, format=suffix, dpi=200, metadata=metadata)
    return stream.getvalue()


@contextmanager
def _any_script() -> Iterator[None]:
    """Say nothing of letters that matplotlib's font lacks: in SVG the reader's fonts draw them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def _tidy(figure: Figure, prefix: str) -> ElementTree.Element:
    """Return matplotlib's SVG with colours as variables, the page's font, and no ids but those it refers to."""
    drawn = _drawn(figure, "svg", dict.fromkeys(("Date", "Creator", "Format", "Type")))
    root = ElementTree.fromstring(drawn)
    for element in list(root.iter()):
        element.tag = element.tag.rpartition("}")[2]
        # "xlink:href" has been plain "href" since SVG 2.
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        element.tail = None
        if element.tag != "text":
            element.text = None
        _recolour(element)
    for child in list(root):
        # matplotlib's style sheet would hold for the whole page.
        if child.tag == "metadata" or child.find("style") is not None:
            root.remove(child)
    _rename(root, prefix)
    root.attrib.update({"role": "img", "aria-label": str(figure.get_label()), "stroke-linejoin": "round"})
    return root


def _recolour(element: ElementTree.Element) -> None:
    """Move each property of the style attribute into one of its own; colours stay in the style as variables too.

    A program that knows no CSS variables drops those and uses the attribute, which is the light colour.
    """
    for declaration in filter(None, element.attrib.pop("style", "").split(";")):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font-family":
            continue
        if name == "font":  # so matplotlib wrote it before 3.10: "bold 10px 'DejaVu Sans', …"
            *weight, size = value.partition("px")[0].split()
            element.attrib |= {"font-size": f"{size}px"} | ({"font-weight": weight[-1]} if weight else {})
            continue
        if name.startswith("image-rendering"):
            element.set("style", f"{element.get('style', '')}{name}: {value};")
            continue
        element.set(name, value)
        if value in _VARIABLES:
            element.set("style", f"{element.get('style', '')}{name}: {_VARIABLES[value]};")


_REFERENCE = re.compile(r"#([\w.-]+)")


def _rename(root: ElementTree.Element, prefix: str) -> None:
    """Give the ids that something refers to new names, numbered behind ``prefix``, and drop the others."""
    referring = [
        (element, name)
        for element in root.iter()
        for name, value in element.attrib.items()
        if (name == "href" and value.startswith("#")) or value.startswith("url(#")
    ]
    new: dict[str, str] = {}
    for element, name in referring:
        match = _REFERENCE.search(element.attrib[name])
        assert match is not None
        old = match[1]
        new.setdefault(old, f"{prefix}-{len(new)}")
        element.set(name, element.attrib[name].replace(f"#{old}", f"#{new[old]}"))
    for element in root.iter():
        old = element.attrib.pop("id", "")
        if old in new:
            element.set("id", new[old])
