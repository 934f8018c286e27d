"""Threads, forks and instruction sets: no result depends on them."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import leaky
from leaky import _core, definition
from leaky_tests.python_lock import is_released_by

LARGE = (1 << 22) + 321  # enough for threads, and for stores past the caches


@pytest.fixture(autouse=True)
def _keep_the_number_of_threads() -> Iterator[None]:
    before = leaky.get_num_threads()
    yield
    leaky.set_num_threads(before)


def large(dtype: str = "f") -> np.ndarray:
    return np.random.default_rng(0).standard_normal(LARGE, dtype=np.float32).astype(dtype)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={**env, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("dtype", ["e", "f", "d"])
def test_any_number_of_threads(dtype: str, threads: int) -> None:
    x = large(dtype)
    leaky.set_num_threads(threads)
    assert leaky.get_num_threads() == threads
    assert leaky.leaky_relu(x, 0.1).tobytes() == definition.leaky_relu(x, 0.1).tobytes()
    assert (
        leaky.leaky_relu_backward(x[::-1], x, 0.1).tobytes()
        == definition.leaky_relu_backward(x[::-1], x, 0.1).tobytes()
    )
    assert leaky.sign_mask(x).tobytes() == np.packbits(x > 0, bitorder="little").tobytes()


@pytest.mark.parametrize("behind", [1, 100_000, -1])
def test_output_over_part_of_the_input(behind: int) -> None:
    leaky.set_num_threads(4)
    buffer = large()
    x, out = (buffer[behind:], buffer[:-behind]) if behind > 0 else (buffer[:behind], buffer[-behind:])
    expected = definition.leaky_relu(x.copy(), 0.1)
    leaky.leaky_relu(x, 0.1, out=out)
    assert out.tobytes() == expected.tobytes()


def test_several_python_threads_at_once() -> None:
    leaky.set_num_threads(3)
    x = large()
    expected = definition.leaky_relu(x, 0.1).tobytes()
    with ThreadPoolExecutor(4) as executor:
        assert all(executor.map(lambda _: leaky.leaky_relu(x, 0.1).tobytes() == expected, range(24)))


@pytest.mark.parametrize("through", ["plain arrays", "the ufunc", "addresses"])
def test_pythons_lock_is_released(through: str) -> None:
    x, out = large(), np.empty(LARGE, np.float32)
    address = x.ctypes.data, out.ctypes.data, LARGE, _core.TYPES["float32"], 0.1
    calls: dict[str, Any] = {
        "plain arrays": lambda: leaky.leaky_relu(x, 0.1, out),
        "the ufunc": lambda: _core.leaky_relu(x, 0.1, out),
        "addresses": lambda: _core.forward(*address),
    }
    assert is_released_by(calls[through])


def test_idle_threads_take_no_time() -> None:
    leaky.set_num_threads(4)
    leaky.leaky_relu(large())
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


ELSEWHERE = """
import os
import numpy as np
import leaky

leaky.set_num_threads(2)
before = set(os.listdir("/proc/self/task"))
leaky.leaky_relu(np.ones(1 << 20, np.float32))
(worker,) = set(os.listdir("/proc/self/task")) - before
cores = os.sched_getaffinity(0)
left = cores - os.sched_getaffinity(int(worker))
print(len(left), len(cores))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not show a process's threads")
def test_a_worker_keeps_off_the_callers_core() -> None:
    left, cores = map(int, python(ELSEWHERE).stdout.split())
    assert left == (1 if cores > 1 else 0)


FORKS = """
import os, signal, threading, time
import numpy as np
import leaky

leaky.set_num_threads(3)
x = np.random.default_rng(0).standard_normal(1 << 20, dtype=np.float32)
expected = np.where(x > 0, x, x * np.float32(0.1))
over = False

def compute():
    while not over:
        leaky.leaky_relu(x, 0.1)

thread = threading.Thread(target=compute)
thread.start()
finished = 0
for _ in range(100):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(0 if np.array_equal(leaky.leaky_relu(x, 0.1), expected) and leaky.get_num_threads() == 3 else 1)
    finished += os.waitpid(child, 0)[1] == 0
over = True
thread.join()
print(finished)
"""


def test_children_forked_amid_a_run_finish() -> None:
    done = python(FORKS)
    assert done.stdout.strip() == "100", done.stderr


# --- the environment


