"""Which place in the code of which module each site of a forward pass comes from."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leaky.evidence import Site
from leaky.torch.rewriting import bound, classes, exchange, modules
from leaky.torch.rewriting.calls import FUNCTIONS, MAYBE
from leaky.torch.rewriting.mentions import rectifier
from leaky.torch.rewriting.places import Place, place_of
from leaky.torch.rewriting.reach import Reached, reached, run_by_forward
from leaky.torch.watch.names import cleaned

# What looks at the frame that it is called from.
_BY_FRAME = {"super", "locals", "vars", "eval", "exec", "dir", "globals"}


@dataclass(frozen=True)
class Origin:
    """What a site is a call of: a module; a function that a module holds; or a place in a module's code."""

    module: nn.Module
    attribute: str | None = None
    place: Place | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Return what tells one from another."""
        where = self.place and (self.place.function, self.place.index)
        return id(self.module), self.attribute, where


@dataclass(frozen=True)
class _Running:
    """A call that runs."""

    owner: nn.Module
    attribute: str | None
    key: str
    index: int
    function: Any
    args: tuple[Any, ...]


class Recorder:
    """Takes in, for each site, what it is a call of; None where that is not in the code of its module."""

    def __init__(self, root: nn.Module) -> None:
        self._root = root
        self._modules = {cleaned(path): module for path, module in root.named_modules()}  # of wrappers, what they hold
        self._running: list[_Running] = []
        self.sites: dict[str, tuple[Site, Origin | None]] = {}

    @contextmanager
    def following(self) -> Iterator[None]:
        """Have the modules tell what they call, until the context is left."""
        undo: list[Callable[[], None]] = []
        try:
            for module in self._root.modules():
                self._follow(module, undo)
            undo += bound.rebind(self._root)
            yield
        finally:
            for each in reversed(undo):
                each()

    def take(self, site: Site, x: Tensor) -> None:
        """Take in a site that is about to run on a pre-activation."""
        if site.name not in self.sites or self.sites[site.name][1] is None:
            self.sites[site.name] = site, self._origin(site, x)

    def _follow(self, module: nn.Module, undo: list[Callable[[], None]]) -> None:
        if modules.opaque(module) is not None:
            return
        for name in modules.functions_held(module):
            held = vars(module)[name]
            vars(module)[name] = functools.partial(self._run, module, name, "", 0, held)
            undo.append(functools.partial(vars(module).__setitem__, name, held))
        before = type(module)
        if modules.kind_of(module) is None and reached(classes.origin(module)):
            undo.append(functools.partial(setattr, module, "__class__", before))
            _RECORDERS[id(module)] = self
            undo.append(functools.partial(_RECORDERS.__delitem__, id(module)))
            module.__class__ = _told(before, bound.methods_held(module))

    def _run(
        self, owner: nn.Module, name: str | None, key: str, index: int, function: Any, *args: Any, **named: Any
    ) -> Any:
        bound = getattr(function, "__self__", None)
        given = (bound, *args) if isinstance(bound, Tensor) else args
        self._running.append(_Running(owner, name, key, index, function, given))
        try:
            return function(*args, **named)
        finally:
            self._running.pop()

    def _origin(self, site: Site, x: Tensor) -> Origin | None:
        module = self._modules.get(site.module)
        if module is not None and modules.kind_of(module) is not None:
            return Origin(module)
        if not self._running:
            return None
        last = self._running[-1]
        if last.attribute is not None:
            return Origin(last.owner, last.attribute)
        for place in classes.places(last.owner):
            if (place.function, place.index) == (last.key, last.index):
                return Origin(last.owner, None, place)
        operand = next((n for n, each in enumerate(last.args) if isinstance(each, Tensor) and _is_same(each, x)), 0)
        found = _place(reached(classes.origin(last.owner))[last.key], last, site, operand)
        return None if found is None else Origin(last.owner, None, found)


def _is_same(one: Tensor, other: Tensor) -> bool:
    if torch._C._functorch.is_functorch_wrapped_tensor(one) or torch._C._functorch.is_functorch_wrapped_tensor(other):
        return one is other  # they have no memory of their own
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.stride() == other.stride()


def _place(here: Reached, run: _Running, site: Site, operand: int) -> Place | None:
    """Return the place of a call, or None if what is called there is no function of PyTorch's."""
    node = here.nodes[run.index]
    around = here.parents.get(node)
    if isinstance(node, ast.BinOp):
        return place_of(here, node, site.kind, site.form, "product", operand)
    if isinstance(getattr(run.function, "__self__", None), Tensor):
        if isinstance(around, ast.Call) and around.func is node and isinstance(node, ast.Attribute):
            return place_of(here, around, site.kind, site.form, "method", operand)
        return None
    if isinstance(run.function, nn.Module) or not (run.function in FUNCTIONS or run.function in MAYBE):
        return None
    return place_of(here, node, site.kind, site.form, "function", operand)


