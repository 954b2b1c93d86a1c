"""The gradients of single samples, and their norms without them: the backward pass with two of its stages replaced.

The sums over samples are where samples meet, and nowhere else (docs/reference/derivations.md): with a_prev and ct_z of
one sample i, a row each, what layer l adds for it to ct_W is the outer product a_prev_i ct_z_i^T, and to ct_b it is
ct_z_i. The norm of an outer product is the product of the norms, so that it needs no product at all.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import PrecisionLike
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._dtypes import working_dtype
from functional_mlp._jax_compat import sharding_of_samples
from functional_mlp.backward_pass import Residuals, Stages, counted_inputs, output_cotangent, pull_back
from functional_mlp.forward_pass import Tape, forward
from functional_mlp.losses import Loss
from functional_mlp.network import Dense, Network, Params, check_params


def per_sample_grads(
    network: Network,
    loss: Loss,
    params: Params,
    inputs: ArrayLike,
    targets: ArrayLike,
    sample_weights: ArrayLike | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> tuple[Dense, ...]:
    """The gradient of every sample's own loss, hand-written end to end.

    A sample's own loss is the data term of a batch that holds it alone: a mean over samples divides by 1, not by n, and
    a mean over weights by that of the sample. The penalties are of no sample, and not in it. A sample of weight 0, and
    an ignored one, has gradient 0.

    Args, Raises: as in `loss_and_grad`.

    Returns:
        Per layer a Dense of arrays with an axis of samples before those of the parameters: weights
        (n, fan_in, fan_out), and bias (n, fan_out) or None; in the dtype of the parameters. They need n times the
        memory of a gradient: for norms alone take `per_sample_norms`.

    Source: Goodfellow, Efficient Per-Example Gradient Computations, 2015, section 4.

    Example:
        >>> network = Network((2, 1), "identity")
        >>> params = (Dense(jnp.zeros((2, 1)), jnp.zeros(1)),)
        >>> inputs, targets = jnp.asarray([[1.0, 2.0], [0.0, 3.0]]), jnp.asarray([[1.0], [0.0]])
        >>> [layer] = per_sample_grads(network, Loss("squared_error"), params, inputs, targets)
        >>> layer.weights[:, :, 0].tolist(), layer.bias.tolist()
        ([[-2.0, -4.0], [0.0, 0.0]], [[-2.0], [0.0]])
    """
    stages = Stages(weights_cotangent=_outer_products, bias_cotangent=_as_it_is)
    return _of_each_sample(stages, network, loss, params, inputs, targets, sample_weights, precision)


def per_sample_norms(
    network: Network,
    loss: Loss,
    params: Params,
    inputs: ArrayLike,
    targets: ArrayLike,
    sample_weights: ArrayLike | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> tuple[Dense, ...]:
    """The Euclidean norms of `per_sample_grads`, array by array, without forming one of them.

    Args, Raises: as in `loss_and_grad`.

    Returns:
        Per layer a Dense of norms: weights (n,), and bias (n,) or None; float32 for 16-bit parameters. The norm of a
        sample's whole gradient is the root of the sum of their squares.

    Source: Goodfellow, Efficient Per-Example Gradient Computations, 2015, section 5.

    Example:
        >>> network = Network((2, 1), "identity")
        >>> params = (Dense(jnp.zeros((2, 1)), None),)
        >>> inputs, targets = jnp.asarray([[3.0, 4.0], [0.0, 3.0]]), jnp.asarray([[2.0], [0.0]])
        >>> norms = per_sample_norms(network, Loss("squared_error"), params, inputs, targets)
        >>> jnp.sqrt(sum(norm**2 for norm in jax.tree.leaves(norms))).tolist()
        [20.0, 0.0]
    """
    stages = Stages(weights_cotangent=_norms_of_products, bias_cotangent=_norms)
    return _of_each_sample(stages, network, loss, params, inputs, targets, sample_weights, precision)


def _of_each_sample(
    stages: Stages,
    network: Network,
    loss: Loss,
    params: Params,
    inputs: ArrayLike,
    targets: ArrayLike,
    sample_weights: ArrayLike | None,
    precision: PrecisionLike,
) -> tuple[Dense, ...]:
    params = check_params(network, params)
    rows = counted_inputs(network, params, inputs, sample_weights)
    _, tape = forward(network, params, rows, precision=precision)
    together = output_cotangent(network, loss, tape, targets, sample_weights)  # for what it refuses, and its stages
    replaced = [stages._replace(through_activation=stage.through_activation) for stage in together.stages]
    cotangent = own_cotangents(network, loss, tape, targets, sample_weights)
    return pull_back(network, params, tape, cotangent, replaced, precision=precision).params


def own_cotangents(
    network: Network, loss: Loss, tape: Tape, targets: ArrayLike, sample_weights: ArrayLike | None
) -> Array:
    """Where the loss of every sample alone enters its backward pass (n, n_L): `output_cotangent` of batches of one.

    Args: as in `output_cotangent`, which has accepted them.
    """
    outputs = tape.activations[-1]
    end = loss.targets_of("targets", targets, outputs.shape[1], outputs.dtype)
    weights = None if sample_weights is None else jnp.asarray(sample_weights)

    def alone(row: Tape, target: Array, weight: Array | None) -> Array:
        row = jax.tree.map(lambda array: array[None], row)
        own = None if weight is None else weight[None]
        return output_cotangent(network, loss, row, target[None], own).cotangent[0]

    cotangents: Array = jax.vmap(alone)(tape, end, weights)
    return cotangents


# stages, in place of the two sums over samples


def _outer_products(layer: Residuals, ct_z: Array) -> Array:
    """a_prev_i ct_z_i^T of every sample: (n, fan_in, fan_out)."""
    how: Any = {"precision": layer.precision, "preferred_element_type": working_dtype(ct_z.dtype)}
    sharding = sharding_of_samples(ct_z, layer.weights)
    products: Array = jnp.einsum("ni,no->nio", layer.a_prev, ct_z, out_sharding=sharding, **how)
    return products.astype(ct_z.dtype)


def _as_it_is(layer: Residuals, ct_z: Array) -> Array | None:
    """ct_z_i of every sample: (n, fan_out)."""
    return ct_z if layer.has_bias else None


def _norms_of_products(layer: Residuals, ct_z: Array) -> Array:
    """|a_prev_i| |ct_z_i| of every sample: (n,)."""
    return _row_norms(layer.a_prev) * _row_norms(ct_z)


def _norms(layer: Residuals, ct_z: Array) -> Array | None:
    """|ct_z_i| of every sample: (n,)."""
    return _row_norms(ct_z) if layer.has_bias else None


def _row_norms(rows: Array) -> Array:
    wide: Any = rows.astype(working_dtype(rows.dtype))
    return jnp.sqrt(jnp.sum(jnp.square(wide), axis=1))
