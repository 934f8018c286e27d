"""PyTorch's threads, for the core to use.

PyTorch's OpenMP library keeps its threads awake for milliseconds after each operation. Threads of our own would have to
fight them for the cores; so where both are in one process, the core has its large runs done by PyTorch's.
``torch.set_num_threads`` then holds for them too.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import torch

from leaky import _core


def borrow() -> None:
    """Let the core use PyTorch's threads, where PyTorch is built on an OpenMP library that can be asked for them."""
    # Looked for among the libraries that PyTorch itself stands on: there may be others of OpenMP in the process.
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        try:
            library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name), mode=os.RTLD_NOLOAD)
            # at::get_num_threads, which is omp_get_max_threads once this thread has heard of torch.set_num_threads
            functions = (library.GOMP_parallel, library._ZN2at15get_num_threadsEv, library.omp_get_thread_num)
            _core.borrow_threads(*map(_address, functions))
        except (OSError, AttributeError):  # not this system's name; not OpenMP
            continue
        return


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
