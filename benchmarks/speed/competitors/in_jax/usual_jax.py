"""Loss and activations as people write them in JAX, and the usual ways over batches: a compiled step in a Python loop,
and `lax.scan`. Activations are those of `jax.nn`, cross-entropies optax's of logits; several networks go under `vmap`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.speed.competitors import Runner
from benchmarks.speed.suite.problems import Training
from benchmarks.speed.suite.references import Pair, named_networks

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


Step = Callable[[Any, Any, Any], Any]  # state, inputs, targets -> state


def loop(initial: Any, step: Step, problem: Training) -> Callable[[int], Any]:
    """A function of epochs that calls the compiled step once per batch."""
    compiled, batches = jax.jit(step), device_batches(problem)

    def run(epochs: int) -> Any:
        state = initial
        for _ in range(epochs):
            for inputs, targets in batches:
                state = compiled(state, inputs, targets)
        return jax.block_until_ready(state)

    return run


def scan(initial: Any, step: Step, problem: Training) -> Callable[[int], Any]:
    """A function of epochs that calls one program per epoch; a smaller last batch is a step of its own in it."""
    whole, rest = stacked_batches(problem)

    @jax.jit
    def epoch(state: Any, whole: Any, rest: Any) -> Any:
        state, _ = jax.lax.scan(lambda state, batch: (step(state, *batch), None), state, whole)
        return state if rest is None else step(state, *rest)

    def run(epochs: int) -> Any:
        state = initial
        for _ in range(epochs):
            state = epoch(state, whole, rest)
        return jax.block_until_ready(state)

    return run


def several(
    over_batches: Callable[..., Callable[[int], Any]],
    initial: Any,
    step: Step,
    problem: Training,
    pairs: Callable[[Any], list[Pair]],
) -> Runner:
    """All networks of a sweep at once.

    Args:
        over_batches: `loop` or `scan`.
        initial: the states, every array with a leading axis of networks.
        step: of one network.
        problem: the sweep.
        pairs: of a state: (weights, bias) per layer as NumPy arrays with that axis.
    """
    networks = problem.networks or 1
    run = over_batches(initial, jax.vmap(step, in_axes=(0, None, None)), problem)
    facts = {"networks": networks}
    return Runner(run, lambda state: named_networks(problem, pairs(state)), problem.updates * networks, facts)
