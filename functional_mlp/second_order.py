"""Products with the curvature of the loss, without its matrix: of Hessian, Gauss-Newton matrix and empirical Fisher.

The Hessian's product with v is how the gradient moves when the parameters move by v: the tangent of every line of the
passes (Pearlmutter, 1994). With t_x the tangent of x, of layer l, where V and v_b are that of its parameters:

    t_ct_z      = t_ct_a f'(z) + ct_a f''(z) t_z                (softmax: with the full Jacobian, and how that moves)
    t_ct_W      = a_prev^T t_ct_z + t_a_prev^T ct_z
    t_ct_b      = sum of t_ct_z over samples
    t_ct_a_prev = t_ct_z W^T + ct_z V^T

and at the outputs t_ct_a is the loss's Hessian by the outputs times t_a. The Gauss-Newton matrix leaves out all that
bends in the network, f'' and the products with V and t_a_prev, and keeps the loss's Hessian: J^T H J v, which is one
pass forward and one back. The empirical Fisher has the outer products of the samples' gradients in its place.
docs/reference/derivations.md derives all three.
"""

import jax
import jax.numpy as jnp
from jax.lax import PrecisionLike
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._dtypes import working_dtype
from functional_mlp.backward_pass import (
    OutputCotangent,
    already_through,
    counted_inputs,
    output_cotangent,
    pull_back,
    residuals_of,
)
from functional_mlp.forward_pass import Tangents, Tape, check_tangents, forward, push_forward
from functional_mlp.losses import Loss
from functional_mlp.network import Dense, Network, Params, check_params
from functional_mlp.per_sample import own_cotangents


