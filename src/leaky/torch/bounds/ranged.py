"""Tensors that stand for all values in a range, and travel through a network's forward pass in place of data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from leaky.torch.bounds import linear, moving, pointwise  # noqa: F401 - they fill the table of rules
from leaky.torch.bounds.pointwise import LOGIC
from leaky.torch.bounds.rounding import Interval
from leaky.torch.bounds.rules import RULES, Call

aten = torch.ops.aten

# Views that are more than that: of bits, or of memory beside the tensor.
_UNFOLLOWED = {aten.as_strided.default, aten.view.dtype, aten.view_as_real.default, aten.view_as_complex.default}

# Operations whose rules take ranges of booleans or integers, and those whose rules return such.
_TAKES_MASKS = {"where", "mul", "_to_copy", "embedding", "clone"}
_GIVES_MASKS = {"gt", "ge", "lt", "le", "clone"}


class Stopped(BaseException):
    """The forward pass depends on values and cannot be followed. No network's own ``except`` should catch this."""


class Ranged(Tensor):
    """A tensor without data, of which bounds are known for each element, or nothing at all.

    Operations on it, in whatever way they are called, come to :meth:`__torch_dispatch__`; what asks for its values
    (``item``, ``numpy``, an ``if``) raises. Tensors that are not ``Ranged`` are constants. The bounds are laid out as
    the data would be, and views of it have views of them: what is done in place is seen wherever it would be.
    """

    bounds: Interval
    #: why nothing is known where nothing is
    reason: str

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # PyTorch's own way to say so

    @staticmethod
    def __new__(cls, bounds: Interval, dtype: torch.dtype, reason: str = "") -> Self:
        """Return a tensor of the bounds' shape and layout."""
        like = bounds.lower
        self: Self = torch.Tensor._make_wrapper_subclass(
            cls,
            like.shape,
            strides=like.stride(),
            storage_offset=like.storage_offset(),
            dtype=dtype,
            device=like.device,
        )
        self.bounds, self.reason = bounds, reason
        return self

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]  # PyTorch gives the contents as an argument
        return f"Ranged({tuple(self.shape)}, {self.dtype}, {self.reason or 'known'})"

    def data_ptr(self) -> int:
        """Return where the bounds lie, by which tensors that share memory can be told."""
        return self.bounds.lower.data_ptr()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # PyTorch's is untyped
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return the operation's results as ranges."""
        kwargs = kwargs or {}
        if func in _UNFOLLOWED or {torch.Tag.data_dependent_output, torch.Tag.inplace_view} & set(func.tags):
            raise Stopped(f"{func} depends on values or changes shapes")
        written = _written(func, args, kwargs)
        if not all(isinstance(target, Ranged) for target in written):
            raise Stopped(f"{func} writes what varies into a constant")
        if func.is_view:
            return _view(func, args, kwargs)
        if func._schema.is_mutable and _name(func).endswith("_"):  # and not __and__, which only looks like it
            return _in_place(func, args, kwargs, written)
        for target in written:
            _overwrite(target, None, f"{func} is not followed")
        return _new(func, args, kwargs)


def _name(func: Any) -> str:
    return str(func.overloadpacket.__name__)


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Return the tensors that the operation overwrites."""
    given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
    names = [a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return [leaf for name in names for leaf in tree_leaves(given.get(name)) if isinstance(leaf, Tensor)]


def _view(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return views of the bounds."""
    (source,) = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Ranged)]

    def view(end: Tensor) -> Any:
        inner, named = tree_map(lambda leaf: end if leaf is source else leaf, (args, kwargs))
        return func(*inner, **named)

    lowers, spec = tree_flatten(view(source.bounds.lower))
    uppers = tree_leaves(view(source.bounds.upper))
    views = [Ranged(Interval(*pair), source.dtype, source.reason) for pair in zip(lowers, uppers, strict=True)]
    return tree_unflatten(views, spec)


