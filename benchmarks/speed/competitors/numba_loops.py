"""numba as its users have it: loops for single samples, `np.dot` for batches, `prange` over networks or starts.

All in float32 with fastmath. One kernel handles one network of the moons, of four sigmoid layers.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange

from benchmarks.speed.competitors import Runner
from benchmarks.speed.suite.problems import Basins, Training
from benchmarks.speed.suite.references import named, named_networks, reached

ONE = np.float32(1)
WIDEST = 50


@njit(fastmath=True)
def train_samples(weights, biases, inputs, targets, rate, epochs):  # type: ignore[no-untyped-def]
    """Sigmoid layers, half squared error, one sample at a time; weights and biases are changed in place."""
    layers = len(weights)
    a = np.empty((layers + 1, WIDEST), np.float32)
    ct = np.empty(WIDEST, np.float32)
    ct_z = np.empty(WIDEST, np.float32)
    for _ in range(epochs):
        for sample in range(inputs.shape[0]):
            for i in range(inputs.shape[1]):
                a[0, i] = inputs[sample, i]
            for layer in range(layers):
                w, b = weights[layer], biases[layer]
                for j in range(w.shape[1]):
                    ct_z[j] = b[j]
                for i in range(w.shape[0]):
                    for j in range(w.shape[1]):
                        ct_z[j] += a[layer, i] * w[i, j]
                for j in range(w.shape[1]):
                    a[layer + 1, j] = ONE / (ONE + math.exp(-ct_z[j]))
            for j in range(targets.shape[1]):
                ct[j] = a[layers, j] - targets[sample, j]
            for layer in range(layers - 1, -1, -1):
                w, b = weights[layer], biases[layer]
                for j in range(w.shape[1]):
                    ct_z[j] = ct[j] * a[layer + 1, j] * (ONE - a[layer + 1, j])
                    b[j] -= rate * ct_z[j]
                for i in range(w.shape[0]):
                    step = rate * a[layer, i]
                    total = np.float32(0)
                    for j in range(w.shape[1]):
                        total += w[i, j] * ct_z[j]
                        w[i, j] -= step * ct_z[j]
                    ct[i] = total


@njit(parallel=True, fastmath=True)
def train_networks(weights, biases, inputs, targets, rate, epochs):  # type: ignore[no-untyped-def]
    """The same for the networks along the leading axis of every array."""
    w0, w1, w2, w3 = weights
    b0, b1, b2, b3 = biases
    for n in prange(w0.shape[0]):
        train_samples((w0[n], w1[n], w2[n], w3[n]), (b0[n], b1[n], b2[n], b3[n]), inputs, targets, rate, epochs)


@njit(fastmath=True)
def sigmoid(z):  # type: ignore[no-untyped-def]
    """In float32."""
    return ONE / (ONE + np.exp(-z))


@njit(fastmath=True)
def softmax(z):  # type: ignore[no-untyped-def]
    """Row by row."""
    p = np.empty_like(z)
    for n in range(z.shape[0]):
        p[n] = np.exp(z[n] - z[n].max())
        p[n] /= p[n].sum()
    return p


@njit(fastmath=True)
def relu(z):  # type: ignore[no-untyped-def]
    """In float32."""
    return np.maximum(z, np.float32(0))


@njit(fastmath=True)
def sigmoid_slope(a):  # type: ignore[no-untyped-def]
    """From the activated value."""
    return a * (ONE - a)


@njit(fastmath=True)
def relu_slope(a):  # type: ignore[no-untyped-def]
    """From the activated value."""
    return np.where(a > 0, ONE, np.float32(0))


HIDDEN = {"relu": (relu, relu_slope), "sigmoid": (sigmoid, sigmoid_slope)}
OUTPUT = {"sigmoid": sigmoid, "softmax": softmax}


def batch_trainer(problem: Training) -> Any:
    """The compiled loop over batches for the functions of a problem."""
    (hidden,) = set(problem.activations[:-1])
    activation, slope = HIDDEN[hidden]
    output = OUTPUT[problem.activations[-1]]
    squared, mean = problem.loss == "half_squared_error", problem.over_samples == "mean"

    @njit(fastmath=True)
    def train(weights, biases, inputs, targets, batch_size, rate, epochs):  # type: ignore[no-untyped-def]
        layers = len(weights)
        for _ in range(epochs):
            for start in range(0, inputs.shape[0], batch_size):
                activations = [inputs[start : start + batch_size]]
                for layer in range(layers - 1):
                    activations.append(activation(np.dot(activations[layer], weights[layer]) + biases[layer]))
                outputs = output(np.dot(activations[layers - 1], weights[layers - 1]) + biases[layers - 1])
                ct_z = outputs - targets[start : start + batch_size]
                if squared:
                    ct_z *= sigmoid_slope(outputs)
                if mean:
                    ct_z /= np.float32(ct_z.shape[0])
                for layer in range(layers - 1, -1, -1):
                    a, w, b = activations[layer], weights[layer], biases[layer]
                    ct_weights, ct_bias = np.dot(a.T, ct_z), ct_z.sum(axis=0)
                    if layer > 0:
                        ct_z = np.dot(ct_z, w.T) * slope(a)
                    w -= rate * ct_weights
                    b -= rate * ct_bias

    return train


def _fresh(problem: Training) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    return tuple(w.copy() for w, _ in problem.params), tuple(b.copy() for _, b in problem.params)


def training(problem: Training) -> Runner:
    """One network: loops for single samples of the moons, `np.dot` for batches."""
    rate = np.float32(problem.learning_rate)
    single = problem.batch_size == 1
    kernel = train_samples if single else batch_trainer(problem)
    size = () if single else (problem.batch_size,)

    def run(epochs: int) -> Any:
        weights, biases = _fresh(problem)
        kernel(weights, biases, problem.inputs, problem.targets, *size, rate, epochs)
        return list(zip(weights, biases, strict=True))

    return Runner(run, named, problem.updates)


def sweep(problem: Training) -> Runner:
    """All networks, spread over the cores."""
    networks = problem.networks or 1

    def run(epochs: int) -> Any:
        weights, biases = _fresh(problem)
        train_networks(weights, biases, problem.inputs, problem.targets, np.float32(problem.learning_rate), epochs)
        return list(zip(weights, biases, strict=True))

    def leaves(after: Any) -> Any:
        return named_networks(problem, after)

    return Runner(run, leaves, problem.updates * networks, {"networks": networks})


@njit(parallel=True, fastmath={"contract", "arcp", "reassoc", "nsz", "afn"})
def descend(x, y, value, count, rate, threshold, steps):  # type: ignore[no-untyped-def]
    """Every start alone, in place. Numbers may become infinite here, which all of fastmath would deny."""
    two, four, seven, eleven = np.float32(2), np.float32(4), np.float32(7), np.float32(11)
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            p, q = x[i, j], y[i, j]
            above = np.float32(0)
            for _ in range(steps):
                u, v = p * p + q - eleven, p + q * q - seven
                if not (u * u + v * v <= threshold):
                    above += ONE
                p, q = p - rate * (four * p * u + two * v), q - rate * (two * u + four * q * v)
            u, v = p * p + q - eleven, p + q * q - seven
            x[i, j], y[i, j], value[i, j], count[i, j] = p, q, u * u + v * v, above


def basins(problem: Basins) -> Runner:
    """The rows of the grid spread over the cores."""
    rate, threshold = np.float32(problem.learning_rate), np.float32(problem.threshold)

    def run(times: int) -> Any:
        for _ in range(times):
            x, y = problem.starts()
            value, count = np.empty_like(x), np.empty_like(x)
            descend(x, y, value, count, rate, threshold, problem.steps)
        return x, y, value, count

    return Runner(run, lambda ends: reached(problem, *ends), 1)
