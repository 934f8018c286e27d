"""Where a forward pass is: the path of the module whose forward runs, and the line of code that makes a call."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

# What wrappers put into the paths of the modules that they hold.
_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}

_TORCH = str(Path(torch.__file__).parent / "_")[:-1]
_LAYERS = str(Path(nn.__file__).parent / "modules" / "_")[:-1]
_CALLS = nn.modules.module.__file__
_ACTIVATIONS = nn.modules.activation.__file__
_LEAKY = str(Path(__file__).parents[2] / "_")[:-1]
_inside: dict[str, bool] = {}


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model itself from within torch.compile, DataParallel and DistributedDataParallel."""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def cleaned(path: str) -> str:
    """Return a path without the names that wrappers put into it."""
    return ".".join(part for part in path.split(".") if part not in _WRAPPERS)


#: module, file name and number of a line of code: the same on every machine, unlike the path
Line = tuple[str, str, int]


class Names:
    """The stack of the modules whose forward runs, in the thread in which they are followed.

    A module is known by its path from the root; one that the root does not hold goes by the path of what calls it.
    """

    def __init__(self, root: nn.Module, begin: Callable[[Any], None], end: Callable[[], None]) -> None:
        self._root = root
        self._begin, self._end = begin, end
        self._paths = {module: cleaned(path) for path, module in root.named_modules()}
        self._stack: list[tuple[nn.Module, str]] = []
        self._thread = threading.get_ident()
        #: path of the innermost module; what it is, None if the root does not hold it; whether the root's forward runs
        self.path = ""
        self.module: nn.Module | None = None
        self.inside = False

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow the calls of modules; tell of the inputs that the root is called with, and when it is done or fails."""

        def enter_root(module: nn.Module, inputs: Any, named: dict[str, Any]) -> None:
            if named and len(self._stack) == 1:  # hooks for all modules are not told of these
                self._begin([inputs, named])

        handles = [
            register_module_forward_pre_hook(self.enter),
            register_module_forward_hook(self.leave, always_call=True),
        ]
        if not isinstance(self._root, torch.jit.ScriptModule):
            handles.append(self._root.register_forward_pre_hook(enter_root, with_kwargs=True))
        self._thread = threading.get_ident()  # it may be another than the one that made us
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._stack.clear()
            self._look()

    def enter(self, module: nn.Module, inputs: Any) -> None:
        """Take in that a module is called."""
        if (self.inside or module is self._root) and threading.get_ident() == self._thread:
            self._stack.append((module, self._paths.get(module, self.path)))
            self._look()
            if len(self._stack) == 1:
                self._begin(inputs)

    def leave(self, module: nn.Module, inputs: Any = None, output: Any = None) -> None:
        """Take in that a module has returned, or failed."""
        stack = self._stack
        if not self.inside or threading.get_ident() != self._thread:
            return
        if stack[-1][0] is module or any(each is module for each, _ in stack):
            while stack.pop()[0] is not module:  # what an interrupt has left
                pass
            self._look()
            if not stack:
                self._end()

    def _look(self) -> None:
        if self._stack:
            module, self.path = self._stack[-1]
            self.module = module if module in self._paths else None
            self.inside = True
        else:
            self.module, self.path, self.inside = None, "", False

    def source(self) -> Line | None:
        """Return the line whose call the running operation is: the innermost outside PyTorch's functions and us."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            file = frame.f_code.co_filename
            if file == _CALLS and self.module is not None:
                return None  # TorchScript: there are no lines between the module's call and the operation
            if not _is_inside(file):
                made_up = file.startswith("<eval_with_key>")  # by torch.fx
                return None if made_up else (_module(frame), _base(file), frame.f_lineno)
            frame = frame.f_back
        return None


_base = functools.cache(os.path.basename)


def _module(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return "__main__" if name == "__mp_main__" else name  # of a script, in the processes that it starts


def _is_inside(file: str) -> bool:
    if file not in _inside:
        layer = file.startswith(_LAYERS) and file not in (_CALLS, _ACTIVATIONS)
        _inside[file] = file.startswith(_LEAKY) or (file.startswith(_TORCH) and not layer)
    return _inside[file]