def _in_place(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], written: list[Ranged]) -> Any:
    """Overwrite bounds, by the rule of the same operation that is not in place."""
    functional = getattr(getattr(aten, _name(func).removesuffix("_"), None), func._overloadname, None)
    results: Sequence[Interval | None] = [None]
    reason = f"{func} is not followed"
    if functional is not None and isinstance(args[0], Ranged):
        results, reason = _apply(functional, args[0].dtype, args, kwargs)
    for target in written:
        _overwrite(target, results[0] if target is args[0] else None, reason)
    return args[0]


def _overwrite(target: Ranged, bounds: Interval | None, reason: str) -> None:
    for end, new in zip(target.bounds, bounds or (math.nan, math.nan), strict=True):
        end.copy_(torch.as_tensor(new))
    target.reason = reason


def _new(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return an operation's results, each a range."""
    templates, spec = tree_flatten(_templates(func, args, kwargs))
    results, reason = _apply(func, templates[0].dtype, args, kwargs)
    ranges = [_range(like, bounds, reason) for like, bounds in zip_longest(templates, results)]
    return tree_unflatten(ranges, spec)


def _templates(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what the operation returns for tensors without data: shapes and types."""
    if func is aten.index.Tensor and not any(isinstance(leaf, Ranged) for leaf in tree_leaves(args[1])):
        data = args[0].bounds.lower if isinstance(args[0], Ranged) else args[0]
        return func(data, *args[1:]).to(args[0].dtype)  # as many as there are True in a mask
    if torch.Tag.dynamic_output_shape in func.tags:
        raise Stopped(f"{func} depends on values")

    def empty(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return torch.empty_strided(leaf.shape, leaf.stride(), dtype=leaf.dtype, device="meta")
        return torch.device("meta") if isinstance(leaf, torch.device) else leaf

    args, kwargs = tree_map(empty, (args, kwargs))
    return func(*args, **kwargs)


def _apply(
    func: Any, dtype: torch.dtype, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Sequence[Interval | None], str]:
    """Return the bounds of an operation's results, and why nothing is known if nothing is."""
    name = _name(func)
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    sources = [leaf for leaf in tensors if isinstance(leaf, Ranged)]
    reason = next((source.reason for source in sources if source.reason), "")
    floating = [source.dtype for source in sources if source.dtype.is_floating_point]
    of_masks = name in LOGIC and {dtype, *(each.dtype for each in tensors)} == {torch.bool}
    takes = len(floating) == len(sources) or of_masks or name in _TAKES_MASKS
    gives = dtype.is_floating_point or of_masks or name in _GIVES_MASKS
    if name not in RULES or not takes or not gives:
        return [None], reason or f"{func} is not followed"
    call = Call(func, dtype if dtype.is_floating_point else [*floating, torch.float32][0])
    args, kwargs = tree_map(lambda leaf: leaf.bounds if isinstance(leaf, Ranged) else leaf, (args, kwargs))
    results = RULES[name](call, *args, **kwargs)
    results = [results] if results is None or isinstance(results, Interval) else results
    settled = [result and call.numbers.settled(result) for result in results]
    if settled[0] is None or bool(settled[0].lower.isnan().any()):
        return settled, reason or f"{func} is not followed or may overflow"
    return settled, ""


def _range(like: Any, bounds: Interval | None, reason: str) -> Any:
    """Return a range of a template's shape and type."""
    if bounds is None:
        return unknown(like, reason)
    if bounds.lower.shape != like.shape:
        bounds = Interval(*(end.broadcast_to(like.shape).clone() for end in bounds))
    return Ranged(bounds, like.dtype, reason)


def unknown(like: Any, reason: str) -> Any:
    """Return a range of a tensor's shape and type of which nothing is known; what is no tensor, as it is."""
    if not isinstance(like, Tensor):
        return like
    return Ranged(
        Interval(*(torch.full(like.shape, math.nan, dtype=torch.float64) for _ in range(2))), like.dtype, reason
    )


def bounds_of(tensor: Any) -> Interval | None:
    """Return bounds on a range's elements, float64, NaN where nothing is known; None for what is no range."""
    return tensor.bounds if isinstance(tensor, Ranged) else None
