"""`jax.value_and_grad` of the network as it is usually written in JAX, compiled: beside `fm.loss_and_grad`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed.competitors import Runner
from benchmarks.speed.competitors.in_jax import usual_jax
from benchmarks.speed.competitors.in_jax.compiled import evaluations
from benchmarks.speed.suite.problems import Gradient


def gradient(problem: Gradient) -> Runner:
    """Loss and gradient of one batch."""
    activations, loss = usual_jax.activations(problem.training), usual_jax.loss(problem.training)

    def value(params: Any, inputs: Any, targets: Any) -> Any:
        x = inputs
        for activation, (weights, bias) in zip(activations, params, strict=True):
            x = activation(x @ weights + bias)
        return loss(x, targets)

    params = [(jnp.asarray(w), jnp.asarray(b)) for w, b in problem.training.params]
    return evaluations(
        jax.value_and_grad(value), problem, params, lambda grads: [(np.asarray(w), np.asarray(b)) for w, b in grads]
    )
