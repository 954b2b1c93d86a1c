"""Batch norm and group norm: channels brought to one size, over samples and places or over groups of channels."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from functional_mlp._checks import positive_int
from functional_mlp.operations.arguments import (
    along,
    in_working_dtype,
    not_negative,
    require_axes,
    require_size,
    scaled_and_shifted,
)


@in_working_dtype()
def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    mean: Array | None = None,
    variance: Array | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "n channels *places"]:
    """(x - mean) / sqrt(variance + epsilon) weight + bias per channel, over samples and places.

    Args:
        x: (n, channels, ...), float.
        weight, bias: (channels,), float; None: 1 and 0.
        mean, variance: (channels,), running statistics, as in evaluation; None: those of x, divided by n times the
            number of places, as in training, and differentiated.
        epsilon: at least 0, inside of the root.

    Returns:
        Shape and dtype of x.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for other shapes, a negative epsilon, or one of mean and variance without the other.

    Source: Ioffe and Szegedy, Batch normalization, 2015.

    Example:
        >>> batch_norm(jnp.array([[1.0], [3.0]]), epsilon=3.0).tolist()
        [[-0.5], [0.5]]
    """
    require_axes("x", x, 2, "(n, channels, ...)")
    for name, vector in (("weight", weight), ("bias", bias), ("mean", mean), ("variance", variance)):
        require_size(name, vector, x.shape[1], "channel")
    if (mean is None) != (variance is None):
        raise ValueError("expected both mean and variance (evaluation), or neither (training), got one of them")
    others = (0, *range(2, x.ndim))
    if mean is None or variance is None:
        mean = jnp.mean(x, axis=others)
        variance = jnp.mean((x - along(mean, 1, x.ndim)) ** 2, axis=others)
    root = jnp.sqrt(variance + not_negative("epsilon", epsilon))
    return scaled_and_shifted((x - along(mean, 1, x.ndim)) / along(root, 1, x.ndim), weight, bias, axis=1)


@in_working_dtype()
def group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    groups: int,
    epsilon: float = 1e-5,
) -> Float[Array, "n channels *places"]:
    """(x - mean) / sqrt(variance + epsilon) weight + bias, over the channels of a group and all places, per sample.

    Args:
        x: (n, channels, ...), float.
        weight, bias: (channels,), float; None: 1 and 0.
        groups: how many, of equal numbers of neighbouring channels; as many as channels: instance norm.
        epsilon: at least 0, inside of the root.

    Returns:
        Shape and dtype of x.

    Raises:
        TypeError: for what holds no floats, or groups that are no integer.
        ValueError: for other shapes, or channels that do not divide into the groups.

    Source: Wu and He, Group normalization, 2018.

    Example:
        >>> group_norm(jnp.array([[1.0, 3.0, 7.0, 7.0]]), groups=2, epsilon=3.0).tolist()
        [[-0.5, 0.5, 0.0, 0.0]]
    """
    require_axes("x", x, 2, "(n, channels, ...)")
    require_size("weight", weight, x.shape[1], "channel")
    require_size("bias", bias, x.shape[1], "channel")
    if x.shape[1] % positive_int("groups", groups):
        raise ValueError(f"expected channels that divide into {groups} groups, got {x.shape[1]} channels")
    grouped = x.reshape(x.shape[0], groups, -1)
    centred = grouped - jnp.mean(grouped, axis=-1, keepdims=True)
    variance = jnp.mean(centred**2, axis=-1, keepdims=True)
    normalised = centred / jnp.sqrt(variance + not_negative("epsilon", epsilon))
    return scaled_and_shifted(normalised.reshape(x.shape), weight, bias, axis=1)
