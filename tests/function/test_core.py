"""The kernels against the definition, by the C++ harness in ``tests/core``: it is built here, and its checks are run."""

import fcntl
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # One build for all of pytest's processes: what they have in common is the parent of their temporary folders.
    shared = (
        tmp_path_factory.getbasetemp().parent
        if "PYTEST_XDIST_WORKER" in os.environ
        else tmp_path_factory.mktemp("core")
    )
    build = shared / "harness"
    with (shared / "harness.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (build / "harness").exists():
            for command in (
                ["cmake", "-S", ROOT, "-B", build, "-DLEAKY_HARNESS=ON", "-DCMAKE_BUILD_TYPE=Release"],
                ["cmake", "--build", build, "--parallel", "2"],
            ):
                done = subprocess.run(command, check=False, capture_output=True, text=True)
                assert done.returncode == 0, done.stdout + done.stderr
    return build / "harness"


def check(harness: Path, name: str, **environment: str) -> None:
    done = subprocess.run(
        [harness, name], check=False, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", ["values", "pairs", "layouts", "statistics"])
def test_kernels(harness: Path, name: str) -> None:
    check(harness, name)


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
def test_large_runs(harness: Path, isa: str) -> None:
    if isa not in subprocess.run([harness], check=True, capture_output=True, text=True).stdout.split():
        pytest.skip(f"no {isa} here")
    check(harness, "parallel", LEAKY_ISA=isa)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads this processor's assembly")
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_compilers_make_vectors_of_the_scalar_kernels(compiler: str) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} here")
    command = [compiler, "-std=c++17", "-O3", "-ffp-contract=off", "-S", "-o-", ROOT / "src/core/scalar.cpp"]
    assembly = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # The statistics in the same file have their sums one by one where an order of additions asks for it.
    functions = re.split(r"^(?=_Z\w+:)", assembly, flags=re.MULTILINE)
    kernels = "".join(function for function in functions if not re.match(r"_Z\w*([Tt]ally|Counting)", function))
    assert set(re.findall(r"\b(mul[ps][sd])\b", kernels)) == {"mulps", "mulpd"}


def test_the_harness_knows_its_checks(harness: Path) -> None:
    with pytest.raises(AssertionError, match="no check is called nothing"):
        check(harness, "nothing")
