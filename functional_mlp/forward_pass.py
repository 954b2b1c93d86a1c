"""The forward pass: outputs, and the tape of residuals that the backward pass reads.

Plain JAX: any transformation (jit, vmap, grad, jvp, hessian, checkpoint) works on it.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.lax import PrecisionLike
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from functional_mlp._dtypes import working_dtype
from functional_mlp._jax_compat import explicit_sharding, sharding_of_product
from functional_mlp.network import Network, Params, check_inputs, check_params


class Tape(NamedTuple):
    """What the forward pass saw: the residuals of the backward pass.

    Attributes:
        inputs: a_0 (n, n_0).
        pre_activations: z_1..z_L, each (n, n_l).
        activations: a_1..a_L, each (n, n_l); the last are the outputs.
    """

    inputs: Float[Array, "n fan_in"]
    pre_activations: tuple[Float[Array, "n _"], ...]
    activations: tuple[Float[Array, "n _"], ...]


def matmul(left: Array, right: Array, precision: PrecisionLike, like: Array | None = None) -> Array:
    """left @ right in the working dtype of `left`: 16-bit factors are accumulated in float32 and not rounded back.

    Args:
        left, right: the factors.
        precision: of the products.
        like: an array of the result's shape, as which that is sharded over explicit axes of a mesh; None: the rows as
            those of `left`, the columns as those of `right`.
    """
    sharding = sharding_of_product(left, right) if like is None else explicit_sharding(like)
    how: Any = {"precision": precision, "preferred_element_type": working_dtype(left.dtype)}
    return jnp.matmul(left, right, out_sharding=sharding, **how)


def affine(
    a_prev: Float[Array, "n fan_in"],
    weights: Float[Array, "fan_in fan_out"],
    bias: Float[Array, " fan_out"] | None,
    precision: PrecisionLike = "highest",
) -> Float[Array, "n fan_out"]:
    """Pre-activations z = a_prev @ weights + bias, rounded once to the dtype of `a_prev`."""
    z = matmul(a_prev, weights, precision)
    if bias is not None:
        z = z + bias[None, :].astype(z.dtype)
    return z.astype(a_prev.dtype)


def forward(
    network: Network, params: Params, inputs: ArrayLike, *, precision: PrecisionLike = "highest"
) -> tuple[Float[Array, "n fan_out"], Tape]:
    """Runs the network.

    Args:
        network: the specification.
        params: L pairs of weights (fan_in, fan_out) and bias (fan_out,) or None, all of one floating dtype.
        inputs: (n, n_0), n at least 1, of the same dtype.
        precision: of the matrix products, as in `jax.lax.Precision`. The default keeps float32 products in float32 on
            every device; "default" would let GPU and TPU round the factors to tf32 or bfloat16.

    Returns:
        The outputs a_L (n, n_L), and the tape for `backward`. Everything in the dtype of the parameters; 16-bit
        products and activations are computed in float32 and rounded once.

    Raises:
        TypeError: for a dtype that is not floating, or differs between parameters and inputs.
        ValueError: for shapes that do not fit the network (both trees are shown), or an empty batch.
    """
    params = check_params(network, params)
    a: Any = check_inputs(network, params, inputs)
    pre_activations, activations = [], []
    tape_inputs = a
    for activation, layer in zip(network.activations, params, strict=True):
        z = affine(a, layer.weights, layer.bias, precision)
        a = activation.value(z)
        pre_activations.append(z)
        activations.append(a)
    return a, Tape(tape_inputs, tuple(pre_activations), tuple(activations))
