"""The backward pass, written by hand in named stages, and what is built on it: `loss_and_grad` and `apply`.

Going back through layer l, with ct_x = dLoss/dx and f the activation (docs/reference/derivations.md derives each line):

    through_activation    ct_z      = ct_a f'(z)                (softmax: the full Jacobian)
    weights_cotangent     ct_W      = a_prev^T ct_z
    bias_cotangent        ct_b      = sum of ct_z over samples
    previous_cotangent    ct_a_prev = ct_z W^T

Each stage is a function of the layer's `Residuals` and one cotangent. `pull_back` is the only loop over them, and takes
the stages to use per layer, so that whoever wants another pass (the fused output layer below, a planted mistake,
weights updated too early) replaces one stage of one layer and nothing else.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import PrecisionLike
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from functional_mlp._checks import floating_array
from functional_mlp._dtypes import EitherArray, working_dtype
from functional_mlp.activations import Activation
from functional_mlp.forward_pass import Tape, forward, matmul
from functional_mlp.losses import Loss, check_sample_weights
from functional_mlp.network import Dense, Network, Params, check_inputs, check_params
from functional_mlp.parallel import vary_over, varying_axes


class Residuals(NamedTuple):
    """All that the backward pass of one layer may read.

    Attributes:
        activation: the layer's activation.
        weights: (fan_in, fan_out).
        has_bias: whether the layer has a bias.
        a_prev: activations of the layer before, or the inputs (n, fan_in).
        z: pre-activations (n, fan_out).
        a: activations (n, fan_out).
        precision: of the matrix products.
    """

    activation: Activation
    weights: Float[Array, "fan_in fan_out"]
    has_bias: bool
    a_prev: Float[Array, "n fan_in"]
    z: Float[Array, "n fan_out"]
    a: Float[Array, "n fan_out"]
    precision: PrecisionLike


def residuals_of(network: Network, params: Params, tape: Tape, precision: PrecisionLike) -> tuple[Residuals, ...]:
    """The residuals of every layer, the first one first."""
    before = (tape.inputs, *tape.activations[:-1])
    layers = zip(network.activations, params, before, tape.pre_activations, tape.activations, strict=True)
    return tuple(
        Residuals(activation, dense.weights, dense.bias is not None, a_prev, z, a, precision)
        for activation, dense, a_prev, z, a in layers
    )


def through_activation(layer: Residuals, ct_a: Float[Array, "n fan_out"]) -> Float[Array, "n fan_out"]:
    """ct_z = ct_a f'(z)."""
    return layer.activation.vjp(layer.z, layer.a, ct_a)


def weights_cotangent(layer: Residuals, ct_z: Float[Array, "n fan_out"]) -> Float[Array, "fan_in fan_out"]:
    """ct_W = a_prev^T ct_z."""
    return matmul(layer.a_prev.T, ct_z, layer.precision, like=layer.weights).astype(ct_z.dtype)


def bias_cotangent(layer: Residuals, ct_z: Float[Array, "n fan_out"]) -> Float[Array, " fan_out"] | None:
    """ct_b = sum of ct_z over samples; None for a layer without bias."""
    return jnp.sum(ct_z, axis=0, dtype=working_dtype(ct_z.dtype)).astype(ct_z.dtype) if layer.has_bias else None


def previous_cotangent(layer: Residuals, ct_z: Float[Array, "n fan_out"]) -> Float[Array, "n fan_in"]:
    """ct_a_prev = ct_z W^T."""
    return matmul(ct_z, layer.weights.T, layer.precision, like=layer.a_prev).astype(ct_z.dtype)


class Stages(NamedTuple):
    """The four stages of one layer, each a function (residuals, cotangent) -> cotangent."""

    through_activation: Callable[[Residuals, Array], Array] = through_activation
    weights_cotangent: Callable[[Residuals, Array], Array] = weights_cotangent
    bias_cotangent: Callable[[Residuals, Array], Array | None] = bias_cotangent
    previous_cotangent: Callable[[Residuals, Array], Array] = previous_cotangent


class Cotangents(NamedTuple):
    """Everything the backward pass computes.

    Attributes:
        params: ct_W and ct_b per layer, shaped like the parameters.
        inputs: ct_inputs (n, n_0).
        deltas: ct_z of layers 1..L, each (n, n_l).
    """

    params: Params
    inputs: Float[Array, "n fan_in"]
    deltas: tuple[Float[Array, "n _"], ...]


