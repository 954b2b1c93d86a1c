"""Convolution and pooling of any number of spatial axes, and the rows of a table that indices choose."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from functional_mlp._checks import floating_array, positive_int
from functional_mlp.operations.arguments import along, in_working_dtype, integers, require_axes, require_size

Sizes = int | Sequence[int]


def embedding(table: ArrayLike, indices: ArrayLike) -> Float[Array, "*shape d"]:
    """Rows of a table; its gradient sums over the places where a row is used.

    Args:
        table: (rows, d), float.
        indices: integers from 0 to rows - 1, any shape. One out of range gives NaN, so that no result hides it.

    Returns:
        (..., d), dtype of the table.

    Raises:
        TypeError: for a table without floats, or indices that are no integers.
        ValueError: for a table of another number of axes.

    Example:
        >>> embedding(jnp.array([[1.0], [2.0]]), jnp.array([1, 1])).tolist()
        [[2.0], [2.0]]
    """
    rows, chosen = floating_array("table", table, 2, "(rows, d)"), integers("indices", indices)
    known = (chosen >= 0) & (chosen < rows.shape[0])
    found = jnp.take(rows, chosen, axis=0, mode="clip")
    return jnp.where(known[..., None], found, jnp.nan)


@in_working_dtype()
def conv(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Float[Array, "n channels_out *places"]:
    """What networks call a convolution: y[o, p] is the sum over c and k of x[c, stride p + dilation k] kernel[o, c, k].

    Args:
        x: (n, channels, ...), float; one, two or three spatial axes.
        kernel: (channels_out, channels / groups, ...), float, as many spatial axes.
        bias: (channels_out,), float, or None.
        stride, padding, dilation: one number for all spatial axes, or one each; zeros are put on both sides.
        groups: how many independent parts the channels fall into; as many as channels: depthwise.

    Returns:
        (n, channels_out, ...), dtype of x.

    Raises:
        TypeError: for what holds no floats, or settings that are no integers.
        ValueError: for shapes that do not fit.

    Source: LeCun and others, Backpropagation applied to handwritten zip code recognition, 1989.

    Example:
        >>> conv(jnp.array([[[1.0, 2.0, 4.0]]]), jnp.array([[[1.0, -1.0]]])).tolist()
        [[[-1.0, -2.0]]]
    """
    require_axes("x", x, 3, "(n, channels, ...) with at least one spatial axis")
    spatial = x.ndim - 2
    if kernel.ndim != x.ndim or x.shape[1] != kernel.shape[1] * positive_int("groups", groups):
        raise ValueError(
            f"expected kernel of shape (channels_out, channels / groups, ...) with {x.ndim} axes for x {x.shape} and"
            f" groups={groups}, got {kernel.shape}"
        )
    require_size("bias", bias, kernel.shape[0], "channel of the result")
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=_sizes("stride", stride, spatial),
        padding=[(size, size) for size in _sizes("padding", padding, spatial, least=0)],
        rhs_dilation=_sizes("dilation", dilation, spatial),
        feature_group_count=groups,
        precision="highest",
    )
    return y if bias is None else y + along(bias, 1, y.ndim)


@in_working_dtype()
def max_pool(
    x: Array, *, window: Sizes, stride: Sizes | None = None, padding: Sizes = 0
) -> Float[Array, "n channels *places"]:
    """The largest number of every window; of several equal ones the first gets the gradient.

    Args:
        x: (n, channels, ...), float.
        window, stride, padding: one number for all spatial axes, or one each; stride None: the window. What is put on
            both sides is never the largest.

    Returns:
        (n, channels, ...), dtype of x.

    Raises:
        TypeError: for what holds no floats, or settings that are no integers.
        ValueError: for shapes that do not fit.

    Example:
        >>> max_pool(jnp.array([[[1.0, 3.0, 2.0, 0.0]]]), window=2).tolist()
        [[[3.0, 2.0]]]
    """
    return lax.reduce_window(x, -jnp.inf, lax.max, *_windows(x, window, stride, padding))


@in_working_dtype()
def average_pool(
    x: Array, *, window: Sizes, stride: Sizes | None = None, padding: Sizes = 0
) -> Float[Array, "n channels *places"]:
    """The mean of every window, zeros on both sides counted; arguments and errors as of `max_pool`.

    Example:
        >>> average_pool(jnp.array([[[1.0, 3.0, 2.0, 0.0]]]), window=2).tolist()
        [[[2.0, 1.0]]]
    """
    sizes, *others = _windows(x, window, stride, padding)
    return lax.reduce_window(x, 0.0, lax.add, sizes, *others) / math.prod(sizes)


def _windows(x: Array, window: Sizes, stride: Sizes | None, padding: Sizes) -> tuple[Any, Any, Any]:
    require_axes("x", x, 3, "(n, channels, ...) with at least one spatial axis")
    spatial = x.ndim - 2
    sizes = _sizes("window", window, spatial)
    strides = sizes if stride is None else _sizes("stride", stride, spatial)
    pads = [(size, size) for size in _sizes("padding", padding, spatial, least=0)]
    return (1, 1, *sizes), (1, 1, *strides), [(0, 0), (0, 0), *pads]


def _sizes(what: str, value: Any, spatial: int, least: int = 1) -> tuple[int, ...]:
    """One size per spatial axis."""
    each = tuple(value) if isinstance(value, list | tuple) else (value,) * spatial
    if len(each) != spatial:
        raise ValueError(f"expected one {what}, or one for each of {spatial} spatial axes, got {value!r}")
    for size in each:
        if isinstance(size, bool) or not isinstance(size, numbers.Integral):
            raise TypeError(f"expected {what} to be an integer, got {size!r}")
        if size < least:
            raise ValueError(f"expected {what} to be at least {least}, got {size}")
    return tuple(int(size) for size in each)
