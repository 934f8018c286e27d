"""What is done around each call of a module, for as long as it is wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

# Where Module.compile() puts what is called in the module's stead: no copy of a module, and no file, takes it along.
_STEAD = "_compiled_call_impl"


@contextmanager
def around_calls(module: nn.Module, context: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Have each call of a module made in a context of its own.

    Hooks would not do: none is run when Ctrl-C ends a call. Calls that are being compiled go without the context.
    """
    own = vars(module)
    before = own.get(_STEAD)
    around = own[_STEAD] = before if isinstance(before, _Around) else _Around(module, before)
    around.contexts.append(context)
    try:
        yield
    finally:
        around.contexts.remove(context)
        if not around.contexts and own.get(_STEAD) is around:
            own.pop(_STEAD)
            if around.compiled is not None:
                own[_STEAD] = around.compiled


class _Around:
    """Calls a module, or what its own ``compile()`` has made of it, in contexts."""

    def __init__(self, module: nn.Module, compiled: Callable[..., Any] | None) -> None:
        self.contexts: list[Callable[[], AbstractContextManager[None]]] = []
        self.compiled = compiled
        self._module = module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return self._module._call_impl(*args, **kwargs)
        called = sys._getframe(1).f_locals["self"]  # DataParallel's replicas of a module share its attributes
        if called is not self._module:
            return called._call_impl(*args, **kwargs)
        with ExitStack() as stack:
            if torch._C._dynamo.eval_frame.get_eval_frame_callback() is None:  # else it is compiled from without
                for context in self.contexts:
                    stack.enter_context(context())
            return (self.compiled or self._module._call_impl)(*args, **kwargs)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Become None in a copy of a module whose own ``__getstate__`` takes everything."""
        return type(None), ()
