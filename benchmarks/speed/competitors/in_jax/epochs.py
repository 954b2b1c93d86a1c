"""The two usual ways over the batches of an epoch in JAX: a compiled step in a Python loop, and `lax.scan`.

Several networks are the same under `jax.vmap`.
"""

from collections.abc import Callable
from typing import Any

import jax

from benchmarks.speed.competitors import Runner
from benchmarks.speed.competitors.in_jax import usual_jax
from benchmarks.speed.suite.problems import Training
from benchmarks.speed.suite.references import Pair, named_networks

Step = Callable[[Any, Any, Any], Any]  # state, inputs, targets -> state


def loop(initial: Any, step: Step, problem: Training) -> Callable[[int], Any]:
    """A function of epochs that calls the compiled step once per batch."""
    compiled, batches = jax.jit(step), usual_jax.device_batches(problem)

    def run(epochs: int) -> Any:
        state = initial
        for _ in range(epochs):
            for inputs, targets in batches:
                state = compiled(state, inputs, targets)
        return jax.block_until_ready(state)

    return run


def scan(initial: Any, step: Step, problem: Training) -> Callable[[int], Any]:
    """A function of epochs that calls one program per epoch; a smaller last batch is a step of its own in it."""
    whole, rest = usual_jax.stacked_batches(problem)

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
