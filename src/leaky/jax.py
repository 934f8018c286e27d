"""Leaky ReLU for JAX, after the one definition: the slope's rounding, and the derivative at 0, are the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from leaky.extras import needed_by

with needed_by("leaky.jax"):
    import jax
    import jax.numpy as jnp
    from jax import lax
    from jax.custom_derivatives import SymbolicZero
    from jax.typing import ArrayLike

from leaky.function import real_slope

__all__ = ["leaky_relu"]


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> jax.Array:
    """Return ``x`` where ``x > 0``, ``negative_slope * x`` everywhere else (Maas et al. 2013).

    It jits, maps, and differentiates to any order, by ``x`` and by an array of slopes (PReLU, He et al. 2015).

    Where it differs from ``jax.nn.leaky_relu``: the derivative at 0 is the slope, not 1; in float16 and bfloat16 the
    slope is rounded to float32, not to 16 bits, and the product once to the type of ``x``.

    XLA's code for CPUs takes subnormal numbers for zeros and returns zeros for them. So it does here, in float32, in
    float64 and in bfloat16 (which is computed in float32): a subnormal ``x`` below 0 counts as -0.0, and so does a
    subnormal product, in forward and in the gradient. Positive ``x`` are returned as they are, subnormal ones too, and
    float16 is exact throughout. ``leaky.leaky_relu`` and PyTorch flush nothing.

    Args:
        x: real numbers, of any shape. Float types are kept; integers and bools become JAX's default float.
        negative_slope: a real number, or an array of them that broadcasts with ``x``. It may be traced.

    Returns:
        An array of the broadcast shape.

    Raises:
        TypeError: ``x`` or the slope is not real.
        ValueError: the slope is a number that is NaN. In arrays, which may be traced, NaN is not looked for.
    """
    array = jnp.asarray(x)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(f"x must hold real numbers, got an array of {array.dtype}")
    array = array.astype(jnp.result_type(array, 0.0))
    compute = jnp.promote_types(array.dtype, jnp.float32)
    with np.errstate(over="ignore"):  # a slope beyond float32's range becomes infinite
        slope = _slope(negative_slope).astype(compute)
    return _leaky_relu(array, slope)


def _slope(negative_slope: Any) -> Any:
    """Return the slope as an array, or as the float64 that it is held in."""
    if not isinstance(negative_slope, jax.Array) and np.ndim(negative_slope) == 0:
        return np.float64(real_slope(negative_slope))
    slopes = negative_slope if isinstance(negative_slope, jax.Array) else np.asarray(negative_slope)
    if not (jnp.issubdtype(slopes.dtype, jnp.floating) or jnp.issubdtype(slopes.dtype, jnp.integer)):
        raise TypeError(f"negative_slope must hold real numbers, got an array of {slopes.dtype}")
    return slopes


@jax.custom_jvp
def _leaky_relu(x: jax.Array, slope: jax.Array) -> jax.Array:
    return jnp.where(_is_positive(x), x, (x.astype(slope.dtype) * slope).astype(x.dtype))


def _jvp(primals: tuple[jax.Array, jax.Array], tangents: tuple[Any, Any]) -> tuple[jax.Array, jax.Array]:
    (x, slope), (x_tangent, slope_tangent) = primals, tangents
    positive, y = _is_positive(x), _leaky_relu(x, slope)
    parts = []
    if not isinstance(x_tangent, SymbolicZero):
        # As a product, so that its transpose, too, is one product: no 0 · ∞ from the branch that was not taken.
        parts.append((x_tangent.astype(slope.dtype) * jnp.where(positive, 1, slope)).astype(x.dtype))
    if not isinstance(slope_tangent, SymbolicZero):
        parts.append((slope_tangent * jnp.where(positive, 0, x).astype(slope.dtype)).astype(x.dtype))
    return y, jnp.broadcast_to(sum(parts[1:], start=parts[0]), y.shape)


_leaky_relu.defjvp(_jvp, symbolic_zeros=True)


def _is_positive(x: jax.Array) -> jax.Array:
    """Return ``x > 0`` as it is before subnormal numbers are taken for zeros: by comparing integers."""
    bits = lax.bitcast_convert_type(x, jnp.dtype(f"int{8 * x.dtype.itemsize}"))
    return (bits > 0) & ~jnp.isnan(x)