def pull_back(
    network: Network,
    params: Params,
    tape: Tape,
    ct_outputs: Float[Array, "n fan_out"],
    stages: Sequence[Stages] | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> Cotangents:
    """The one loop of the backward pass, from ct_outputs (n, n_L) to every cotangent.

    Args:
        network, params, tape: as in `backward`; not checked here.
        ct_outputs: what the last layer's first stage starts from.
        stages: one `Stages` per layer; None means the correct ones throughout.
        precision: of the matrix products.
    """
    stages = stages or (Stages(),) * len(params)
    ct_a = ct_outputs
    ct_params, deltas = [], []
    layers = zip(residuals_of(network, params, tape, precision), stages, strict=True)
    for layer, stage in reversed(list(layers)):
        # its three uses would each compute it again, within their loops
        ct_z = jax.lax.optimization_barrier(stage.through_activation(layer, ct_a))
        ct_params.append(Dense(stage.weights_cotangent(layer, ct_z), stage.bias_cotangent(layer, ct_z)))
        ct_a = stage.previous_cotangent(layer, ct_z)
        deltas.append(ct_z)
    return Cotangents(tuple(reversed(ct_params)), ct_a, tuple(reversed(deltas)))


def backward(
    network: Network, params: Params, tape: Tape, ct_outputs: ArrayLike, *, precision: PrecisionLike = "highest"
) -> tuple[Params, Float[Array, "n fan_in"]]:
    """The hand-written vector-Jacobian product of `forward`.

    Args:
        network: the specification.
        params: the parameters that `forward` ran with.
        tape: what `forward` returned.
        ct_outputs: dLoss/d outputs, (n, n_L), of the outputs' dtype.
        precision: of the matrix products, as in `forward`.

    Returns:
        ct_params, shaped like the parameters and summed over samples, and ct_inputs (n, n_0).

    Raises:
        TypeError: if ct_outputs does not hold floats of the outputs' dtype, or the tape is of another dtype.
        ValueError: if the shape of ct_outputs is not that of the outputs, or the tape is another network's.
    """
    params = check_params(network, params)
    _check_tape(network, params, tape)
    outputs = tape.activations[-1]
    ct = floating_array("ct_outputs", ct_outputs)
    if ct.shape != outputs.shape:
        raise ValueError(f"expected ct_outputs of the outputs' shape {outputs.shape}, got {ct.shape}")
    if ct.dtype != outputs.dtype:
        raise TypeError(f"expected ct_outputs of the outputs' dtype {outputs.dtype}, got {ct.dtype}; cast it")
    pulled = pull_back(network, params, tape, ct, precision=precision)
    return pulled.params, pulled.inputs


def _check_tape(network: Network, params: Params, tape: Tape) -> None:
    samples = tape.inputs.shape[0] if tape.inputs.ndim else 0
    expected = tuple((samples, size) for size in network.sizes)
    inner = expected[1:]
    got = (tape.inputs.shape, *(z.shape for z in tape.pre_activations)), tuple(a.shape for a in tape.activations)
    if got != (expected, inner):
        raise ValueError(f"expected the tape of a forward pass of sizes {network.sizes}, got arrays of shapes {got[0]}")
    dtype = params[0].weights.dtype
    if tape.inputs.dtype != dtype:
        raise TypeError(f"expected a tape of the parameters' dtype {dtype}, got {tape.inputs.dtype}")


def already_through(layer: object, ct_z: EitherArray) -> EitherArray:
    """The first stage of a fused output layer: the cotangent that came is that of z already."""
    return ct_z


class OutputCotangent(NamedTuple):
    """Where a loss enters the backward pass.

    Attributes:
        value: the loss without its penalty, a scalar.
        cotangent: ct_z of the output layer where loss and activation are fused, else ct_a (n, n_L).
        stages: per layer, for `pull_back`.
    """

    value: Array
    cotangent: Float[Array, "n fan_out"]
    stages: tuple[Stages, ...]


def output_cotangent(
    network: Network, loss: Loss, tape: Tape, targets: ArrayLike, sample_weights: ArrayLike | None = None
) -> OutputCotangent:
    """The first stage of all: loss and cotangent at the outputs.

    Sigmoid with binary cross-entropy, and softmax with categorical cross-entropy, are taken from the pre-activations:
    equal in exact arithmetic, and exact in saturation, where the probability rounds to 0 or 1 and the two factors
    f'(z) and dLoss/da are 0 times infinity.
    """
    loss.require_admissible(network.activations[-1])
    stages = (Stages(),) * len(network.activations)
    of_logits = loss.on_logits(network.activations[-1])
    if of_logits is None:
        return OutputCotangent(*loss.value_and_cotangent(tape.activations[-1], targets, sample_weights), stages)
    fused = (*stages[:-1], stages[-1]._replace(through_activation=already_through))
    return OutputCotangent(*of_logits.value_and_cotangent(tape.pre_activations[-1], targets, sample_weights), fused)


def add_penalty_gradient(loss: Loss, ct_params: Params, params: Params) -> Params:
    """`ct_params` with the gradient of the loss's penalties added."""
    layers = zip(ct_params, params, strict=True)
    return tuple(Dense(*loss.add_penalty_gradient(*ct, *dense)) for ct, dense in layers)


def loss_and_grad(
    network: Network,
    loss: Loss,
    params: Params,
    inputs: ArrayLike,
    targets: ArrayLike,
    sample_weights: ArrayLike | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> tuple[Array, Params]:
    """The loss and its gradient with respect to the parameters, hand-written end to end.

    Args:
        network: the specification.
        loss: kind, options, scale, reductions and penalties.
        params: (weights, bias) per layer.
        inputs: (n, n_0).
        targets: (n, n_L); or class labels, integers (n,), for losses over classes.
        sample_weights: (n,) or None. A sample of weight 0 contributes nothing, not even NaN.
        precision: of the matrix products, as in `forward`.

    Returns:
        The value (a scalar, penalty included), and the gradient, shaped like the parameters.

    Raises:
        TypeError: for dtypes that are not floating or differ.
        ValueError: for shapes that do not fit, an empty batch, or a loss that is inadmissible after the output
            activation (with the reason).

    Example:
        >>> network = Network((2, 1), "sigmoid")
        >>> params = (Dense(jnp.zeros((2, 1)), jnp.zeros(1)),)
        >>> inputs, targets = jnp.asarray([[1.0, 2.0]]), jnp.asarray([[1.0]])
        >>> value, grads = loss_and_grad(network, Loss("binary_cross_entropy"), params, inputs, targets)
        >>> grads[0].weights.tolist()
        [[-0.5], [-1.0]]
    """
    params = check_params(network, params)
    _, tape = forward(network, params, counted_inputs(network, params, inputs, sample_weights), precision=precision)
    value, cotangent, stages = output_cotangent(network, loss, tape, targets, sample_weights)
    pulled = pull_back(network, params, tape, cotangent, stages, precision=precision)
    return value + loss.penalty(params), add_penalty_gradient(loss, pulled.params, params)


def counted_inputs(network: Network, params: Params, inputs: ArrayLike, sample_weights: ArrayLike | None) -> Array:
    """`inputs` as an array that fits, with every row of weight 0 replaced by the first one that counts.

    Its cotangents are 0, but 0 times the infinity or NaN that such a row may lead to is NaN.
    """
    rows = check_inputs(network, params, inputs)
    if sample_weights is None:
        return rows
    counted = check_sample_weights(sample_weights, rows) != 0
    return jnp.where(counted[:, None], rows, rows[jnp.argmax(counted)][None, :])


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _apply(network: Network, params: Params, inputs: Array, precision: PrecisionLike) -> Array:
    return forward(network, params, inputs, precision=precision)[0]


def _apply_forward(network: Network, params: Params, inputs: Array, precision: PrecisionLike) -> tuple[Array, Any]:
    outputs, tape = forward(network, params, inputs, precision=precision)
    return outputs, (network, params, tape)


def _apply_backward(precision: PrecisionLike, residuals: Any, ct_outputs: Array) -> tuple[None, Params, Array]:
    network, params, tape = residuals
    return None, *backward(network, params, tape, ct_outputs, precision=precision)


_apply.defvjp(_apply_forward, _apply_backward)


def apply(
    network: Network, params: Params, inputs: ArrayLike, *, precision: PrecisionLike = "highest"
) -> Float[Array, "n fan_out"]:
    """The network's outputs (n, n_L), with the hand-written `backward` registered as its derivative.

    `jax.grad` and `jax.vjp` of anything that calls `apply` run `backward`. Forward-mode differentiation of a
    `jax.custom_vjp` (`jax.jvp`, `jax.jacfwd`, `jax.linearize`) raises JAX's TypeError: use `forward` for that.

    Args, Raises: as in `forward`.
    """
    params = check_params(network, params)
    inputs = check_inputs(network, params, inputs)
    axes = varying_axes(params, inputs)
    return _apply(network, vary_over(axes, params), vary_over(axes, inputs), precision)
