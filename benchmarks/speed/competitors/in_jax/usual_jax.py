"""Loss and activations as people write them in JAX: `jax.nn` and optax, cross-entropies of logits."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.speed.suite.problems import Training

Function = Callable[..., Any]
ACTIVATIONS: dict[str, Function] = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}


def activations(problem: Training) -> tuple[Function, ...]:
    """Of every layer; a cross-entropy takes the logits, so the last layer then has none."""
    *hidden, last = problem.activations
    final = ACTIVATIONS[last] if problem.loss == "half_squared_error" else lambda z: z
    return *(ACTIVATIONS[name] for name in hidden), final


def loss(problem: Training) -> Function:
    """Of outputs (n, n_L) and targets (n, n_L)."""
    per_sample = PER_SAMPLE[problem.loss]
    over_samples = jnp.mean if problem.over_samples == "mean" else jnp.sum
    return lambda outputs, targets: over_samples(per_sample(outputs, targets))


PER_SAMPLE: dict[str, Function] = {
    "half_squared_error": lambda outputs, targets: 0.5 * ((outputs - targets) ** 2).sum(axis=-1),
    "binary_cross_entropy": lambda logits, targets: optax.sigmoid_binary_cross_entropy(logits, targets).sum(axis=-1),
    "categorical_cross_entropy": optax.softmax_cross_entropy,
}


def device_batches(problem: Training) -> list[tuple[jax.Array, jax.Array]]:
    """The batches of an epoch as arrays on the device."""
    return [(jnp.asarray(inputs), jnp.asarray(targets)) for inputs, targets in problem.batches()]


def stacked_batches(problem: Training) -> tuple[Any, Any | None]:
    """Whole batches along a leading axis, for `lax.scan`, and what is left of the epoch, or None."""
    batches = device_batches(problem)
    rest = None if len(problem.inputs) % problem.batch_size == 0 else batches.pop()
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches), rest
