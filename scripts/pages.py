"""The examples on a page: run, and held against the output that the page shows.

    python scripts/pages.py docs/start.md            runs the page in full and writes down what was printed
    python scripts/pages.py --check docs/start.md    runs it quickly, and says where it prints something else

A page is Markdown. What runs on it, from top to bottom, in an empty folder of its own:

- ``python`` whose first line is a comment with a file's name: saved as that file, for the commands below;
- ``python`` with ``>>>``: a session, held against itself; all sessions of a page are one;
- other ``python``: a script; what it prints stands in the ``text`` below it, if there is one;
- ``sh``: commands, one a line; what they print stands in the ``text`` below them. A line "…" there stands for any lines.

Checking runs long commands with the options of ``QUICK``, and does not run what is in ``SLOW``. Nobody runs what is in ``NOT_RUN``.
Numbers may differ as much as machines make them: see ``same``.
"""

from __future__ import annotations

import argparse
import difflib
import doctest
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: commands that are not run here, each with the reason
NOT_RUN = {
    r"^pip install |^pre-commit install": "installs packages: .ci/run does",
    r"^python3 -m venv |^\. \.venv/": "installs packages: .ci/run does",
    r"^pytest\b": "runs all tests, and so this one",
    r"postgresql://|dask://": "takes several machines: tests/trials starts servers of its own",
    r"^(sphinx-build|ruff|mypy|scripts/|python scripts/)": "is run for itself, by .ci/run or the tests",
}

#: commands, and scripts by their names, that are run in full only, each with the reason
SLOW = {
    r"^python bench/": "measures time or memory for minutes",
    r"^leaky claims": "takes up to a quarter of an hour",
    r"^curing\.py$": "trains twice; tests/test_readme.py runs it, and judges what it comes to",
}

#: by verb, what makes a command quick; its output is then like the one shown in its words alone, see ``labels``
QUICK = {
    "compare": "--seeds 2 --epochs 1 --jobs 1",
    "tune": "--trials 11 --epochs 1 --jobs 1 --no-confirm",
    "bench": "--size 1000 --seconds 0.001",
}


#: commands whose numbers are not compared, each with the reason
LOOSE = {r"^python examples/(curing|gan)\.py": "trains: sums that are rounded otherwise make another training"}


@dataclass
class Block:
    """A fence on a page."""

    language: str
    source: str
    #: the first line of its content, from 0
    line: int
    #: what it prints, by the page
    output: Block | None = None

    @property
    def file(self) -> str | None:
        """The name of the file that it is to be saved as."""
        match = re.match(r"# ([\w/.-]+\.py)\n", self.source)
        return match[1] if match and self.language == "python" else None


def blocks(text: str) -> list[Block]:
    """Return what runs on a page, each with the output that stands below it.

    Raises:
        ValueError: there is an output of nothing, or a fence in a language that is not known.
    """
    found: list[Block] = []
    for match in re.finditer(r"^(`{3,})([^\n`]*)\n(.*?)^\1$", text, re.MULTILINE | re.DOTALL):
        block = Block(match[2].strip(), match[3], text.count("\n", 0, match.start(3)))
        if block.language == "text":
            if not found or found[-1].output:
                raise ValueError(f"line {block.line}: an output of nothing")
            found[-1].output = block
        elif block.language in ("python", "sh"):
            found.append(block)
        elif not block.language.startswith("{"):
            raise ValueError(f"line {block.line}: {block.language!r}; expected python, sh or text")
    return found


def commands(block: Block) -> list[str]:
    """Return the commands of a ``sh`` block, comments and continued lines apart."""
    lines = re.sub(r"\\\n\s*", "", block.source).splitlines()
    return [part for line in lines if line and not line.startswith("#") for part in line.split(" && ")]


def not_run(command: str, *, quick: bool) -> str | None:
    """Return why a command is not run; None if it is."""
    reasons = NOT_RUN | (SLOW if quick else {})
    return next((reason for pattern, reason in reasons.items() if re.search(pattern, command)), None)


