"""What may hold rectifiers and cannot be exchanged: it is told where no data show what runs."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from leaky.torch.rewriting import bound, classes, modules
from leaky.torch.rewriting.mentions import is_torchs, is_torchs_module, mentions_rectifiers, parts, rectifier
from leaky.torch.rewriting.reach import Reached, reached
from leaky.torch.rewriting.sources import around as wrappers

# What every module holds.
_OWN = set(vars(nn.Module()))


def hidden(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield what in a module, or in its code, may hold rectifiers that cannot be exchanged, and why not."""
    for here in reached(classes.origin(module)).values():
        if here.source is None and here.names_rectifiers:
            yield here.function.__qualname__, here.problem
        for reason in dict.fromkeys(_in_code(here)):
            yield here.function.__qualname__, reason
    for name, value in vars(module).items():
        if name not in _OWN:
            yield from _held(name, value)
    for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values()):
        if mentions_rectifiers(getattr(hook, "__func__", hook)):
            yield f"{getattr(hook, '__name__', 'hook')}()", "a hook: what it calls is not seen"


def _in_code(here: Reached) -> Iterator[str]:
    """Yield why what a function calls is no place in its code."""
    if any(map(mentions_rectifiers, wrappers(here.outer))):
        yield "is decorated with what may call one"
    defaults = (*(here.function.__defaults__ or ()), *(here.function.__kwdefaults__ or {}).values())
    if any(map(rectifier, defaults)):
        yield "has one as the default of an argument"
    for node in here.nodes:
        if isinstance(node, ast.Subscript) and _rectifiers_in(_meaning(here, node.value)):
            yield "takes what it calls from a list or a dictionary"
        if not isinstance(node, ast.Call):
            continue
        called = here.meaning(node.func)
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and node.args:
            held = here.meaning(node.args[0])
            if isinstance(held, ModuleType) and is_torchs_module(held):
                yield "looks up by name what it calls"
        if isinstance(node.func, ast.Call) and here.meaning(node.func.func) in modules.KINDS:
            yield "makes a module whenever it runs"
        if isinstance(called, torch.jit.ScriptFunction) and "relu" in str(called.graph):
            yield "calls TorchScript, whose code is fixed"
        if isinstance(node.func, ast.Attribute) and node.func.attr == "apply":
            function = here.meaning(node.func.value)
            if isinstance(function, type) and issubclass(function, torch.autograd.Function):
                yield "calls a function with a derivative of its own"


def _meaning(here: Reached, node: ast.AST) -> Any:
    """Return what a name stands for, or an attribute of the class."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == here.owner:
        return inspect.getattr_static(here.definer, node.attr, None)
    return here.meaning(node)


def _held(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if not bound.is_own(value) and mentions_rectifiers(getattr(value, "__func__", value)):
        yield f"{name}()", "a function that the module holds: what it calls is not seen"
    elif _rectifiers_in(value):
        yield name, "a list or a dictionary of functions that the module holds"
    elif any(_rectifies(each) for each in parts(value) if isinstance(each, nn.Module)):
        yield name, "modules in a list or a dictionary of Python's, of which the network does not know"
    elif _is_plain(value) and any(map(rectifier, vars(value).values())):
        yield name, "an object that the module holds, and that holds one"


def _rectifiers_in(value: Any) -> bool:
    return any(map(rectifier, parts(value)))


def _rectifies(module: nn.Module) -> bool:
    return any(modules.kind_of(each) is not None or reached(classes.origin(each)) for each in module.modules())


def _is_plain(value: Any) -> bool:
    """Say whether something is an object of the user's own."""
    return (
        hasattr(value, "__dict__") and not isinstance(value, nn.Module | Tensor | type) and not is_torchs(type(value))
    )
