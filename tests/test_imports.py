"""The house rules about imports, read from the source, and what ``import leaky`` loads."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import leaky

PACKAGE = Path(leaky.__file__).parent

# Data flows one way: a part of the package imports from parts to its left, and from itself.
ORDER = [
    {"_core", "definition", "extras", "files", "flat", "stopping", "user_code", "wording"},
    {"function", "exact_sum"},
    {"evidence"},
    {"torch", "jax", "onnx"},
    {"activation", "benchmark"},
    {"inputs"},
    {"checkup"},
    {"conversion", "revival"},
    {"trials"},
    {"comparison"},
    {"tuning"},
    {"claims"},
    {"report"},
    {"__init__"},  # `import leaky` reaches everything, by its lazy table: for the command line alone
    {"cli"},
    {"__main__"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}

# Parts that need nothing but NumPy.
BARE = {
    "_core",
    "definition",
    "extras",
    "files",
    "flat",
    "stopping",
    "user_code",
    "wording",
    "function",
    "exact_sum",
    "evidence",
    "__init__",
}

# Frameworks, each with the parts that may load it as soon as they are loaded themselves: its adapter, and what trains.
FRAMEWORKS = {
    "torch": {"torch", "inputs", "checkup", "conversion", "revival", "trials", "claims"},
    "jax": {"jax"},
    "onnx": {"onnx"},
    "onnx_ir": {"onnx"},
    "onnxruntime": {"onnx"},
    "lightning": {"torch"},
    "pytorch_lightning": {"torch"},
    "transformers": {"torch"},
}

HEAVY = {
    *FRAMEWORKS,
    "jinja2",
    "joblib",
    "matplotlib",
    "ml_dtypes",
    "mlxtend",
    "mnist1d",
    "optuna",
    "pandas",
    "rich",
    "scipy",
    "sklearn",
    "typer",
}


@dataclass(frozen=True)
class Import:
    """One import: the dotted name, and whether it happens as soon as its module is loaded, or for type checkers only."""

    target: str
    line: int
    at_once: bool
    typing_only: bool


def imports(source: str, package: str = "leaky") -> list[Import]:
    """Return all imports of a module that lies in ``package``."""
    return list(_imports(ast.parse(source), package, at_once=True, typing_only=False))


def _imports(node: ast.AST, package: str, at_once: bool, typing_only: bool) -> Iterator[Import]:
    for target in _targets(node, package):
        yield Import(target, getattr(node, "lineno", 0), at_once, typing_only)
    inside = at_once and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    guarded = node.body if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING") else []
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, package, inside, typing_only or child in guarded)


def _targets(node: ast.AST, package: str) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            return [f"{origin}.{alias.name}" for alias in node.names]
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            return [name]
    return []


def part_of(dotted: str) -> str:
    """Return the part of the package that an import of ours reaches: ``leaky.trials.task.Task`` → ``trials``."""
    _, name, *_ = [*dotted.split("."), ""]
    return name if name in RANK else "__init__"


def violations(part: str, source: str, package: str = "leaky") -> list[str]:
    """Return what breaks the rules in a module of this part, one line each."""
    if part not in RANK:
        return [f"{part} has no place in the order"]
    found = []
    for item in imports(source, package):
        root = item.target.split(".")[0]
        if root == "leaky":
            other = part_of(item.target)
            if part not in ("__init__", other) and RANK[other] >= RANK[part]:
                found.append(f"line {item.line}: {part} imports {other}, which does not stand to its left")
        elif item.typing_only:
            continue
        elif part in BARE and root not in {*sys.stdlib_module_names, "numpy"}:
            found.append(f"line {item.line}: {part} imports {root}, and needs nothing but NumPy")
        elif item.at_once and part not in FRAMEWORKS.get(root, {part}):
            found.append(f"line {item.line}: {part} imports {root} as soon as it is loaded")
    return found


MODULES = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_house_rules(path: Path) -> None:
    inner = path.relative_to(PACKAGE)
    package = ".".join(["leaky", *inner.parts[:-1]])
    part = inner.parts[0].split(".")[0]
    assert violations(part, path.read_text("utf-8"), package) == []


def test_there_is_something_to_read() -> None:
    assert {"function.py", "definition.py"} <= {path.name for path in MODULES}


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("function", "from leaky import definition, _core"),
        ("function", "import numpy as np, math"),
        ("trials", "from leaky.trials.task import Task"),
        ("trials", "from . import task"),
        ("trials", "import torch"),
        ("torch", "import torch.nn.functional as F"),
        ("activation", "def f():\n    import torch\n    from leaky.torch import LeakyReLU"),
        ("activation", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("comparison", "import scipy.stats"),
        ("cli", "from leaky import __version__\nfrom leaky.report import save"),
        ("__init__", "from leaky import torch"),
        ("__main__", "from leaky.cli import main"),
    ],
)
def test_what_is_allowed(part: str, source: str) -> None:
    assert violations(part, source, f"leaky.{part}") == []


@pytest.mark.parametrize(
    ("part", "source", "complaint"),
    [
        ("definition", "from leaky import _core", "line 1: definition imports _core, which does not stand to its left"),
        ("function", "import leaky.torch", "line 1: function imports torch, which does not stand to its left"),
        ("function", "from leaky import torch", "line 1: function imports torch, which does not stand to its left"),
        ("function", "def f():\n    from leaky.trials import Task", "line 2: function imports trials, which"),
        (
            "function",
            "try:\n    import torch\nexcept ImportError:\n    pass",
            "line 2: function imports torch, and needs",
        ),
        ("function", "def f():\n    import scipy", "line 2: function imports scipy, and needs nothing but NumPy"),
        ("torch", "from leaky.jax import leaky_relu", "line 1: torch imports jax, which does not stand to its left"),
        ("torch", "import jax", "line 1: torch imports jax as soon as it is loaded"),
        ("trials", "from leaky import compare", "line 1: trials imports __init__, which does not stand"),
        ("trials", "import leaky", "line 1: trials imports __init__, which does not stand"),
        ("trials", "from ..comparison import compare", "line 1: trials imports comparison, which does not stand"),
        ("trials", "from .. import report", "line 1: trials imports report, which does not stand"),
        ("trials", "import importlib\nimportlib.import_module('leaky.cli')", "line 2: trials imports cli, which"),
        ("trials", "if TYPE_CHECKING:\n    from leaky.report import page", "line 2: trials imports report, which"),
        ("comparison", "class A:\n    import torch", "line 2: comparison imports torch as soon as it is loaded"),
        ("comparison", "if TYPE_CHECKING:\n    pass\nelse:\n    import torch", "line 4: comparison imports torch as"),
        ("report", "from leaky import cli", "line 1: report imports cli, which does not stand to its left"),
        ("newcomer", "", "newcomer has no place in the order"),
    ],
)
def test_what_is_caught(part: str, source: str, complaint: str) -> None:
    (found,) = violations(part, source, f"leaky.{part}")
    assert found.startswith(complaint)


def loaded_by(statement: str) -> set[str]:
    """Return the heavy packages that a fresh Python has loaded after the statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    return HEAVY & set(done.stdout.split())


def test_import_leaky_loads_nothing_heavy() -> None:
    assert loaded_by("import leaky; leaky.leaky_relu(-1.0); dir(leaky); leaky.__version__") == set()


def test_parts_are_there_by_their_documented_names() -> None:
    """Whatever is loaded already: so each in a Python of its own."""
    api = (Path(__file__).parents[1] / "docs" / "api.md").read_text("utf-8")
    parts = {name for name in re.findall(r"\bleaky\.(\w+)", api) if name in RANK}
    assert {"checkup", "revival", "torch"} <= parts
    for part in sorted(parts):
        subprocess.run([sys.executable, "-c", f"import leaky; leaky.{part}"], check=True, timeout=120)


def test_the_report_loads_nothing_that_draws() -> None:
    assert not {"matplotlib", "scipy", "torch"} & loaded_by("import leaky.report.check.terminal")


def test_the_command_line_takes_charge_of_ctrl_c_before_it_loads_anything() -> None:
    code = "import sys, leaky.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert not {"numpy", "typer", "leaky.cli"} & set(done.stdout.split())


def test_the_proof_can_fail() -> None:
    assert "torch" in loaded_by("import leaky; leaky.torch")
    assert "scipy" in loaded_by("import leaky, scipy")
