"""What the two ways to a gradient in JAX share: compilation, XLA's own counts, and evaluations one after the other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed.competitors import Runner
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