class Page:
    """A page in a folder where what it runs finds the project's examples, and nothing else."""

    def __init__(self, path: Path, folder: Path, *, quick: bool) -> None:
        self.path, self.folder, self.quick = path, folder, quick
        self.text = path.read_text("utf-8")
        self.session: dict[str, object] = {}
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / "bench").symlink_to(ROOT / "bench")
        # Pictures that the pages show are made by commands on them.
        (folder / "docs").mkdir() if quick else (folder / "docs").symlink_to(ROOT / "docs")

    def run(self) -> list[str]:
        """Run all blocks; return what is wrong, or, in full, write down what they printed."""
        complaints = []
        for block in reversed(self._run_all(complaints)):
            assert block.output is not None
            lines = self.text.splitlines(keepends=True)
            end = block.output.line + block.output.source.count("\n")
            lines[block.output.line : end] = [block.source]
            self.text = "".join(lines)
        if not self.quick:
            self.path.write_text(self.text, "utf-8")
        return complaints

    def _run_all(self, complaints: list[str]) -> list[Block]:
        """Run the blocks in order; return those whose output changed, as blocks of the new output."""
        changed = []
        with chdir(self.folder):
            for block in blocks(self.text):
                try:
                    printed, compare = self._run(block)
                except Exception as error:  # noqa: BLE001 - whatever an example does wrong is a complaint
                    complaints.append(f"{self.path.name}:{block.line}: {type(error).__name__}: {error}")
                    continue
                if block.output is None or printed is None:
                    continue
                shown = block.output.source
                if wrong := compare(printed, shown):
                    if self.quick or "\n…\n" in f"\n{shown}":
                        complaints.append(f"{self.path.name}:{block.output.line}: printed otherwise\n{wrong}")
                    else:
                        tidy = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
                        changed.append(Block("text", tidy, 0, block.output))
        return changed

    def _run(self, block: Block) -> tuple[str | None, Callable[[str, str], str]]:
        """Run a block; return what it printed, or None if it did not run, and how to compare that with what is shown."""
        if block.language == "sh":
            ran = [self._command(command) for command in commands(block)]
            printed = [text for text in ran if text is not None]
            return ("".join(printed) if printed else None), self._comparison(commands(block))
        if ">>>" in block.source:
            self._hold_session(block)
            return None, different
        name = block.file or f"example_{block.line}.py"
        Path(name).write_text(block.source)
        if (block.file and block.output is None) or not_run(name, quick=self.quick):
            return None, different
        return self._script(name), different

    def _comparison(self, run: list[str]) -> Callable[[str, str], str]:
        if self.quick and any(shlex.split(command)[:2] == ["leaky", verb] for command in run for verb in QUICK):
            return unlike
        if self.quick and any(re.search(pattern, command) for command in run for pattern in LOOSE):
            return lambda printed, shown: different(_NUMBER.sub("#", printed), _NUMBER.sub("#", shown))
        return different

    def _hold_session(self, block: Block) -> None:
        test = doctest.DocTestParser().get_doctest(block.source, self.session, self.path.name, None, block.line)
        said = io.StringIO()
        if doctest.DocTestRunner(verbose=False).run(test, out=said.write, clear_globs=False).failed:
            raise ValueError(said.getvalue())
        self.session.update(test.globs)

    def _command(self, command: str) -> str | None:
        if not_run(command, quick=self.quick):
            return None
        words = shlex.split(command, comments=True)
        if words[0] == "leaky":
            return self._leaky(words[1:])
        if words[0] == "python" and Path(words[1]).exists() and not words[1].startswith("bench/"):
            return self._script(*words[1:])
        own = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run(command, shell=True, check=True, capture_output=True, text=True, env=own).stdout

    def _leaky(self, words: list[str]) -> str:
        from leaky.cli import main

        if self.quick and words[0] in QUICK:
            words = [*_without_sizes(words), *shlex.split(QUICK[words[0]])]
        with redirect_stdout(io.StringIO()) as printed, redirect_stderr(printed):  # as on a terminal
            code = main(words)
        # A check that finds something says so by its code.
        if code != 0 and (words[0], code) != ("check", 1):
            raise ValueError(f"leaky {shlex.join(words)} ended with exit code {code}:\n{printed.getvalue()}")
        return printed.getvalue()

    def _script(self, name: str, *arguments: str) -> str:
        given, sys.argv = sys.argv, [name, *arguments]
        sys.path.insert(0, str(Path(name).parent.absolute()))
        try:
            with redirect_stdout(io.StringIO()) as printed:
                runpy.run_path(name, run_name="__main__")
        finally:
            sys.argv = given
            del sys.path[0]
        return printed.getvalue()


