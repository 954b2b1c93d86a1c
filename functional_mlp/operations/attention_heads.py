"""Softmax attention (masked, causal, grouped-query) and the rotary embedding of its positions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from functional_mlp._checks import finite_float
from functional_mlp.operations.arguments import in_working_dtype, integers, require_axes, require_shape


@in_working_dtype("mask")
def attention(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Any = None,
    *,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Array, "*batch heads n d_values"]:
    """softmax(scale queries keysᵀ) values, per head.

    Args:
        queries: (..., heads, n, d), float.
        keys: (..., groups, m, d), float; each group serves heads / groups neighbouring heads (grouped-query attention;
            one group: multi-query attention).
        values: (..., groups, m, d_values), float.
        mask: booleans (..., heads, n, m), axes of size 1 standing for all: True where a query may attend to a key.
        causal: whether no query attends to later keys; the last query stands beside the last key.
        scale: finite; None: 1 / sqrt(d).

    Returns:
        (..., heads, n, d_values), dtype of queries. A query that may attend to no key gets 0.

    Raises:
        TypeError: for what holds no floats, or a mask without booleans.
        ValueError: for shapes that do not fit.

    Source: Vaswani and others, Attention is all you need, 2017, equation 1; Ainslie and others, GQA, 2023.

    Example:
        >>> x = jnp.ones((1, 2, 1))
        >>> attention(x, x, jnp.array([[[1.0], [3.0]]]), causal=True).tolist()
        [[[1.0], [2.0]]]
    """
    for name, array in (("queries", queries), ("keys", keys), ("values", values)):
        require_axes(name, array, 3, "(..., heads, length, d)")
    *batch, heads, n, d = queries.shape
    groups, m = keys.shape[-3:-1]
    if not groups or heads % groups:
        raise ValueError(f"expected heads of queries that divide among the groups of keys, got {heads} and {groups}")
    require_shape("keys", keys, (*batch, groups, m, d), "as queries have")
    require_shape("values", values, (*batch, groups, m, values.shape[-1]), "as keys have")
    keys, values = (jnp.repeat(each, heads // groups, axis=-3) for each in (keys, values))
    scale = d**-0.5 if scale is None else finite_float("scale", scale)
    scores = scale * jnp.matmul(queries, jnp.swapaxes(keys, -1, -2), precision="highest")
    allowed = jnp.broadcast_to(_allowed(mask, causal, n, m, scores.ndim), scores.shape)
    largest = jnp.max(scores, axis=-1, keepdims=True, initial=jnp.finfo(scores.dtype).min, where=allowed)
    shifted = jnp.where(allowed, scores - jax.lax.stop_gradient(largest), 0)
    exponential = jnp.where(allowed, jnp.exp(shifted), 0)
    total = jnp.sum(exponential, axis=-1, keepdims=True)
    weights = exponential / jnp.where(jnp.any(allowed, axis=-1, keepdims=True), total, 1)
    return jnp.matmul(weights, values, precision="highest")


def _allowed(mask: Any, causal: bool, n: int, m: int, ndim: int) -> Array:
    """Where a query may attend to a key, with `ndim` axes, some of size 1."""
    allowed = jnp.ones((1,) * ndim, bool)
    if mask is not None:
        given = mask if isinstance(mask, jax.Array) else np.asarray(mask)
        if given.dtype != bool:
            raise TypeError(f"expected mask to hold booleans, True where a query attends, got dtype {given.dtype}")
        if given.ndim > ndim:
            raise ValueError(f"expected mask with at most {ndim} axes, (..., heads, n, m), got shape {given.shape}")
        allowed = jnp.asarray(given).reshape((1,) * (ndim - given.ndim) + given.shape)
    if causal:
        order = jnp.arange(n)[:, None] + (m - n) >= jnp.arange(m)[None, :]
        allowed = allowed & order.reshape((1,) * (ndim - 2) + order.shape)
    return allowed


@in_working_dtype("positions")
def rotary_embedding(
    x: Array, positions: Any, *, base: float = 10000.0, interleaved: bool = False
) -> Float[Array, "*batch n d"]:
    """Pairs of numbers turned by position · base^(-2i/d), i the number of the pair from 0.

    Args:
        x: (..., n, d), float, d even.
        positions: (n,) integers.
        base: above 0.
        interleaved: whether a pair is (x[2i], x[2i + 1]), as published; else (x[i], x[i + d/2]), as LLaMA's.

    Returns:
        Shape and dtype of x.

    Raises:
        TypeError: for what holds no floats, or positions that are no integers.
        ValueError: for other shapes, or an odd d.

    Source: Su and others, RoFormer, 2021, equation 34.

    Example:
        >>> rotary_embedding(jnp.array([[1.0, 0.0]]), jnp.array([0])).tolist()
        [[1.0, 0.0]]
    """
    require_axes("x", x, 2, "(..., n, d)")
    *_, n, d = x.shape
    if d % 2:
        raise ValueError(f"expected x with an even number of units, which are turned in pairs, got {d}")
    where = integers("positions", positions)
    require_shape("positions", where, (n,), "one per row of x")
    rates = finite_float("base", base) ** (-np.arange(0, d, 2) / d)
    angles = where.astype(x.dtype)[:, None] * jnp.asarray(rates, x.dtype)[None, :]
    angles = angles.reshape((1,) * (x.ndim - 2) + angles.shape)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., : d // 2], x[..., d // 2 :])
    turned = (first * cos - second * sin, first * sin + second * cos)
    return jnp.stack(turned, axis=-1).reshape(x.shape) if interleaved else jnp.concatenate(turned, axis=-1)
