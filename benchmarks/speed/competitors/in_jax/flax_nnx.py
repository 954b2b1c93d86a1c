"""flax (NNX) and optax: an `nnx.jit`-compiled step in a Python loop, and the functional form of it inside `lax.scan`.

Batches are on the device beforehand. Several networks are the functional form under `jax.vmap`.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks.speed.competitors import Runner
from benchmarks.speed.competitors.in_jax import usual_jax
from benchmarks.speed.suite.problems import Training
from benchmarks.speed.suite.references import named


class Network(nnx.Module):
    """Dense layers with the activations that are given."""

    def __init__(self, sizes: tuple[int, ...], activations: tuple[Callable[..., Any], ...]) -> None:
        rngs = nnx.Rngs(0)
        self.layers = nnx.List([nnx.Linear(*shape, rngs=rngs) for shape in pairwise(sizes)])
        self.activations = activations

    def __call__(self, x: Any) -> Any:
        """Outputs (n, n_L) of inputs (n, n_0)."""
        for layer, activation in zip(self.layers, self.activations, strict=True):
            x = activation(layer(x))
        return x


def model_and_optimizer(problem: Training) -> tuple[Network, nnx.Optimizer]:
    """With the initial values in it; with several networks they have a leading axis."""
    model = Network(problem.sizes, usual_jax.activations(problem))
    for layer, (weights, bias) in zip(model.layers, problem.params, strict=True):
        layer.kernel, layer.bias = nnx.Param(jnp.asarray(weights)), nnx.Param(jnp.asarray(bias))
    return model, nnx.Optimizer(model, optax.sgd(problem.learning_rate), wrt=nnx.Param)


def in_place_step(problem: Training) -> Callable[..., None]:
    """One update of a model and its optimiser, in place as NNX has it."""
    loss = usual_jax.loss(problem)

    def step(model: Network, optimizer: nnx.Optimizer, inputs: Any, targets: Any) -> None:
        grads = nnx.grad(lambda model: loss(model(inputs), targets))(model)
        optimizer.update(model, grads)

    return step


def functional_step(problem: Training) -> tuple[Any, Callable[..., Any]]:
    """The initial state, and one update as a function from state to state."""
    graph, state = nnx.split(model_and_optimizer(problem))
    update = in_place_step(problem)

    def step(state: Any, inputs: Any, targets: Any) -> Any:
        model, optimizer = nnx.merge(graph, state)
        update(model, optimizer, inputs, targets)
        return nnx.state((model, optimizer))

    return state, step


def _leaves(graph_and_state: Any) -> Any:
    return named(_pairs(nnx.merge(*graph_and_state)[0]))


def _pairs(model: Network) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])) for layer in model.layers]


def training(problem: Training) -> Runner:
    """One network, a Python loop."""
    graph, initial = nnx.split(model_and_optimizer(problem))
    step, batches = nnx.jit(in_place_step(problem)), usual_jax.device_batches(problem)

    def run(epochs: int) -> Any:
        model, optimizer = nnx.merge(graph, initial, copy=True)
        for _ in range(epochs):
            for inputs, targets in batches:
                step(model, optimizer, inputs, targets)
        return graph, jax.block_until_ready(nnx.state((model, optimizer)))

    return Runner(run, _leaves, problem.updates)


def training_in_scan(problem: Training) -> Runner:
    """One network, `lax.scan` over the batches of an epoch."""
    graph, _ = nnx.split(model_and_optimizer(problem))
    run = usual_jax.scan(*functional_step(problem), problem)
    return Runner(run, lambda state: _leaves((graph, state)), problem.updates)


def sweep(problem: Training, over_batches: Callable[..., Callable[[int], Any]] = usual_jax.loop) -> Runner:
    """Several networks: a Python loop, or `lax.scan`."""
    networks = problem.networks or 1
    graph, _ = nnx.split(model_and_optimizer(problem))
    state, step = functional_step(problem)
    counted = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (networks, *leaf.shape)) if leaf.ndim == 0 else leaf, state
    )
    return usual_jax.several(over_batches, counted, step, problem, lambda state: _pairs(nnx.merge(graph, state)[0]))


sweep_in_scan = partial(sweep, over_batches=usual_jax.scan)
