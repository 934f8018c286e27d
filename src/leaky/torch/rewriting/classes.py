"""Classes whose methods call Leaky ReLU where those of the class they are made of call another rectifier.

Such a class is made once for a class and the places in its code, is called as that class is, and its modules are pickled
as modules of that class, with the places: so both sides need its source.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from leaky.torch.rewriting import calls
from leaky.torch.rewriting.exchange import OWNER, exchanged, expression
from leaky.torch.rewriting.places import Place
from leaky.torch.rewriting.reach import changed, forget, reached

#: what other names mean in new code
CELLS: dict[str, Any] = {
    "__leaky_converted__": calls.converted,
    "__leaky_method__": calls.method,
    "__leaky_product__": operator.mul,
}


def origin(module: nn.Module) -> type[nn.Module]:
    """Return the class of a module as its author wrote it."""
    cls: type[nn.Module] = getattr(type(module), "leaky_origin", type(module))
    return cls


def places(module: nn.Module) -> tuple[Place, ...]:
    """Return the places of a module's code that were converted; its ``leaky_slopes`` has a slope for each."""
    found: tuple[Place, ...] = getattr(type(module), "leaky_places", ())
    return found


def convert_calls(module: nn.Module, slopes: dict[Place, float]) -> None:
    """Have a module call Leaky ReLU at these places of its code; those converted before keep their slopes."""
    both = {**dict(zip(places(module), getattr(module, "leaky_slopes", ()), strict=True)), **slopes}
    module.__class__ = rewritten(origin(module), tuple(both))
    module.leaky_slopes = list(both.values())  # type: ignore[assignment]  # modules declare tensors and modules


def refresh(root: nn.Module) -> None:
    """Forget what was made of classes, if code of this network's is not what it was then."""
    if changed({origin(module) for module in root.modules()}):
        forget()
        _rewritten.cache_clear()


def rewritten(cls: type[nn.Module], where: tuple[Place, ...]) -> type[nn.Module]:
    """Return the class whose methods call Leaky ReLU at these places; see :mod:`leaky.torch.rewriting.classes`.

    Raises:
        RuntimeError: the source of the class is not there, or not what it was when the places were found.
    """
    known: Any = cls  # mypy doubts that classes of modules can be looked up
    return _rewritten(known, where)


@functools.cache
def _rewritten(cls: Any, where: tuple[Place, ...]) -> type[nn.Module]:

    def __reduce_ex__(self: Any, protocol: Any) -> Any:  # noqa: N807
        make, arguments, *rest = super(result, self).__reduce_ex__(protocol)
        plain = tuple(cls if each is result else each for each in arguments)
        return (rebuilt, (cls, where, make, plain), *rest)

    own = {"__reduce_ex__": __reduce_ex__, "leaky_origin": cls, "leaky_places": where}
    result = exchanged(cls, exchanges(cls, where), CELLS, own)
    return result


def rebuilt(cls: type[nn.Module], where: tuple[Place, ...], make: Any, arguments: tuple[Any, ...]) -> nn.Module:
    """Return a module of a rewritten class, without its state: what a pickled one is made by."""
    module: nn.Module = make(*arguments)
    module.__class__ = rewritten(cls, where)
    return module


def exchanges(
    cls: type[nn.Module], where: tuple[Place, ...], around: Callable[[str, int, str], str] | None = None
) -> dict[str, dict[int, ast.expr]]:
    """Return what is to stand at the places, by function and by the number of the node.

    Args:
        cls: the class as its author wrote it.
        where: the places.
        around: given a function, the number of the node and the text of what is called there: what is called instead.

    Raises:
        RuntimeError: the source of the class is not there, or not what it was when the places were found.
    """
    found: dict[str, dict[int, ast.expr]] = defaultdict(dict)
    for number, place in enumerate(where):
        here = reached(cls).get(place.function)
        nodes = here.nodes if here is not None else []
        if place.index >= len(nodes) or ast.unparse(nodes[place.index]) != place.text:
            raise RuntimeError(
                f"{cls.__qualname__}: the source of {place.function.split(':')[1]} is not there, or not what it was "
                f"when the network was converted; expected {place.text!r} at {place.line}"
            )
        wrap = partial(around, place.function, place.index) if around is not None else str
        found[place.function][place.index] = _replacement(nodes[place.index], number, place, wrap)
    return found


def _replacement(node: ast.AST, number: int, place: Place, wrap: Callable[[str], str]) -> ast.expr:
    known = f"{OWNER}, {number}, {place.operand}, {place.kind == 'relu'}"
    if place.way == "method":
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Attribute)
        return _with_arguments_of(node, f"{wrap('__leaky_method__')}({known}, __old_base__, {node.func.attr!r})")
    if place.way == "product":
        return expression(f"{wrap(f'__leaky_converted__({known}, __leaky_product__)')}(__old_left__, __old_right__)")
    return expression(wrap(f"__leaky_converted__({known}, __old__)"))


def _with_arguments_of(old: ast.Call, text: str) -> ast.expr:
    """Return a call that takes the arguments of another one after its own."""
    new = expression(text)
    assert isinstance(new, ast.Call)
    new.args += [ast.Name(f"__old_argument_{number}__", ast.Load()) for number in range(len(old.args))]
    new.keywords += [
        ast.keyword(each.arg, ast.Name(f"__old_keyword_{n}__", ast.Load())) for n, each in enumerate(old.keywords)
    ]
    return new