def hvp(
    network: Network,
    loss: Loss,
    params: Params,
    inputs: ArrayLike,
    targets: ArrayLike,
    tangent_params: Params,
    sample_weights: ArrayLike | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> Params:
    """The Hessian of the loss by the parameters, times a direction, without the matrix: hand-written end to end.

    Args:
        network, loss, params, inputs, targets, sample_weights, precision: as in `loss_and_grad`.
        tangent_params: the direction v, shaped like the parameters and of their dtype.

    Returns:
        H v, shaped like the parameters, in their dtype; penalties included. Where a derivative jumps, at a kink of an
        activation or of the loss, the second one is taken as 0.

    Raises:
        TypeError, ValueError: as in `loss_and_grad`, and for a direction that does not fit the parameters.

    Source: Pearlmutter, Fast Exact Multiplication by the Hessian, 1994, section 4.

    Example:
        >>> import jax.numpy as jnp
        >>> network = Network((1, 1), "identity")
        >>> params = (Dense(jnp.full((1, 1), 3.0), None),)
        >>> direction = (Dense(jnp.ones((1, 1)), None),)
        >>> data = jnp.asarray([[2.0]]), jnp.asarray([[1.0]])
        >>> [product] = hvp(network, Loss("squared_error"), params, *data, direction)
        >>> product.weights.item()
        8.0
    """
    params, direction, tape = _prepared(network, params, inputs, tangent_params, sample_weights, precision)
    end = output_cotangent(network, loss, tape, targets, sample_weights)
    moved = push_forward(network, params, tape, direction, precision=precision)
    t_ct = _cotangent_tangent(network, loss, tape, moved, targets, sample_weights)
    products = _pull_back_moving(network, params, direction, tape, moved, end, t_ct, precision)
    return _with_penalty(loss, products, direction)


def gauss_newton_vp(
    network: Network,
    loss: Loss,
    params: Params,
    inputs: ArrayLike,
    targets: ArrayLike,
    tangent_params: Params,
    sample_weights: ArrayLike | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> Params:
    """The generalised Gauss-Newton matrix of the loss, J^T H J, times a direction: hand-written end to end.

    J is the Jacobian of the outputs by the parameters, and H the Hessian of the data term by the outputs. Where
    `loss_and_grad` fuses loss and output activation (sigmoid with binary, softmax with categorical cross-entropy) both
    are by the pre-activations of the outputs, of which that loss is convex; as for the squared error, the matrix is
    then the Fisher information too, but for scale and reductions. The second derivative of the L2 penalty is added, as
    in `hvp`.

    Args, Returns, Raises: as in `hvp`.

    Source: Schraudolph, Fast Curvature Matrix-Vector Products for Second-Order Gradient Descent, 2002, section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> network = Network((1, 1), "sigmoid")
        >>> params = (Dense(jnp.zeros((1, 1)), None),)
        >>> direction = (Dense(jnp.ones((1, 1)), None),)
        >>> data = jnp.asarray([[2.0]]), jnp.asarray([[1.0]])
        >>> [product] = gauss_newton_vp(network, Loss("binary_cross_entropy"), params, *data, direction)
        >>> product.weights.item()
        1.0
    """
    params, direction, tape = _prepared(network, params, inputs, tangent_params, sample_weights, precision)
    stages = output_cotangent(network, loss, tape, targets, sample_weights).stages
    moved = push_forward(network, params, tape, direction, precision=precision)
    t_ct = _cotangent_tangent(network, loss, tape, moved, targets, sample_weights)
    products = pull_back(network, params, tape, t_ct, stages, precision=precision).params
    return _with_penalty(loss, products, direction)


def empirical_fisher_vp(
    network: Network,
    loss: Loss,
    params: Params,
    inputs: ArrayLike,
    targets: ArrayLike,
    tangent_params: Params,
    sample_weights: ArrayLike | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> Params:
    """The empirical Fisher matrix, the sum of c_i g_i g_i^T over samples, times a direction: without any g_i.

    g_i is the gradient of sample i's own loss, as `per_sample_grads` has it, without penalties; c_i is what that loss
    counts in the whole one: 1 in a sum, 1 / n in a mean. By the gradients at the given targets, it is not the Fisher
    information, which has the model's own in their place: that is `gauss_newton_vp` of a cross-entropy.

    Args, Returns, Raises: as in `hvp`.

    Source: Kunstner, Balles and Hennig, Limitations of the Empirical Fisher Approximation, 2019, equation 3.

    Example:
        >>> import jax.numpy as jnp
        >>> network = Network((1, 1), "identity")
        >>> params = (Dense(jnp.zeros((1, 1)), None),)
        >>> direction = (Dense(jnp.ones((1, 1)), None),)
        >>> data = jnp.asarray([[1.0], [2.0]]), jnp.asarray([[1.0], [1.0]])
        >>> [product] = empirical_fisher_vp(network, Loss("squared_error"), params, *data, direction)
        >>> product.weights.item()  # of gradients -2 and -4
        20.0
    """
    params, direction, tape = _prepared(network, params, inputs, tangent_params, sample_weights, precision)
    end = output_cotangent(network, loss, tape, targets, sample_weights)
    moved = push_forward(network, params, tape, direction, precision=precision)
    fused = end.stages[-1].through_activation is already_through
    tangents = (moved.pre_activations if fused else moved.activations)[-1]
    own = own_cotangents(network, loss, tape, targets, sample_weights)
    work = working_dtype(own.dtype)
    along = jnp.sum(own.astype(work) * tangents.astype(work), axis=1, keepdims=True)  # g_i^T v, a sample a row
    cotangent = (end.cotangent.astype(work) * along).astype(own.dtype)
    return pull_back(network, params, tape, cotangent, end.stages, precision=precision).params


def _prepared(
    network: Network,
    params: Params,
    inputs: ArrayLike,
    tangent_params: Params,
    sample_weights: ArrayLike | None,
    precision: PrecisionLike,
) -> tuple[Params, Params, Tape]:
    """Parameters and direction that fit, and the tape of the forward pass."""
    params = check_params(network, params)
    direction = check_tangents(network, params, tangent_params)
    rows = counted_inputs(network, params, inputs, sample_weights)
    return params, direction, forward(network, params, rows, precision=precision)[1]


def _cotangent_tangent(
    network: Network, loss: Loss, tape: Tape, moved: Tangents, targets: ArrayLike, sample_weights: ArrayLike | None
) -> Array:
    """How the first cotangent of the backward pass moves: that of z where loss and activation are fused, else of a."""
    of_logits = loss.on_logits(network.activations[-1])
    if of_logits is None:
        return loss.cotangent_tangent(tape.activations[-1], targets, moved.activations[-1], sample_weights)
    return of_logits.cotangent_tangent(tape.pre_activations[-1], targets, moved.pre_activations[-1], sample_weights)


def _pull_back_moving(
    network: Network,
    params: Params,
    direction: Params,
    tape: Tape,
    moved: Tangents,
    end: OutputCotangent,
    t_ct_a: Array,
    precision: PrecisionLike,
) -> Params:
    """The loop of the backward pass with the tangents of all its cotangents, of which it returns the parameters'."""
    moved_before = (moved.inputs, *moved.activations[:-1])
    residuals = residuals_of(network, params, tape, precision)
    ct_a, products = end.cotangent, []
    layers = zip(residuals, end.stages, direction, moved_before, moved.pre_activations, strict=True)
    for layer, stage, along, t_a_prev, t_z in reversed(list(layers)):
        ct_z, t_ct_z = stage.through_activation(layer, ct_a), stage.through_activation(layer, t_ct_a)
        if stage.through_activation is not already_through:
            t_ct_z = t_ct_z + layer.activation.second(layer.z, layer.a, ct_a, t_z)
        ct_z, t_ct_z = jax.lax.optimization_barrier((ct_z, t_ct_z))  # as in `pull_back`
        t_weights = stage.weights_cotangent(layer, t_ct_z)
        if t_a_prev is not None:
            t_weights = t_weights + stage.weights_cotangent(layer._replace(a_prev=t_a_prev), ct_z)
        products.append(Dense(t_weights, stage.bias_cotangent(layer, t_ct_z)))
        of_direction = layer._replace(weights=along.weights)
        t_ct_a = stage.previous_cotangent(layer, t_ct_z) + stage.previous_cotangent(of_direction, ct_z)
        ct_a = stage.previous_cotangent(layer, ct_z)
    return tuple(reversed(products))


def _with_penalty(loss: Loss, products: Params, direction: Params) -> Params:
    """The products with l2 v added, where the penalty covers the parameters; that of l1 has no curvature."""
    curved = Loss(loss.kind, l2=loss.l2, l2_on_bias=loss.l2_on_bias)
    layers = zip(products, direction, strict=True)
    return tuple(Dense(*curved.add_penalty_gradient(*product, *along)) for product, along in layers)
