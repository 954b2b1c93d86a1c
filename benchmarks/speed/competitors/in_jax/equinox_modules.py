"""equinox and optax: a compiled step in a Python loop, and inside `lax.scan`; several networks as a vmapped ensemble.

Models are of one sample, `jax.vmap` makes batches, as equinox has it; the arrays of a model are its trained part.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.speed.competitors import Runner
from benchmarks.speed.competitors.in_jax import usual_jax
from benchmarks.speed.suite.problems import Training
from benchmarks.speed.suite.references import named


class Network(eqx.Module):
    """Dense layers with the activations that are given."""

    layers: list[eqx.nn.Linear]
    activations: tuple[Callable[..., Any], ...] = eqx.field(static=True)

    def __call__(self, x: Any) -> Any:
        """Outputs (n_L,) of one sample (n_0,)."""
        for layer, activation in zip(self.layers, self.activations, strict=True):
            x = activation(layer(x))
        return x


def model_of(problem: Training) -> Network:
    """With the initial values in it, weights (fan_out, fan_in); with several networks they have a leading axis."""
    layers = []
    for weights, bias in problem.params:
        layer = eqx.nn.Linear(*weights.shape[-2:], key=jax.random.key(0))
        arrays = jnp.asarray(np.swapaxes(weights, -1, -2)), jnp.asarray(bias)
        layers.append(eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, arrays))
    return Network(layers, usual_jax.activations(problem))


def state_and_step(problem: Training) -> tuple[Any, Callable[..., Any]]:
    """The arrays of the model with the optimiser's state, and one update of both."""
    loss, optimizer = usual_jax.loss(problem), optax.sgd(problem.learning_rate)
    arrays, rest = eqx.partition(model_of(problem), eqx.is_array)

    def value(model: Network, inputs: Any, targets: Any) -> Any:
        return loss(jax.vmap(model)(inputs), targets)

    def step(state: Any, inputs: Any, targets: Any) -> Any:
        arrays, opt_state = state
        model = eqx.combine(arrays, rest)
        grads = eqx.filter_grad(value)(model, inputs, targets)
        updates, opt_state = optimizer.update(grads, opt_state, model)
        return eqx.filter(eqx.apply_updates(model, updates), eqx.is_array), opt_state

    return (arrays, optimizer.init(arrays)), step


def _pairs(model: Network) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.swapaxes(np.asarray(layer.weight), -1, -2), np.asarray(layer.bias)) for layer in model.layers]


def training(problem: Training, over_batches: Callable[..., Callable[[int], Any]] = usual_jax.loop) -> Runner:
    """One network: a Python loop, or `lax.scan` over the batches of an epoch."""
    run = over_batches(*state_and_step(problem), problem)
    return Runner(run, lambda state: named(_pairs(state[0])), problem.updates)


def sweep(problem: Training, over_batches: Callable[..., Callable[[int], Any]] = usual_jax.loop) -> Runner:
    """Several networks, likewise."""
    return usual_jax.several(over_batches, *state_and_step(problem), problem, lambda state: _pairs(state[0]))


training_in_scan, sweep_in_scan = (partial(way, over_batches=usual_jax.scan) for way in (training, sweep))
