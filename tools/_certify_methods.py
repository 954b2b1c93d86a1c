"""The ways to a gradient that tools/certify.py compares with the truth; each maps a case to leaves by name.

`by_hand` is the oracle: the package's hand-written backward pass. `textbook_autodiff` is jax.grad of what a JAX user
would write: jax.nn's activations, jnp.tanh, logarithms of probabilities, log_sigmoid and log_softmax for losses of
logits, compiled, in float64. `own_autodiff` is jax.grad of this package's own forward pass and the loss as it is named
(unfused: of the probabilities). `by_numpy` is reference/plain.py. At kinks all take the chosen derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.activations import Activation
from functional_mlp.oracle.truth import float64_on_cpu
from reference import plain
from reference.exact import Case
from tools.textbook import JAX_VALUES, activate

Leaves = dict[str, NDArray[np.float64]]


def leaves_of(loss: Any, outputs: Any, deltas: Any, grads: Any, ct_inputs: Any) -> Leaves:
    """The results under the names that reference.exact gives them."""
    leaves = {"outputs": outputs, "ct_inputs": ct_inputs}
    if loss is not None:
        leaves["loss"] = loss
    for layer, (delta, (weights, bias)) in enumerate(zip(deltas, grads, strict=True)):
        leaves |= {f"deltas.{layer}": delta, f"grads.{layer}.weights": weights}
        if bias is not None:
            leaves[f"grads.{layer}.bias"] = bias
    return {name: np.asarray(leaf, np.float64) for name, leaf in leaves.items()}


def oracle_case(case: Case) -> oracle.Case:
    """The same case for the oracle."""
    return oracle.Case(
        network=fm.Network(case.sizes, case.activations),
        loss=None if case.loss is None else fm.Loss(**case.loss),
        params=case.params,
        inputs=case.inputs,
        targets=case.targets,
        ct_outputs=case.ct_outputs,
        sample_weights=case.sample_weights,
    )


def by_hand(case: Case) -> Leaves:
    """oracle.solve."""
    answer = oracle.solve(oracle_case(case))
    return leaves_of(answer.loss, answer.outputs, answer.deltas, answer.grads, answer.ct_inputs)


def by_numpy(case: Case) -> Leaves:
    """reference.plain."""
    return leaves_of(*plain.solve(case))


def _textbook_terms(kind: str, o: Any, t: Any) -> Any:
    if kind == "squared_error":
        return (o - t) ** 2
    if kind == "binary_cross_entropy":
        return -(t * jnp.log(o) + (1 - t) * jnp.log(1 - o))
    if kind == "categorical_cross_entropy":
        return -t * jnp.log(o)
    if kind == "sigmoid_cross_entropy":
        return -(t * jax.nn.log_sigmoid(o) + (1 - t) * jax.nn.log_sigmoid(-o))
    return -t * jax.nn.log_softmax(o)


def _textbook_loss(loss: fm.Loss, o: Any, t: Any, weights: Any) -> Any:
    terms = _textbook_terms(loss.kind, o, t)
    per_sample = jnp.mean(terms, axis=1) if loss.over_outputs == "mean" else jnp.sum(terms, axis=1)
    if weights is None:
        return loss.scale * (jnp.mean(per_sample) if loss.over_samples == "mean" else jnp.sum(per_sample))
    total = jnp.sum(weights * per_sample)
    return loss.scale * (total / jnp.sum(weights) if loss.over_samples == "mean" else total)


def _own_activation(activation: Activation, z: Any) -> Any:
    parameters = dict(activation.parameters)
    a = activation.value(z)
    return jnp.where(z == 0, parameters["at_zero"] * z, a) if "at_zero" in parameters else a


def _own_loss(loss: fm.Loss, o: Any, t: Any, weights: Any) -> Any:
    return loss.value(o, t, weights)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _autodiff(
    own: bool, network: fm.Network, loss: fm.Loss | None, params: Any, inputs: Any, given: Any, weights: Any
) -> Any:
    act, lost = (_own_activation, _own_loss) if own else (partial(activate, JAX_VALUES, jnp.where), _textbook_loss)

    def value(params: Any, probes: Any, inputs: Any) -> Any:
        a = inputs
        for activation, layer, probe in zip(network.activations, params, probes, strict=True):
            a = act(activation, a @ layer[0] + (0.0 if layer[1] is None else layer[1]) + probe)
        if loss is None:
            return jnp.sum(a * given), a
        return lost(loss, a, given, weights) + loss.penalty(params), a

    # the cotangent of a zero added to z is the delta
    probes = [jnp.zeros((len(inputs), size)) for size in network.sizes[1:]]
    (total, outputs), (grads, deltas, ct_inputs) = jax.value_and_grad(value, argnums=(0, 1, 2), has_aux=True)(
        params, probes, inputs
    )
    return total, outputs, deltas, grads, ct_inputs


def _by_autodiff(case: Case, own: bool) -> Leaves:
    sound = oracle_case(case)
    params = [tuple(layer) for layer in sound.params]
    with float64_on_cpu():
        given = sound.ct_outputs if sound.loss is None else sound.targets
        total, *others = _autodiff(own, sound.network, sound.loss, params, sound.inputs, given, sound.sample_weights)
        return leaves_of(None if sound.loss is None else total, *others)


def textbook_autodiff(case: Case) -> Leaves:
    """jax.grad of textbook JAX code."""
    return _by_autodiff(case, own=False)


def own_autodiff(case: Case) -> Leaves:
    """jax.grad of the package's forward pass and of the loss as it is named."""
    return _by_autodiff(case, own=True)


METHODS: dict[str, Callable[[Case], Leaves]] = {
    "hand-written": by_hand,
    "autodiff": textbook_autodiff,
    "autodiff of ours": own_autodiff,
    "NumPy": by_numpy,
}
