"""Running again what has been run before, without what led to it: a function's operations on tensors, written down once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

#: runs after which the operations are written down: that takes as long as it saves in the next few hundred runs.
AFTER = 50

_VIEWS = {getattr(torch.ops.aten, name).default for name in ("detach", "expand", "view", "_unsafe_view")}


class Traced:
    """A function on tensors that does the same operations each time, whatever the numbers, for tensors of the same shape.

    After some runs it is traced, to the same numbers in half the time: the rest went into finding out, anew in each run,
    which operations vmap and autograd make of it.

    Args:
        function: from tensors, in lists and dicts, to tensors; it may change those it is given in place.
        state: returns what else it may depend on. If a run changes that, the function is left as it is.
    """

    def __init__(self, function: Callable[..., Any], state: Callable[[], object]) -> None:
        self._function, self._state = function, state
        self._runs: Counter[torch.Size] = Counter()
        self._programs: dict[torch.Size, Callable[..., Any]] = {}

    def __call__(self, first: Tensor, *others: Any) -> Any:
        """Return what the function does, which is not to be differentiated."""
        self._runs[first.shape] += 1
        if self._runs[first.shape] == AFTER:
            state = self._state()
            result = self._function(first, *others)
            if self._state() == state:  # to trace is to run it once more, which a function that counts must not notice
                self._programs[first.shape] = self._program(first, *others)
            return result
        program = self._programs.get(first.shape, self._function)
        with torch.set_grad_enabled(program is self._function):
            return program(first, *others)

    def _program(self, *arguments: Any) -> Callable[..., Any]:
        """Return the function's operations for such arguments, or the function itself where they cannot be told."""
        tensors = [leaf for leaf in pytree.tree_leaves(arguments) if isinstance(leaf, Tensor)]
        before, state = [tensor.detach().clone() for tensor in tensors], self._state()
        try:
            program = make_fx(lambda *given: self._function(*given))(*arguments)  # runs it, too; knows no methods
        except Exception:  # noqa: BLE001 - whatever the network does that cannot be traced, it has done before
            return self._function
        finally:
            with torch.no_grad():
                for tensor, value in zip(tensors, before, strict=True):
                    tensor.copy_(value)
        if self._state() != state:
            return self._function
        _shorten(program)
        return program


def _shorten(program: fx.GraphModule) -> None:
    """Take out what gives a tensor as it is: views in the shape that it has."""
    for node in list(program.graph.nodes):
        if node.target in _VIEWS:
            value, source = node.meta["val"], node.args[0].meta["val"]
            if (value.shape, value.dtype) == (source.shape, source.dtype):
                node.replace_all_uses_with(node.args[0])
                program.graph.erase_node(node)
    program.recompile()
