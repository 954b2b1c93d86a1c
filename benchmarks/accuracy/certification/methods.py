"""The ways to a gradient that are compared with the truth; each maps a case to leaves by name.

`by_hand` is the oracle: the package's hand-written backward pass. `textbook_autodiff` is jax.grad of what a JAX user
would write (`implementations/autodiff.py`): jax.nn's activations, jnp.tanh, logarithms of probabilities, log_sigmoid
and log_softmax for losses of logits, compiled, in float64. `own_autodiff` is jax.grad of this package's own forward
pass and the loss as it is named (unfused: of the probabilities). `by_numpy` is reference/plain.py. At kinks all take
the chosen derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import functional_mlp as fm
from benchmarks.accuracy.implementations.autodiff import TEXTBOOK, Formulas, jax_gradients
from functional_mlp import oracle
from functional_mlp.activations import Activation
from reference import plain
from reference.exact import Case

Leaves = dict[str, NDArray[np.float64]]


def leaves_of(answer: Any) -> Leaves:
    """An answer or a solution under the names that reference.exact gives its arrays."""
    leaves = {"outputs": answer.outputs, "ct_inputs": answer.ct_inputs}
    if answer.loss is not None:
        leaves["loss"] = answer.loss
    for layer, (delta, (weights, bias)) in enumerate(zip(answer.deltas, answer.grads, strict=True)):
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
    return leaves_of(oracle.solve(oracle_case(case)))


def by_numpy(case: Case) -> Leaves:
    """reference.plain."""
    return leaves_of(plain.solve(case))


def _own_activation(activation: Activation, z: Any) -> Any:
    a = activation.value(z)
    for kink in activation.kinks:
        line = jax.lax.stop_gradient(a) + activation.derivative_at(kink) * (z - kink.position)
        a = jnp.where(z == kink.position, line, a)
    return a


def _own_loss(loss: fm.Loss, kind: str, end: Any, targets: Any, weights: Any, params: Any) -> Any:
    return loss.value(end, targets, weights) + loss.penalty(params)


OWN = Formulas(_own_activation, _own_loss)


def textbook_autodiff(case: Case) -> Leaves:
    """jax.grad of textbook JAX code."""
    return leaves_of(jax_gradients(oracle_case(case), fused=False, formulas=TEXTBOOK))


def own_autodiff(case: Case) -> Leaves:
    """jax.grad of the package's forward pass and of the loss as it is named."""
    return leaves_of(jax_gradients(oracle_case(case), fused=False, formulas=OWN))


METHODS: dict[str, Callable[[Case], Leaves]] = {
    "hand-written": by_hand,
    "autodiff": textbook_autodiff,
    "autodiff of ours": own_autodiff,
    "NumPy": by_numpy,
}