#: who is told what a module calls, by the module's identity: a class is made once, for all that ever run it
_RECORDERS: dict[int, Recorder] = {}


def _tell(owner: nn.Module, key: str, index: int, function: Any) -> Any:
    # Modules tell of themselves; what is no function would have to stay what it is.
    recorder = _RECORDERS.get(id(owner))
    if recorder is None or isinstance(function, nn.Module | type):
        return function
    return functools.partial(recorder._run, owner, None, key, index, function)


def _told(cls: type[nn.Module], held: frozenset[str]) -> type[nn.Module]:
    """Return a class whose methods tell a recorder what they call."""
    origin = getattr(cls, "leaky_origin", cls)
    known: Any = cls  # mypy doubts that classes of modules can be looked up
    return _made(known, held, _Code(reached(origin)))


@dataclass(frozen=True, eq=False)
class _Code:
    """What of a class's code was looked at: if it is looked at anew, it is another."""

    functions: dict[str, Reached]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Code) and self.functions is other.functions

    def __hash__(self) -> int:
        return id(self.functions)


@functools.lru_cache(maxsize=1024)
def _made(cls: Any, held: frozenset[str], code: _Code) -> type[nn.Module]:
    origin = getattr(cls, "leaky_origin", cls)
    exchanges = classes.exchanges(origin, getattr(cls, "leaky_places", ()), _teller)
    for here in run_by_forward(origin, held):
        exchanges[here.key] = _tellers(here, exchanges[here.key]) | exchanges[here.key]
    own = {"leaky_origin": origin, "leaky_places": getattr(cls, "leaky_places", ())}
    return exchange.exchanged(origin, exchanges, {**classes.CELLS, "__leaky_told__": _tell}, own)


def _teller(key: str, index: int, function: str) -> str:
    return f"__leaky_told__({exchange.OWNER}, {key!r}, {index}, {function})"


def _tellers(here: Reached, taken: Mapping[int, ast.expr]) -> dict[int, ast.expr]:
    """Return what tells of a function's calls, products and names of rectifiers, by the numbers of their nodes."""
    tellers = {}
    number = {node: index for index, node in enumerate(here.nodes)}
    for node, index in number.items():
        around = here.parents.get(node)
        called = isinstance(around, ast.Call) and around.func is node
        if called and number[around] in taken:  # type: ignore[index]  # a call is around it
            continue
        if called:
            tells = not (isinstance(node, ast.Name) and node.id in _BY_FRAME)
        else:
            tells = isinstance(node, ast.Name | ast.Attribute) and rectifier(here.meaning(node)) is not None
            tells = tells and not isinstance(around, ast.Attribute)
        if tells:
            tellers[index] = exchange.expression(_teller(here.key, index, "__old__"))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            product = _teller(here.key, index, "__leaky_product__")
            tellers[index] = exchange.expression(f"{product}(__old_left__, __old_right__)")
    return tellers
