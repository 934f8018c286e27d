"""Whether the operators Relu and LeakyRelu can take the place of a site's operation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from leaky.onnx.catalogue import constant
from leaky.onnx.tracing import Found


def slope_for(found: Found, wanted: float | None) -> float | None:
    """Return the slope that a site is to have: the one wanted, or else its own; None if its own is not one number."""
    if wanted is not None:
        return wanted
    slopes = _slopes(found)
    return slopes.pop() if len(slopes) == 1 else None


def alpha(slope: float) -> float:
    """Return a slope as the attribute alpha holds it, which is a float32."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(slope))


def holds(slope: float) -> bool:
    """Say whether alpha can hold a slope, but for rounding: it is a number, and neither too large nor too small."""
    held = alpha(slope)
    return not math.isnan(slope) and (held == 0) == (slope == 0) and math.isinf(held) == math.isinf(slope)


def _slopes(found: Found) -> set[float]:
    """Return the slopes that a site has: none if they are not constant."""
    slope = found.activation.slope
    if slope is None:
        return set() if found.activation.kind == "prelu" else {0.0}
    return {float(each) for each in np.ravel(slope)}


def unsuited(found: Found, wanted: float | None, opset: int) -> str:
    """Return why a site cannot be, or need not be, a rectifier of a slope, in a few words; nothing if it can.

    Args:
        found: the site, with shapes inferred.
        wanted: the slope; None if it is to keep its own.
        opset: version of ONNX's own operators where it is written.
    """
    own, activation, slope = _slopes(found), found.activation, slope_for(found, wanted)
    if slope is None:
        return f"it has {len(own):,} slopes, and LeakyRelu takes one" if own else "its slopes are not constant"
    if not holds(slope):
        return f"its slope is {slope:g}, which LeakyRelu does not hold"
    if activation.kind in ("relu", "leaky_relu") and {alpha(each) for each in own} == {alpha(slope)}:
        return f"its slope is {slope:g} already"
    operator, dtype = "LeakyRelu" if slope else "Relu", activation.value.dtype
    constraints = onnx.defs.get_schema(operator, opset, "").type_constraints
    taken = {each for constraint in constraints for each in constraint.allowed_type_strs}
    if dtype is not None and f"tensor({dtype.name.lower()})" not in taken:
        return f"{operator} takes no {dtype.name.lower()} in opset {opset}"
    return "its output may be of another shape than its input" if _stretches(found) else ""


def _stretches(found: Found) -> bool:
    """Say whether an operation on several values may broadcast its pre-activation to the shape of a constant."""
    if found.node.op_type not in ("Max", "Where", "Mul"):
        return False
    before, after = found.activation.value.shape, found.node.outputs[0].shape
    if before is not None and after is not None and (before.is_static() or len(before) != len(after)):
        return before != after
    rank = 1 if before is None else len(before)
    numbers = (each for value in found.node.inputs for each in _constants(value, found.activation.value))
    return any(each.size > 1 or each.ndim > rank for each in numbers)


def _constants(value: ir.Value | None, x: ir.Value) -> Iterator[NDArray[np.generic]]:
    """Yield the constants from which, and x, a value is computed, in a form of an activation."""
    if value is not None and value is not x:
        numbers, node = constant(value), value.producer()
        if numbers is not None:
            yield numbers
        elif node is not None:
            for each in node.inputs:
                yield from _constants(each, x)
