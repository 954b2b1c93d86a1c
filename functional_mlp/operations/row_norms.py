"""Layer norm and RMS norm: every row brought to one size, each beside its hand-derived VJP.

The forward passes that keep residuals scale a row by a power of two first, so that no square overflows or vanishes.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from functional_mlp._checks import floating_array
from functional_mlp.operations.arguments import (
    along,
    in_working_dtype,
    not_negative,
    require_axes,
    require_size,
    scaled_and_shifted,
    wide,
)


class NormResiduals(NamedTuple):
    """All that the backward passes read.

    Attributes:
        normalised: the rows x̂ before weight and bias, (..., units).
        root: s = sqrt(mean square + epsilon) of every row, (..., 1).
        weight, bias: as given, (units,) or None.
    """

    normalised: Float[Array, "*rows units"]
    root: Float[Array, "*rows 1"]
    weight: Float[Array, " units"] | None
    bias: Float[Array, " units"] | None


class NormCotangents(NamedTuple):
    """dLoss/dx, dLoss/dweight and dLoss/dbias, of the shapes and dtypes of what they belong to; None where none is."""

    ct_x: Float[Array, "*rows units"]
    ct_weight: Float[Array, " units"] | None
    ct_bias: Float[Array, " units"] | None


def _checked(x: Array, weight: Array | None, bias: Array | None, epsilon: float) -> float:
    require_axes("x", x, 1, "(..., units)")
    require_size("weight", weight, x.shape[-1], "unit")
    require_size("bias", bias, x.shape[-1], "unit")
    return not_negative("epsilon", epsilon)


@in_working_dtype()
def layer_norm(
    x: Array, weight: Array | None = None, bias: Array | None = None, *, epsilon: float = 1e-5
) -> Float[Array, "*rows units"]:
    """(x - mean) / sqrt(variance + epsilon) weight + bias, mean and variance of every row.

    Args:
        x: (..., units), float.
        weight, bias: (units,), float; None: 1 and 0.
        epsilon: at least 0, in units of x squared. PyTorch's and flax's is inside of the root too; its default is
            1e-5 and 1e-6.

    Returns:
        Shape and dtype of x. The variance is divided by the number of units, not by one less.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for other shapes, or a negative epsilon.

    Source: Ba, Kiros and Hinton, Layer normalization, 2016.

    Example:
        >>> layer_norm(jnp.array([1.0, 3.0]), epsilon=0.0).tolist()
        [-1.0, 1.0]
    """
    epsilon = _checked(x, weight, bias, epsilon)
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(centred**2, axis=-1, keepdims=True)
    return scaled_and_shifted(centred / jnp.sqrt(variance + epsilon), weight, bias)


def layer_norm_forward(
    x: ArrayLike, weight: ArrayLike | None = None, bias: ArrayLike | None = None, *, epsilon: float = 1e-5
) -> tuple[Float[Array, "*rows units"], NormResiduals]:
    """`layer_norm` and what its backward pass reads; arguments, errors and source as there.

    Example:
        >>> y, residuals = layer_norm_forward(jnp.array([[1.0, 3.0]]), epsilon=0.0)
        >>> y.tolist(), residuals.root.tolist()
        ([[-1.0, 1.0]], [[1.0]])
    """
    return _forward(x, weight, bias, epsilon, centre=True)


def layer_norm_backward(residuals: NormResiduals, ct_y: ArrayLike) -> NormCotangents:
    """ct_x = (g - mean g - x̂ mean(g x̂)) / s with g = ct_y weight; ct_weight = sum of ct_y x̂, ct_bias = sum of ct_y.

    Args:
        residuals: of `layer_norm_forward`.
        ct_y: dLoss/dy, shape of y.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for another shape.

    Example:
        >>> _, residuals = layer_norm_forward(jnp.array([[1.0, 3.0]]), jnp.ones(2), epsilon=1.0)
        >>> ct = layer_norm_backward(residuals, jnp.array([[1.0, 0.0]]))
        >>> print(ct.ct_x.round(4), ct.ct_weight.round(4))  # 1 / sqrt 32, and -1 / sqrt 2
        [[ 0.1768 -0.1768]] [-0.7071  0.    ]
    """
    return _backward(residuals, ct_y, centre=True)


@in_working_dtype()
def rms_norm(x: Array, weight: Array | None = None, *, epsilon: float = 1e-6) -> Float[Array, "*rows units"]:
    """x / sqrt(mean of x² + epsilon) weight, the mean of every row.

    Args:
        x: (..., units), float.
        weight: (units,), float; None: 1.
        epsilon: at least 0, inside of the root.

    Returns:
        Shape and dtype of x.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for other shapes, or a negative epsilon.

    Source: Zhang and Sennrich, Root mean square layer normalization, 2019.

    Example:
        >>> rms_norm(jnp.array([3.0, -3.0]), epsilon=0.0).tolist()
        [1.0, -1.0]
    """
    epsilon = _checked(x, weight, None, epsilon)
    mean_square = jnp.mean(x**2, axis=-1, keepdims=True)
    return scaled_and_shifted(x / jnp.sqrt(mean_square + epsilon), weight, None)


def rms_norm_forward(
    x: ArrayLike, weight: ArrayLike | None = None, *, epsilon: float = 1e-6
) -> tuple[Float[Array, "*rows units"], NormResiduals]:
    """`rms_norm` and what its backward pass reads; arguments, errors and source as there.

    Example:
        >>> y, residuals = rms_norm_forward(jnp.array([[2.0, -2.0]]), epsilon=0.0)
        >>> y.tolist(), residuals.root.tolist()
        ([[1.0, -1.0]], [[2.0]])
    """
    return _forward(x, weight, None, epsilon, centre=False)


def rms_norm_backward(residuals: NormResiduals, ct_y: ArrayLike) -> NormCotangents:
    """ct_x = (g - x̂ mean(g x̂)) / s with g = ct_y weight; ct_weight = sum of ct_y x̂; there is no ct_bias.

    Args, Raises: as `layer_norm_backward`.

    Example:
        >>> _, residuals = rms_norm_forward(jnp.array([[2.0, -2.0]]), jnp.ones(2), epsilon=0.0)
        >>> rms_norm_backward(residuals, jnp.array([[1.0, 0.0]])).ct_x.tolist()
        [[0.25, 0.25]]
    """
    return _backward(residuals, ct_y, centre=False)


def _forward(
    x: ArrayLike, weight: ArrayLike | None, bias: ArrayLike | None, epsilon: float, *, centre: bool
) -> tuple[Array, NormResiduals]:
    given = floating_array("x", x)
    weight, bias = (
        None if each is None else floating_array(name, each) for name, each in (("weight", weight), ("bias", bias))
    )
    epsilon = _checked(given, weight, bias, epsilon)
    rows = wide(given, weight, bias)
    # (2^-e x) / sqrt(mean (2^-e x)² + 2^-2e epsilon) is the same: a power of two rounds nothing
    largest = jnp.max(jnp.abs(rows), axis=-1, keepdims=True, initial=0.0)
    exponent = jnp.maximum(jnp.frexp(largest)[1], jnp.finfo(rows.dtype).minexp // 2 + 2)  # 2^-2e is finite
    rows = jnp.ldexp(rows, -exponent)
    if centre:
        rows = rows - jnp.mean(rows, axis=-1, keepdims=True)
        rows = rows - jnp.mean(rows, axis=-1, keepdims=True)  # of what rounding the mean has left in each
    mean_square = jnp.mean(rows * rows, axis=-1, keepdims=True)
    root = jnp.sqrt(mean_square + jnp.ldexp(jnp.full_like(mean_square, epsilon), -2 * exponent))
    normalised = rows / root
    by, beside = (None if each is None else each.astype(rows.dtype) for each in (weight, bias))
    y = scaled_and_shifted(normalised, by, beside)
    return y.astype(given.dtype), NormResiduals(normalised, jnp.ldexp(root, exponent), weight, bias)


def _backward(residuals: NormResiduals, ct_y: ArrayLike, *, centre: bool) -> NormCotangents:
    normalised, root, weight, bias = residuals
    given = floating_array("ct_y", ct_y)
    if given.shape != normalised.shape:
        raise ValueError(f"expected ct_y of the shape of y, {normalised.shape}, got {given.shape}")
    ct = given.astype(normalised.dtype)
    ct_normalised = ct if weight is None else ct * along(weight.astype(ct.dtype), -1, ct.ndim)
    projected = jnp.mean(ct_normalised * normalised, axis=-1, keepdims=True)
    if centre:
        ct_normalised = ct_normalised - jnp.mean(ct_normalised, axis=-1, keepdims=True)
    ct_x = (ct_normalised - normalised * projected) / root
    samples = tuple(range(ct.ndim - 1))
    ct_weight = None if weight is None else jnp.sum(ct * normalised, axis=samples).astype(weight.dtype)
    ct_bias = None if bias is None else jnp.sum(ct, axis=samples).astype(bias.dtype)
    return NormCotangents(ct_x.astype(given.dtype), ct_weight, ct_bias)
