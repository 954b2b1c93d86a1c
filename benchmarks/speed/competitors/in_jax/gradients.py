"""Ways to a gradient in JAX: what they share (compilation, XLA's counts, evaluations in a row), and autodiff."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed.competitors import Runner
from benchmarks.speed.competitors.in_jax import usual_jax
from benchmarks.speed.suite.problems import Gradient
from benchmarks.speed.suite.references import Pair, named


def evaluations(
    value_and_grad: Callable[[Any, Any, Any], tuple[Any, Any]],
    problem: Gradient,
    params: Any,
    pairs: Callable[[Any], list[Pair]],
) -> Runner:
    """Loss and gradient of one batch, compiled once.

    Args:
        value_and_grad: of parameters, inputs and targets.
        problem: what is evaluated.
        params: as `value_and_grad` takes them.
        pairs: the gradient as pairs of NumPy arrays.

    Returns:
        The runner, with floating-point operations and temporary bytes as XLA counts them among the facts.
    """
    inputs, targets = jnp.asarray(problem.training.inputs), jnp.asarray(problem.training.targets)
    compiled = jax.jit(value_and_grad).lower(params, inputs, targets).compile()
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}

    def run(times: int) -> Any:
        for _ in range(times):
            both = jax.block_until_ready(compiled(params, inputs, targets))
        return both

    def leaves(both: Any) -> Any:
        value, grads = both
        return {"loss": np.atleast_1d(np.asarray(value))} | named(pairs(grads), "ct_params")

    facts = {"flops": cost.get("flops"), "temporary_bytes": getattr(memory, "temp_size_in_bytes", None)}
    return Runner(run, leaves, 1, facts)


def by_autodiff(problem: Gradient) -> Runner:
    """`jax.value_and_grad` of the network as it is usually written in JAX: beside `fm.loss_and_grad`."""
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
