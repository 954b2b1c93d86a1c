"""The forward pass: outputs, and the tape of residuals that the backward pass reads; and its tangents, `jvp`.

Plain JAX: any transformation (jit, vmap, grad, jvp, hessian, checkpoint) works on both.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.lax import PrecisionLike
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from functional_mlp._dtypes import working_dtype
from functional_mlp._jax_compat import explicit_sharding, sharding_of_product
from functional_mlp.activations import tangent_through
from functional_mlp.network import Dense, Network, Params, check_inputs, check_params


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


def jvp(
    network: Network,
    params: Params,
    inputs: ArrayLike,
    tangent_params: Params,
    tangent_inputs: ArrayLike | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> tuple[Float[Array, "n fan_out"], Float[Array, "n fan_out"]]:
    """The hand-written Jacobian-vector product of `forward`: how the outputs move with parameters and inputs.

    Layer by layer, where t_x is the tangent of x and J the Jacobian of the activation (diag f'(z) but for softmax):

        t_z = t_a_prev W + a_prev t_W + t_b
        t_a = J(z) t_z

    Args:
        network: the specification.
        params, inputs: as in `forward`.
        tangent_params: shaped like the parameters, of their dtype; a layer has a bias here where it has one there.
        tangent_inputs: (n, n_0); None: the inputs stay.
        precision: of the matrix products, as in `forward`.

    Returns:
        The outputs (n, n_L), and their tangent, of the same shape and dtype.

    Raises:
        TypeError: for dtypes that are not floating or differ.
        ValueError: for shapes that do not fit, or an empty batch.

    Source: Griewank and Walther, Evaluating Derivatives, 2nd ed. 2008, section 3.1, the tangent recursion.

    Example:
        >>> network = Network((1, 1), "identity")
        >>> params = (Dense(jnp.full((1, 1), 3.0), jnp.zeros(1)),)
        >>> moved = (Dense(jnp.ones((1, 1)), jnp.ones(1)),)
        >>> outputs, tangent = jvp(network, params, jnp.full((1, 1), 2.0), moved)
        >>> outputs.item(), tangent.item()
        (6.0, 3.0)
    """
    params = check_params(network, params)
    rows = check_inputs(network, params, inputs)
    tangents = check_tangents(network, params, tangent_params)
    t_rows = None if tangent_inputs is None else check_inputs(network, params, tangent_inputs, "tangent_inputs")
    if t_rows is not None and t_rows.shape != rows.shape:
        raise ValueError(f"expected tangent_inputs of the inputs' shape {rows.shape}, got {t_rows.shape}")
    outputs, tape = forward(network, params, rows, precision=precision)
    return outputs, push_forward(network, params, tape, tangents, t_rows, precision=precision).activations[-1]


class Tangents(NamedTuple):
    """How what the forward pass saw moves.

    Attributes:
        inputs: t_a_0 (n, n_0); None if the inputs stay.
        pre_activations: t_z_1..t_z_L, each (n, n_l).
        activations: t_a_1..t_a_L, each (n, n_l).
    """

    inputs: Float[Array, "n fan_in"] | None
    pre_activations: tuple[Float[Array, "n _"], ...]
    activations: tuple[Float[Array, "n _"], ...]


def push_forward(
    network: Network,
    params: Params,
    tape: Tape,
    tangent_params: Params,
    tangent_inputs: Float[Array, "n fan_in"] | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> Tangents:
    """The one loop of forward mode, from the tangents of parameters and inputs to every tangent of the tape.

    Args:
        network, params, tangent_params, tangent_inputs: as in `jvp`; not checked here.
        tape: what `forward` returned.
        precision: of the matrix products.
    """
    before = (tape.inputs, *tape.activations[:-1])
    t_a, moved_z, moved_a = tangent_inputs, [], []
    layers = zip(
        network.activations, params, tangent_params, before, tape.pre_activations, tape.activations, strict=True
    )
    for activation, layer, tangent, a_prev, z, a in layers:
        t_z = _tangent_of_affine(a_prev, t_a, layer, tangent, precision)
        t_a = tangent_through(activation, z, a, t_z)
        moved_z.append(t_z)
        moved_a.append(t_a)
    return Tangents(tangent_inputs, tuple(moved_z), tuple(moved_a))


def _tangent_of_affine(
    a_prev: Array, t_a_prev: Array | None, layer: Dense, tangent: Dense, precision: PrecisionLike
) -> Array:
    """t_z = t_a_prev W + a_prev t_W + t_b, rounded once to the dtype of a_prev."""
    t_z = matmul(a_prev, tangent.weights, precision)
    if t_a_prev is not None:
        t_z = t_z + matmul(t_a_prev, layer.weights, precision)
    if tangent.bias is not None:
        t_z = t_z + tangent.bias[None, :].astype(t_z.dtype)
    return t_z.astype(a_prev.dtype)


def check_tangents(network: Network, params: Params, tangent_params: Params) -> Params:
    """`tangent_params` as arrays that fit the parameters; errors as in `jvp`."""
    tangents = check_params(network, tangent_params, "tangent_params")
    dtype, own = params[0].weights.dtype, tangents[0].weights.dtype
    if own != dtype:
        raise TypeError(f"expected tangent_params of the parameters' dtype {dtype}, got {own}; cast them")
    for number, (layer, tangent) in enumerate(zip(params, tangents, strict=True)):
        if (layer.bias is None) != (tangent.bias is None):
            has, got = ("no bias", "one") if layer.bias is None else ("a bias", "None")
            raise ValueError(f"expected tangent_params to have {has} in layer {number + 1}, as params, got {got}")
    return tangents
