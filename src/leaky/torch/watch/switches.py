"""What is switched in the whole process while anything is watched: once, by whoever begins, and back by the last to end.

Each watcher could not keep and put back on its own what it has found: of two that do not end in the reverse order, the
later one finds what the first has switched, and would leave that behind.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch
from torch import nn

_lock = threading.Lock()
_watchers = 0
_on: set[Callable[[], AbstractContextManager[None]]] = set()
_back = ExitStack()


@contextmanager
def revealed(model: nn.Module) -> Iterator[None]:
    """Have a model run within as it is written, neither compiled nor fused into operations that hide its activations."""
    global _watchers
    with _lock:
        _watchers += 1
    try:
        _switch(_nothing_fused)
        if "torch._dynamo" in sys.modules:  # without it nothing is compiled
            _switch(_nothing_compiled)
            if any("_orig_mod" in module._modules for module in model.modules()):
                _switch(_warnings_of_hooks_off)
        yield
    finally:
        with _lock:
            _watchers -= 1
            if not _watchers:
                _on.clear()
                _back.close()


def _switch(what: Callable[[], AbstractContextManager[None]]) -> None:
    with _lock:
        if what not in _on:
            _back.enter_context(what())
            _on.add(what)


@contextmanager
def _nothing_fused() -> Iterator[None]:
    """Do without what nn.TransformerEncoderLayer runs in evaluation mode in place of its parts."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _nothing_compiled() -> Iterator[None]:
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def _warnings_of_hooks_off() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using `torch.compile.module.` when there are global hooks")
        yield
