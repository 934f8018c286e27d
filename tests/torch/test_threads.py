"""The core uses PyTorch's threads in a process that has them, and none of its own beside them."""

import subprocess
import sys

import pytest

START = """
import os, signal, sys
import numpy as np, torch
import leaky, leaky.torch

def threads():
    return len(os.listdir("/proc/self/task"))

x = torch.randn(1 << 22, requires_grad=True)
expected = np.where(x.detach() > 0, x.detach(), x.detach() * np.float32(0.1))

def right():
    y = leaky.torch.leaky_relu(x, 0.1)
    y.backward(torch.ones_like(x))
    return np.array_equal(y.detach(), expected) and np.array_equal(leaky.leaky_relu(x.detach().numpy(), 0.1), expected)

leaky.set_num_threads(64)
"""


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", START + code], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


linux = pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")


@linux
@pytest.mark.parametrize("count", [1, 2, 3])
def test_none_beside_pytorchs_own(count: int) -> None:
    found = python(
        f"torch.set_num_threads({count}); torch.nn.functional.leaky_relu(x.detach()); theirs = threads();"
        "assert right(); print(threads() - theirs)"
    )
    assert int(found) <= 0


@linux
def test_as_many_as_leaky_is_allowed() -> None:
    assert python("before = threads(); leaky.set_num_threads(1); assert right(); print(threads() - before)") == "0\n"


@linux
def test_pytorchs_number_holds_in_every_thread() -> None:
    # Its library has a number for each thread, and a thread that has not yet worked for PyTorch has not heard of it.
    found = python(
        """
import threading
torch.set_num_threads(1)
before, counts = threads(), []
def compute():
    assert right()
    counts.append(threads())
thread = threading.Thread(target=compute)
thread.start()
thread.join()
print(counts[0] - before)
"""
    )
    assert int(found) <= 1


IN_A_CHILD = """
child = os.fork()
if child == 0:
    signal.alarm(60)
    {work}
    os._exit(0 if right() else 1)
print(os.waitpid(child, 0)[1])
"""


@linux
def test_pytorchs_number_holds_in_a_forked_child() -> None:
    # As in the workers of a DataLoader, where PyTorch allows itself one thread.
    work = "torch.set_num_threads(1); assert right() and threads() == 1"
    assert python("assert right()" + IN_A_CHILD.format(work=work)) == "0\n"


def test_an_adapter_first_loaded_in_a_forked_child() -> None:
    start = START.replace("import leaky, leaky.torch", "import leaky")
    code = "leaky.leaky_relu(x.detach().numpy()); torch.nn.functional.relu(x.detach())" + IN_A_CHILD.format(
        work="import leaky.torch; torch.set_num_threads(1); leaky.set_num_threads(2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + code], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "0\n", done.stderr


def test_a_forked_child_has_its_own() -> None:
    # PyTorch's would never answer in the child: its operations hang there, unless it is told to use one thread.
    found = python(
        """
assert right()
finished = 0
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(0 if np.array_equal(leaky.leaky_relu(x.detach().numpy(), 0.1), expected) else 1)
    finished += os.waitpid(child, 0)[1] == 0
print(finished, right())
"""
    )
    assert found == "20 True\n"
