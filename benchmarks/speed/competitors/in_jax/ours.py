"""functional_mlp through its public functions: `fm.train`, `fm.sweep`, `fm.loss_and_grad`, `fm.descend`.

Nothing is evaluated on the way, as by no other competitor. What `train` and `sweep` do at each call, such as checking
the data, is counted.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import functional_mlp as fm
from benchmarks.speed.competitors import Runner
from benchmarks.speed.competitors.in_jax.gradients import evaluations
from benchmarks.speed.suite.problems import Basins, Gradient, Training
from benchmarks.speed.suite.references import named, named_networks, reached
from functional_mlp.experiments import himmelblau
from functional_mlp.parallel import device_per_core

LOSSES = {
    "half_squared_error": {"kind": "squared_error", "scale": 0.5},
    "binary_cross_entropy": {"kind": "binary_cross_entropy"},
    "categorical_cross_entropy": {"kind": "categorical_cross_entropy"},
}


def network_and_loss(problem: Training) -> tuple[fm.Network, fm.Loss]:
    """The specification of a problem."""
    return (
        fm.Network(problem.sizes, problem.activations),
        fm.Loss(**LOSSES[problem.loss], over_samples=problem.over_samples),  # type: ignore[arg-type]
    )


def params_of(problem: Training) -> fm.Params:
    """The initial values on the device, with a leading axis if there are several networks."""
    return tuple(fm.Dense(jnp.asarray(w), jnp.asarray(b)) for w, b in problem.params)


def arrays(params: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Parameters or gradients as NumPy pairs."""
    return [(np.asarray(layer.weights), np.asarray(layer.bias)) for layer in params]


def training(problem: Training) -> Runner:
    """`fm.train`."""
    network, loss = network_and_loss(problem)
    params, optimizer = params_of(problem), optax.sgd(problem.learning_rate)
    inputs, targets = jnp.asarray(problem.inputs), jnp.asarray(problem.targets)
    settings: dict[str, Any] = {"optimizer": optimizer, "batch_size": problem.batch_size, "metrics": ()}

    def run(epochs: int) -> fm.Params:
        result = fm.train(network, loss, params, inputs, targets, epochs=epochs, **settings)
        return jax.block_until_ready(result.params)

    return Runner(run, lambda after: named(arrays(after)), problem.updates)


def sweep(problem: Training) -> Runner:
    """`fm.sweep`, all networks at once, over a device per core, as the experiments set them up."""
    device_per_core()
    network, loss = network_and_loss(problem)
    networks = problem.networks or 1
    keys = jax.random.split(jax.random.key(0), networks)  # asked for, but not used: nothing is drawn or shuffled
    params = params_of(problem)
    inputs, targets = jnp.asarray(problem.inputs), jnp.asarray(problem.targets)
    settings: dict[str, Any] = {"learning_rates": problem.learning_rate, "batch_size": problem.batch_size}
    settings |= {"keys": keys, "params": params, "metrics": ()}

    def run(epochs: int) -> fm.Params:
        result = fm.sweep(network, loss, inputs, targets, epochs=epochs, **settings)
        return jax.block_until_ready(result.params)

    facts = {"note": f"on {len(jax.local_devices())} of JAX's devices", "networks": networks}
    return Runner(run, lambda after: named_networks(problem, arrays(after)), problem.updates * networks, facts)


def gradient(problem: Gradient) -> Runner:
    """`fm.loss_and_grad`, compiled."""
    network, loss = network_and_loss(problem.training)

    def value_and_grad(params: Any, inputs: Any, targets: Any) -> Any:
        return fm.loss_and_grad(network, loss, params, inputs, targets)

    return evaluations(value_and_grad, problem, params_of(problem.training), arrays)


def basins(problem: Basins) -> Runner:
    """The descent of `experiments.himmelblau.find_basins`, one compiled program."""
    start = jnp.asarray(np.stack([*problem.starts(), np.zeros((problem.grid,) * 2, np.float32)], axis=-1))
    objective = himmelblau.counting(problem.threshold)
    optimizer = himmelblau.count_with(optax.sgd(problem.learning_rate))

    def run(times: int) -> fm.Path:
        for _ in range(times):
            path = fm.descend(objective, start, optimizer, problem.steps, record_every=problem.steps)
            jax.block_until_ready(path)
        return path

    def leaves(path: fm.Path) -> Any:
        x, y, steps = np.moveaxis(np.asarray(path.points[-1]), -1, 0)
        return reached(problem, x, y, np.asarray(path.values[-1]), steps)

    return Runner(run, leaves, 1)