EVERYTHING = """
import hashlib
import numpy as np
import leaky
from leaky import _core

digest = hashlib.sha256()
for dtype in "efd":
    for count in (0, 1, 77, 5000, 1_300_000):
        bits = np.random.default_rng(count).integers(0, 256, 2 * count * np.dtype(dtype).itemsize, dtype=np.uint8)
        x, grad = bits.view(dtype).reshape(2, count)
        mask = leaky.sign_mask(x)
        for result in (
            leaky.leaky_relu(x, 0.3),
            leaky.leaky_relu(x[::-1], 0.3),
            leaky.leaky_relu_derivative(x, -0.3),
            leaky.leaky_relu_backward(grad, x, 0.3),
            leaky.leaky_relu_backward_from_mask(grad, mask, 0.3),
            mask,
        ):
            digest.update(result.tobytes())
print(_core.ISA, digest.hexdigest())
"""


def test_every_instruction_set_gives_the_same_bits() -> None:
    sets = (
        python("import leaky; leaky.leaky_relu", LEAKY_ISA="?")
        .stderr.partition("one of ")[2]
        .partition(", got")[0]
        .split(", ")
    )
    results = dict(python(EVERYTHING, LEAKY_ISA=isa, LEAKY_NUM_THREADS="2").stdout.split() for isa in sets)
    assert "scalar" in results
    assert _core.ISA in results
    assert len(set(results.values())) == 1


def test_an_unknown_instruction_set_is_an_error() -> None:
    done = python("import leaky; leaky.leaky_relu", LEAKY_ISA="avx1024")
    assert done.returncode == 1
    assert "\nImportError: LEAKY_ISA must be one of " in done.stderr
    assert done.stderr.endswith("scalar, got 'avx1024'\n")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        ({"LEAKY_NUM_THREADS": "7"}, 7),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        (
            {"OMP_NUM_THREADS": "some"},
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        ),
        ({"LEAKY_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
    ],
)
def test_the_default_number_of_threads(environment: dict[str, str], expected: int) -> None:
    assert python("import leaky; print(leaky.get_num_threads())", **environment).stdout == f"{expected}\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_only_the_cores_that_this_process_may_use_count() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); import leaky; print(leaky.get_num_threads())"
    assert python(code).stdout == "1\n"


@pytest.mark.parametrize("number", ["0", "-1", "two", "2x", "1.5"])
def test_a_bad_number_of_threads_in_the_environment_is_an_error(number: str) -> None:
    done = python("import leaky; leaky.leaky_relu", LEAKY_NUM_THREADS=number)
    assert done.stderr.endswith(f"\nImportError: LEAKY_NUM_THREADS must be a whole number above 0, got '{number}'\n")


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (0, ValueError, "n must be a number of threads above 0, got 0"),
        (-3, ValueError, "n must be a number of threads above 0, got -3"),
        (2.0, TypeError, "n must be a number of threads, got 2.0"),
        (True, TypeError, "n must be a number of threads, got True"),
        (None, TypeError, "n must be a number of threads, got None"),
    ],
)
def test_bad_numbers_of_threads(number: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        leaky.set_num_threads(number)


def test_numbers_of_threads_that_no_machine_has() -> None:
    leaky.set_num_threads(10**30)
    assert leaky.get_num_threads() == 1024
    leaky.set_num_threads(np.int8(2))
    assert leaky.get_num_threads() == 2


# --- elsewhere


def test_ufuncs_travel_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(_core.leaky_relu)) is _core.leaky_relu


def test_dask_arrays_stay_lazy() -> None:
    import dask.array

    x = large()[:10_000]
    lazy = leaky.leaky_relu(dask.array.from_array(x, chunks=1000), 0.1)
    assert isinstance(lazy, dask.array.Array)
    assert lazy.compute().tobytes() == definition.leaky_relu(x, 0.1).tobytes()


def test_errors_of_the_functions_on_addresses() -> None:
    with pytest.raises(TypeError, match="takes 5 arguments, got 1"):
        _core.forward(0)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="a count must not be below 0, got -1"):
        _core.forward(0, 0, -1, 0, 0.1)
    with pytest.raises(ValueError, match="a type must be one of TYPES, got 4"):
        _core.mask(0, 0, 0, 4)
    with pytest.raises(TypeError):
        _core.copy("a", 0, 0)  # type: ignore[arg-type]


def test_copy() -> None:
    x = np.random.default_rng(0).integers(0, 256, 10_003, dtype=np.uint8)
    for count in (0, 1, 5, 10_003):
        y = np.zeros_like(x)
        _core.copy(x.ctypes.data, y.ctypes.data, count)
        assert y.tobytes() == x[:count].tobytes() + bytes(x.size - count)