def _without_sizes(words: list[str]) -> list[str]:
    return [word for before, word in zip(["", *words], words, strict=False) if "--size" not in (before, word)]


_NUMBER = re.compile(r"(?<![\w.])[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")
_MEASURED = re.compile(r"[\d.,]+ ?(?:ns|µs|ms|s|seconds|KiB|MiB|GiB)\b")


def same(printed: str, shown: str) -> bool:
    """Return whether two lines are the same but for what depends on the machine.

    That is times and sizes of memory, the last digits of numbers with a point, by 2 %, and the spaces that these take.
    """
    if printed.rstrip() == shown.rstrip():
        return True
    printed, shown = (_MEASURED.sub("measured", line) for line in (printed, shown))
    if _NUMBER.sub("#", printed).split() != _NUMBER.sub("#", shown).split():
        return False
    return all(map(_near, _NUMBER.findall(printed), _NUMBER.findall(shown)))


def _near(printed: str, shown: str) -> bool:
    a, b = (float(text.replace(",", "").replace("−", "-")) for text in (printed, shown))
    last = 10.0 ** -max(len(text.partition(".")[2]) for text in (printed, shown))
    return a == b or ("." in shown and abs(a - b) <= max(0.02 * abs(b), 1.01 * last))


def different(printed: str, shown: str) -> str:
    """Return how what was printed differs from what is shown, in which a line "…" stands for any lines; "" if it does not."""
    left = [line.rstrip() for line in printed.splitlines()]
    parts = [part.splitlines() for part in re.split(r"^…\n", shown, flags=re.MULTILINE)]
    for place, part in enumerate(parts):
        first, last = place == 0, place == len(parts) - 1
        starts = range(len(left) - len(part) + 1) if not first else [0]
        starts = [len(left) - len(part)] if last and not first and part else starts
        start = next((s for s in starts if s >= 0 and _alike(left[s : s + len(part)], part)), None)
        if start is None:
            return "\n".join(difflib.unified_diff(part, left, "shown", "printed", lineterm=""))
        left = left[start + len(part) :]
    rest = left if parts[-1] or len(parts) == 1 else []
    return "\n".join(["printed, and not shown:", *rest]) if rest else ""


def _alike(printed: list[str], shown: list[str]) -> bool:
    return len(printed) == len(shown) and all(map(same, printed, shown))


def labels(text: str) -> list[str]:
    """Return the first words of the rows of numbers, and of the first line: what a quick run has in common with the full one."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    numbers = [[bool(_NUMBER.fullmatch(word)) for word in words] for words in lines]
    rows = [words[0] for words, n in zip(lines, numbers, strict=True) if sum(n) > 1 and (n[1] or n[-1]) and not n[0]]
    return [lines[0][0], *rows] if lines else []


def unlike(printed: str, shown: str) -> str:
    """Return which labels of what is shown were not printed by a quick run; "" if none."""
    missing = [label for label in labels(shown.partition("On fresh seeds")[0]) if label not in printed]
    return f"not printed: {missing}\n{printed}" if missing else ""


def main() -> int:
    """Run the pages that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="run quickly, and compare")
    given = parser.parse_args()
    os.environ["COLUMNS"] = "80"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    complaints = []
    for path in given.pages:
        before = set(sys.modules)
        with tempfile.TemporaryDirectory() as folder:
            complaints += Page(path.absolute(), Path(folder), quick=given.check).run()
            for name in set(sys.modules) - before:  # the next page may have another file of that name
                if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
                    del sys.modules[name]
    print(*complaints, sep="\n\n", end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
