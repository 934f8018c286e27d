"""What pages take from the code, so that each fact stands in one place: a Sphinx extension.

A fence ``{made} KIND ARGUMENT`` becomes Markdown before the page is parsed:

- ``{made} options VERB``: the arguments and options of ``leaky VERB``;
- ``{made} rules``: what ``leaky check`` looks for, and what to do about it;
- ``{made} statements``: what is said of Leaky ReLU, how it is tested, and what others found;
- ``{made} modules``: each file of the core and of the package in its own first sentence.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.ext.napoleon import GoogleDocstring

if TYPE_CHECKING:
    from leaky.claims.statement import Statement

ROOT = Path(__file__).parents[1]
PACKAGE, CORE = ROOT / "src" / "leaky", ROOT / "src" / "core"


def options(verb: str) -> str:
    """Return the arguments and options of a command, with what its ``--help`` says."""
    import typer.main

    from leaky.cli import app

    command: Any = typer.main.get_command(app)
    lines = []
    for parameter in command.commands[verb].params:
        names = ", ".join(f"`{name}`" for name in parameter.opts) if parameter.opts[0].startswith("-") else ""
        names = names or f"`{parameter.name.upper()}`"
        if parameter.secondary_opts:
            names += f" or `{parameter.secondary_opts[0]}`"
        lines.append(f"{names}\n: {_escaped(parameter.help)}{_default(parameter)}\n")
    return "\n".join(lines)


def _default(parameter: Any) -> str:
    told = parameter.default in (None, False, True) or callable(parameter.default) or "(default:" in parameter.help
    return (
        ""
        if told or parameter.required or not parameter.opts[0].startswith("-")
        else f" (default: {parameter.default})"
    )


def rules(_: str) -> str:
    """Return a section for each rule: what is found, and what to do."""
    from leaky.checkup.rules import RULES

    parts = []
    for rule in sorted(RULES, key=lambda rule: rule.code):
        what = " ".join((type(rule).__doc__ or "").partition("\n\n")[0].split())
        title = f"({rule.code.lower()})=\n### {rule.code}: {rule.title}"
        parts.append(f"{title}\n\n{_escaped(what)}\n\n**What to do.** {_escaped(rule.remedy)}\n")
    return "\n".join(parts)


def statements(_: str) -> str:
    """Return a section for each statement, with its recipe, its criterion and what others found."""
    from leaky.claims.registry import EXPERIMENTS

    return "\n".join(_statement(experiment.statement) for experiment in EXPERIMENTS.values())


def _statement(said: Statement) -> str:
    how = {"Tested": said.recipe, "Criterion": said.criterion} if said.how == "test" else {}
    others = [(f"Published, {found.side}", f"{found.finding} ({found.reference})") for found in said.published]
    points = "".join(f"- **{name}.** {_escaped(text)}\n" for name, text in [*how.items(), *others])
    return f"({said.id.lower()})=\n### {said.id}\n\n{_escaped(said.text)}\n\n{points}"


def modules(_: str) -> str:
    """Return a section for the core and for each folder of the package, with each file in its own first sentence."""
    return "\n".join(
        f"## {folder}\n\n" + "\n".join(f"`{name}`\n: {sentence}\n" for name, sentence in files)
        for folder, files in outline().items()
    )


def outline() -> dict[str, list[tuple[str, str]]]:
    """Return, by folder, each file with the first sentence of its docstring, or, in C++, of its first comment."""
    found = {"src/core": list(_core()), "src/leaky": []}
    for path in sorted(PACKAGE.rglob("*.py")):
        folder, _, name = path.relative_to(PACKAGE).as_posix().rpartition("/")
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        found.setdefault("/".join(filter(None, ("src/leaky", folder))), []).append((name, _first(text)))
    return found


def _core() -> Iterator[tuple[str, str]]:
    files = sorted(path for path in CORE.iterdir() if path.suffix in (".h", ".cpp"))
    for stem in dict.fromkeys(path.stem for path in files):
        said = {path.name: _first(_comment(path.read_text("utf-8"))) for path in files if path.stem == stem}
        if not all(said.values()):  # then the header speaks for both
            said = {", ".join(reversed(said)): "".join(said.values())}
        yield from said.items()


def _comment(text: str) -> str:
    beginning = re.match(r"(//.*\n)+", text)
    return re.sub(r"^// ?", "", beginning[0], flags=re.MULTILINE) if beginning else ""


def _first(text: str) -> str:
    """Return the first sentence."""
    return re.split(r"(?<=[a-z)][.?!])(?<! al\.) ", " ".join(text.split("\n\n")[0].split()))[0]


def _escaped(text: str) -> str:
    """Return the text with nothing in it that Markdown would take for markup, and options as code."""
    return re.sub(r"(?<![\w`-])--[\w-]+", r"`\g<0>`", re.sub(r"([\\*_\[\]<>$~^])", r"\\\1", text))


MAKERS: dict[str, Callable[[str], str]] = {
    "options": options,
    "rules": rules,
    "statements": statements,
    "modules": modules,
}


def _make(_app: Any, _page: str, source: list[str]) -> None:
    source[0] = re.sub(
        r"^```\{made\} (\w+) ?(\S*)\n```$", lambda made: MAKERS[made[1]](made[2]), source[0], flags=re.MULTILINE
    )


def _draw(_app: Any) -> None:
    """Draw the pictures that need no measuring, where the pages look for them."""
    from leaky.report import function_figure, save

    folder = ROOT / "docs" / "made"
    folder.mkdir(exist_ok=True)
    save(function_figure(0.05), folder / "leaky-relu.svg")


def _adapt_pictures(_app: Any, tree: nodes.document) -> None:
    """Let SVG pictures follow the page into the dark by themselves: the theme would put a white sheet under them."""
    for image in tree.findall(nodes.image):
        if image["uri"].endswith(".svg"):
            image["classes"].append("dark-light")


def _name_aliases(_app: Any, _what: str, _name: str, _object: Any, _options: Any, signature: str, returns: str) -> Any:
    """Name types by their aliases in unions too, where Sphinx shows its own object for them."""
    named = [re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text or "") for text in (signature, returns)]
    return tuple(text or None for text in named)


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx."""
    # The comment at an attribute is text, also where it has a colon; before that napoleon expects a type.
    GoogleDocstring._parse_attribute_docstring = lambda docstring: docstring._consume_to_end()
    app.connect("builder-inited", _draw)
    app.connect("source-read", _make)
    app.connect("autodoc-process-signature", _name_aliases)
    app.connect("doctree-read", _adapt_pictures)
    return {"parallel_read_safe": True}
