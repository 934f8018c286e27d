"""The source of a function as a syntax tree, and a function made of such a tree, in the place of the first."""

from __future__ import annotations
import __future__

import ast
import copy
import functools
import linecache
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CellType, CodeType, FunctionType
from typing import Any

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FUTURE = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)


#: by file: its lines, and the functions in them
_PARSED: dict[str, tuple[list[str], list[Source]]] = {}


@dataclass(frozen=True)
class Source:
    """What a function was made of."""

    node: FunctionNode
    #: name of the class that it stands in
    owner: str | None
    #: of the file: calls through imported names are compiled in a way of their own
    imports: list[ast.stmt]


@functools.lru_cache(maxsize=8192)
def source_of(function: FunctionType) -> Source | None:
    """Return the source of a function, or None if it is not there, or is not what runs."""
    code = function.__code__
    for source in _sources(code.co_filename):
        first = min([source.node.lineno, *(each.lineno for each in getattr(source.node, "decorator_list", []))])
        named = _named(source.node) == code.co_name
        if named and first == code.co_firstlineno and _same(_compiled(source, code), code):
            return source
    return None


def recompiled(function: FunctionType, source: Source, more: Mapping[str, CellType]) -> FunctionType:
    """Return a function of the source, with all else as the given function has it; ``more`` are the cells of new names."""
    code = function.__code__
    made = _compiled(source, code, tuple(more))
    cells = {**dict(zip(code.co_freevars, function.__closure__ or (), strict=True)), **more}
    result = FunctionType(
        made.replace(co_name=code.co_name, co_qualname=code.co_qualname, co_firstlineno=code.co_firstlineno),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        tuple(cells[name] for name in made.co_freevars),
    )
    result.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(result, function)
    del result.__wrapped__  # type: ignore[attr-defined]  # it wraps nothing
    return result


def rewrapped(outer: Any, inner: FunctionType, new: FunctionType) -> Any:
    """Return a decorated function with the function within it exchanged, or None if it is not found in there."""
    if outer is inner:
        return new
    if not isinstance(outer, FunctionType):
        return None
    cells = list(outer.__closure__ or ())
    for place, cell in enumerate(cells):
        held = _held(cell)
        changed = rewrapped(held, inner, new) if isinstance(held, FunctionType) else None
        if changed is not None:
            cells[place] = CellType(changed)
            made = FunctionType(outer.__code__, outer.__globals__, outer.__name__, outer.__defaults__, tuple(cells))
            made.__kwdefaults__ = outer.__kwdefaults__
            functools.update_wrapper(made, outer)
            made.__wrapped__ = changed  # type: ignore[attr-defined]  # for signatures to be read
            return made
    return None


def within(outer: Any) -> FunctionType | None:
    """Return the function that decorators have been put around."""
    inner = outer
    while isinstance(inner, FunctionType) and isinstance(getattr(inner, "__wrapped__", None), FunctionType):
        inner = inner.__wrapped__  # type: ignore[attr-defined]
    return inner if isinstance(inner, FunctionType) else None


def around(outer: Any) -> list[FunctionType]:
    """Return the functions that decorators have put around one, the outermost first."""
    found = []
    while isinstance(outer, FunctionType) and outer is not within(outer):
        found.append(outer)
        outer = outer.__wrapped__  # type: ignore[attr-defined]
    return found


def cells_of(function: FunctionType) -> dict[str, Any]:
    """Return what the names stand for that a function has from those around it."""
    return dict(zip(function.__code__.co_freevars, map(_held, function.__closure__ or ()), strict=True))


def _held(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _named(node: FunctionNode) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _sources(file: str) -> list[Source]:
    """Return all functions of a file."""
    linecache.checkcache(file)
    lines = linecache.getlines(file)  # the same list, until the file changes
    known = _PARSED.get(file)
    if known is None or known[0] is not lines:
        known = _PARSED[file] = lines, _parsed("".join(lines))
    return known[1]


def _parsed(text: str) -> list[Source]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    imports = list(_imports(tree))
    return [Source(node, owner, imports) for node, owner in _inside(tree, None)]


def _inside(node: ast.AST, owner: str | None) -> Iterator[tuple[FunctionNode, str | None]]:
    if isinstance(node, FunctionNode):
        yield node, owner
    elif isinstance(node, ast.ClassDef):
        owner = node.name
    for child in ast.iter_child_nodes(node):
        yield from _inside(child, owner)


def _imports(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not isinstance(child, FunctionNode | ast.ClassDef):
            yield from _imports(child)


def _compiled(source: Source, code: CodeType, more: tuple[str, ...] = ()) -> CodeType:
    """Return the code of a function, compiled where its names mean what they mean in the given code."""
    # The function keeps the annotations, defaults and decorators that it has: they are worked out outside it.
    node, arguments = copy.copy(source.node), copy.copy(source.node.args)
    for kind in ("posonlyargs", "args", "kwonlyargs"):
        setattr(arguments, kind, [ast.arg(each.arg) for each in getattr(arguments, kind)])
    for kind in ("vararg", "kwarg"):
        setattr(arguments, kind, (each := getattr(arguments, kind)) and ast.arg(each.arg))
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [each and ast.Constant(None) for each in arguments.kw_defaults]
    node.args = arguments
    inner: ast.stmt
    if isinstance(node, ast.Lambda):
        inner = ast.Expr(node)
    else:
        node.decorator_list, node.returns, inner = [], None, node
    if source.owner is not None:  # private names take the name of the class, and super() its cell
        inner = ast.parse("class _: pass").body[0]
        assert isinstance(inner, ast.ClassDef)
        inner.name, inner.body = source.owner, [ast.Expr(node) if isinstance(node, ast.Lambda) else node]
    outer = ast.parse("def _(): pass").body[0]
    assert isinstance(outer, ast.FunctionDef)
    bound = _named(node) if source.owner is None else source.owner
    free = dict.fromkeys((*code.co_freevars, *more))
    outer.args.args = [ast.arg(name) for name in free if name not in ("__class__", bound)]
    outer.body = [inner]
    if bound not in code.co_freevars and bound.isidentifier():
        outer.body.insert(0, ast.Global([bound]))  # or it would be a local name here, and no global one within
    module = ast.fix_missing_locations(ast.Module([*source.imports, outer], []))
    made: CodeType = compile(module, code.co_filename, "exec", flags=code.co_flags & _FUTURE, dont_inherit=True)
    for _ in range(2 if source.owner is None else 3):  # the function around it, and the class
        made = next(const for const in made.co_consts if isinstance(const, CodeType))
    return made


def _same(one: CodeType, other: CodeType) -> bool:
    """Say whether two pieces of code do the same."""
    parts = ("co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars")
    if any(getattr(one, part) != getattr(other, part) for part in parts):
        return False
    return len(one.co_consts) == len(other.co_consts) and all(map(_same_const, one.co_consts, other.co_consts))


def _same_const(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return _same(one, other)
    if isinstance(one, frozenset):
        return bool(one == other)
    return type(one) is type(other) and repr(one) == repr(other)  # 0.0 is not -0.0
