from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from leaky.extras import MissingPackageError, needed_by

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGES = [
    (extra, requirement.partition(">")[0].partition("[")[0].replace("-", "_"))
    for extra in ("jax", "onnx", "peers", "cluster", "torch")
    for requirement in PROJECT["optional-dependencies"][extra]
    if not requirement.startswith("leaky[")
]


@pytest.mark.parametrize(("extra", "package"), PACKAGES)
def test_a_package_is_in_the_extra_that_is_named(extra: str, package: str) -> None:
    with pytest.raises(MissingPackageError) as error, needed_by("this"):
        raise ModuleNotFoundError(name=f"{package}.inner")
    assert str(error.value) == f"this needs {package}: pip install 'leaky[{extra}]'"


@pytest.mark.parametrize("name", ["leaky", "leaky.nothing", None])
def test_what_leaky_lacks_of_its_own_is_no_package_to_install(name: str | None) -> None:
    with pytest.raises(ModuleNotFoundError) as error, needed_by("this"):
        raise ModuleNotFoundError("ours", name=name)
    assert type(error.value) is ModuleNotFoundError


@pytest.mark.parametrize(
    ("package", "statement", "what"),
    [
        ("torch", "leaky.torch", "leaky.torch"),
        ("torch", "import leaky.torch", "leaky.torch"),
        ("torch", "from leaky import torch", "leaky.torch"),
        ("torch", "leaky.Task", "leaky.Task"),
        ("torch", "leaky.compare", "leaky.compare"),
        ("torch", "leaky.tune", "leaky.tune"),
        ("torch", "leaky.claims", "leaky.claims"),
        ("torch", "from leaky.checkup import at_birth", "leaky.checkup.at_birth"),
        ("optuna", "leaky.compare", "leaky.compare"),
        ("jax", "leaky.jax", "leaky.jax"),
        ("jax", "import leaky.jax", "leaky.jax"),
        ("onnx", "leaky.onnx", "leaky.onnx"),
        ("onnxruntime", "leaky.check('model.onnx', [])", "leaky.onnx"),
    ],
)
def test_what_needs_a_package_says_so(package: str, statement: str, what: str) -> None:
    code = f"import sys; sys.modules['{package}'] = None; import leaky; {statement}"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    extra = package if package == "jax" else "onnx" if package.startswith("onnx") else "torch"
    assert (
        done.stderr.splitlines()[-1]
        == f"leaky.extras.MissingPackageError: {what} needs {package}: pip install 'leaky[{extra}]'"
    )
