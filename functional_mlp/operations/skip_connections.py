"""The residual connection and dropout with a given mask, each beside its hand-derived VJP."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from functional_mlp._checks import finite_float, floating_array
from functional_mlp._dtypes import working_dtype
from functional_mlp.operations.arguments import in_working_dtype, require_shape, wide


class ResidualResiduals(NamedTuple):
    """All that the backward pass of the residual connection reads: its scale, (), in the working dtype."""

    scale: Float[Array, ""]


class ResidualCotangents(NamedTuple):
    """dLoss/dx and dLoss/dbranch, both of the shape and dtype of ct_y."""

    ct_x: Float[Array, "*shape"]
    ct_branch: Float[Array, "*shape"]


@in_working_dtype()
def residual(x: Array, branch: Array, *, scale: float = 1.0) -> Float[Array, "*shape"]:
    """x + scale branch.

    Args:
        x: the stream, float, any shape.
        branch: what a block made of it, float, of the same shape.
        scale: finite.

    Returns:
        Shape and dtype of x.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for other shapes.

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015.

    Example:
        >>> residual(jnp.array([1.0]), jnp.array([2.0]), scale=0.5).tolist()
        [2.0]
    """
    require_shape("branch", branch, x.shape, "that of x")
    return x + finite_float("scale", scale) * branch


def residual_forward(
    x: ArrayLike, branch: ArrayLike, *, scale: float = 1.0
) -> tuple[Float[Array, "*shape"], ResidualResiduals]:
    """`residual` and what its backward pass reads; arguments, errors and source as there.

    Example:
        >>> y, residuals = residual_forward(jnp.array([1.0]), jnp.array([2.0]), scale=0.5)
        >>> y.tolist(), residuals.scale.tolist()
        ([2.0], 0.5)
    """
    work = wide(floating_array("x", x), floating_array("branch", branch)).dtype
    return residual(x, branch, scale=scale), ResidualResiduals(jnp.asarray(finite_float("scale", scale), work))


def residual_backward(residuals: ResidualResiduals, ct_y: ArrayLike) -> ResidualCotangents:
    """ct_x = ct_y, ct_branch = scale ct_y.

    Args:
        residuals: of `residual_forward`.
        ct_y: dLoss/dy, float.

    Raises:
        TypeError: for what holds no floats.

    Example:
        >>> _, residuals = residual_forward(jnp.array([1.0]), jnp.array([2.0]), scale=0.5)
        >>> residual_backward(residuals, jnp.array([4.0])).ct_branch.tolist()
        [2.0]
    """
    given = floating_array("ct_y", ct_y)
    return ResidualCotangents(given, (residuals.scale * given.astype(residuals.scale.dtype)).astype(given.dtype))


class DropoutResiduals(NamedTuple):
    """All that the backward pass of dropout reads.

    Attributes:
        mask: True where a number was kept, of the shape of x.
        factor: 1 / (1 - rate), (), in the working dtype.
    """

    mask: Bool[Array, "*shape"]
    factor: Float[Array, ""]


def _kept(mask: Any, shape: tuple[int, ...]) -> Array:
    array = mask if isinstance(mask, jax.Array) else np.asarray(mask)
    if array.dtype != bool:
        raise TypeError(f"expected mask to hold booleans, True where a number is kept, got dtype {array.dtype}")
    require_shape("mask", array, shape, "that of x")
    return jnp.asarray(array)


def _share_kept(rate: Any) -> float:
    number = finite_float("rate", rate)
    if not 0 <= number < 1:
        raise ValueError(f"expected rate, the share that is dropped, to be at least 0 and below 1, got {number}")
    return 1 - number


@in_working_dtype("mask")
def dropout(x: Array, mask: Any, *, rate: float) -> Float[Array, "*shape"]:
    """x / (1 - rate) where the mask is True, else 0.

    Args:
        x: float, any shape.
        mask: booleans of the shape of x, as drawn by whoever trains: nothing is drawn here.
        rate: the share that is dropped, in [0, 1).

    Returns:
        Shape and dtype of x.

    Raises:
        TypeError: for what holds no floats, or a mask without booleans.
        ValueError: for other shapes, or a rate out of range.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, Dropout, 2014, in the inverted form.

    Example:
        >>> dropout(jnp.array([3.0, 3.0]), jnp.array([True, False]), rate=0.25).tolist()
        [4.0, 0.0]
    """
    return jnp.where(_kept(mask, x.shape), x / _share_kept(rate), 0)


def dropout_forward(x: ArrayLike, mask: ArrayLike, *, rate: float) -> tuple[Float[Array, "*shape"], DropoutResiduals]:
    """`dropout` and what its backward pass reads; arguments, errors and source as there.

    Example:
        >>> y, residuals = dropout_forward(jnp.array([3.0, 3.0]), jnp.array([True, False]), rate=0.5)
        >>> y.tolist(), residuals.factor.tolist()
        ([6.0, 0.0], 2.0)
    """
    given = floating_array("x", x)
    factor = jnp.asarray(1 / _share_kept(rate), working_dtype(given.dtype))
    return dropout(given, mask, rate=rate), DropoutResiduals(_kept(mask, given.shape), factor)


def dropout_backward(residuals: DropoutResiduals, ct_y: ArrayLike) -> Float[Array, "*shape"]:
    """ct_x = ct_y / (1 - rate) where the mask is True, else 0, also of an infinite cotangent.

    Args:
        residuals: of `dropout_forward`.
        ct_y: dLoss/dy, float, shape of y.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for another shape.

    Example:
        >>> _, residuals = dropout_forward(jnp.array([3.0, 3.0]), jnp.array([True, False]), rate=0.5)
        >>> dropout_backward(residuals, jnp.array([1.0, 1.0])).tolist()
        [2.0, 0.0]
    """
    given = floating_array("ct_y", ct_y)
    require_shape("ct_y", given, residuals.mask.shape, "that of y")
    ct = given.astype(residuals.factor.dtype)
    return jnp.where(residuals.mask, residuals.factor * ct, 0).astype(given.dtype)
