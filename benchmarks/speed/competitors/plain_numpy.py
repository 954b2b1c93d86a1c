"""Plain NumPy: single samples by the published moons as they are (float64), batches by operations on arrays.

Several networks at once, one of two ways: one after the other in a process per core, as one would start them; or
stacked along a leading axis.
"""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.speed.competitors import Runner
from benchmarks.speed.suite.problems import Basins, Pair, Training
from benchmarks.speed.suite.references import named, named_networks, reached
from functional_mlp.experiments.published import moons

Array = np.ndarray
Function = Callable[..., Any]


def training(problem: Training) -> Runner:
    """One network: sample by sample, or batch by batch."""
    if problem.batch_size == 1:
        return Runner(lambda epochs: one_sample(problem, epochs), named, problem.updates, {"note": "float64"})
    return Runner(lambda epochs: batches(problem, epochs), named, problem.updates)


def one_sample(problem: Training, epochs: int) -> list[Pair]:
    """`functional_mlp.experiments.published.moons.one_pass` from the initial values."""
    params = [(w.astype(np.float64), b.astype(np.float64)) for w, b in problem.params]
    inputs, targets = problem.inputs.astype(np.float64), problem.targets.astype(np.float64)
    for _ in range(epochs):
        moons.one_pass(params, inputs, targets, learning_rate=problem.learning_rate, train_biases=True)
    return params


def sweep(problem: Training) -> Runner:
    """One network per core, each in a process; a sweep would go on like that."""
    processes = os.cpu_count() or 1
    numbers = problem.compared()[:processes]
    pool = ProcessPoolExecutor(len(numbers), mp_context=get_context("spawn"))
    share = [problem.network(number) for number in numbers]

    def run(epochs: int) -> list[list[Pair]]:
        return list(pool.map(one_sample, share, [epochs] * len(share)))

    def leaves(after: list[list[Pair]]) -> Any:
        return {
            name: leaf
            for number, params in zip(numbers, after, strict=True)
            for name, leaf in named(params, f"network {number}: params").items()
        }

    facts = {"note": f"float64, {len(numbers)} processes", "networks": len(numbers)}
    return Runner(run, leaves, problem.updates * len(numbers), facts)


def stacked(problem: Training) -> Runner:
    """All networks at once, stacked, float32."""
    networks = problem.networks or 1

    def leaves(after: list[Pair]) -> Any:
        return named_networks(problem, after)

    return Runner(lambda epochs: batches(problem, epochs), leaves, problem.updates * networks, {"networks": networks})


# vectorised over the batch; with several networks every array has a leading axis


def sigmoid(z: Array) -> Array:
    """In the dtype of z."""
    return 1 / (1 + np.exp(-z))


def softmax(z: Array) -> Array:
    """Along the last axis."""
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def relu(z: Array) -> Array:
    """In the dtype of z."""
    return np.maximum(z, 0)


ACTIVATIONS: dict[str, Function] = {"relu": relu, "sigmoid": sigmoid, "softmax": softmax}
SLOPES: dict[str, Function] = {"relu": lambda a: a > 0, "sigmoid": lambda a: a * (1 - a)}  # from the activated value


def batches(problem: Training, epochs: int) -> list[Pair]:
    """Trains in float32; biases are (1, fan_out), or (N, 1, fan_out)."""
    rate = np.float32(problem.learning_rate)
    params = [(w.copy(), b[..., None, :].copy()) for w, b in problem.params]
    for _ in range(epochs):
        for inputs, targets in problem.batches():
            activations = [inputs]
            for name, (weights, bias) in zip(problem.activations, params, strict=True):
                activations.append(ACTIVATIONS[name](activations[-1] @ weights + bias))
            outputs = activations[-1]
            ct_z = outputs - targets
            if problem.loss == "half_squared_error":
                ct_z *= SLOPES[problem.activations[-1]](outputs)
            if problem.over_samples == "mean":
                ct_z /= np.float32(len(inputs))
            for layer in range(len(params) - 1, -1, -1):
                weights, bias = params[layer]
                ct_weights = np.swapaxes(activations[layer], -1, -2) @ ct_z
                ct_bias = ct_z.sum(axis=-2, keepdims=True)
                if layer:
                    slope = SLOPES[problem.activations[layer - 1]](activations[layer])
                    ct_z = (ct_z @ np.swapaxes(weights, -1, -2)) * slope
                weights -= rate * ct_weights
                bias -= rate * ct_bias
    return params


def basins(problem: Basins) -> Runner:
    """All starts at once, float32, in place where that is as easy to write."""

    def run(times: int) -> tuple[Array, ...]:
        for _ in range(times):
            ends = descend(problem)
        return ends

    return Runner(run, lambda ends: reached(problem, *ends), 1)


def descend(problem: Basins) -> tuple[Array, ...]:
    """x, y, f and the steps counted, each (grid, grid)."""
    rate, threshold = np.float32(problem.learning_rate), np.float32(problem.threshold)
    x, y = problem.starts()
    steps = np.zeros(x.shape, np.int32)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(problem.steps):
            u, v = x * x + y - 11, x + y * y - 7
            steps += ~(u * u + v * v <= threshold)
            x, y = x - rate * (4 * x * u + 2 * v), y - rate * (2 * u + 4 * y * v)
        u, v = x * x + y - 11, x + y * y - 7
        return x, y, u * u + v * v, steps
