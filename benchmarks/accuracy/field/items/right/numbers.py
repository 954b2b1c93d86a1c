"""Right programs with plain lists of numbers, and in single precision."""

from typing import Any

import numpy as np

from benchmarks.accuracy.field.items.backprop import SIGMOID, SOFTMAX, Array, Layers, backward, forward
from benchmarks.accuracy.field.items.drawing import Draw, Problem
from benchmarks.accuracy.field.items.item import (
    CROSS_ENTROPY,
    MEAN_SQUARED,
    FunctionAsk,
    GradientsAsk,
    right,
)


def _loops(params: Layers, inputs: Any, targets: Any) -> list[tuple[list[list[float]], list[float]]]:
    """Sigmoid and softmax in plain lists, one sample after the other, nothing but loops."""
    (w1, b1), (w2, b2) = [(np.asarray(w).tolist(), np.asarray(b).tolist()) for w, b in params]
    below, hidden, outputs = range(len(w1)), range(len(b1)), range(len(b2))
    g_w1, g_b1 = [[0.0 for _ in hidden] for _ in below], [0.0 for _ in hidden]
    g_w2, g_b2 = [[0.0 for _ in outputs] for _ in hidden], [0.0 for _ in outputs]
    for x, t in zip(inputs.tolist(), targets.tolist(), strict=True):
        h = [1 / (1 + np.e ** -(sum(x[i] * w1[i][j] for i in below) + b1[j])) for j in hidden]
        z = [sum(h[j] * w2[j][k] for j in hidden) + b2[k] for k in outputs]
        top = max(z)
        powers = [np.e ** (value - top) for value in z]
        total = sum(powers)
        delta = [powers[k] / total - t[k] for k in outputs]
        sent = [sum(delta[k] * w2[j][k] for k in outputs) * h[j] * (1 - h[j]) for j in hidden]
        for k in outputs:
            g_b2[k] += delta[k]
            for j in hidden:
                g_w2[j][k] += delta[k] * h[j]
        for j in hidden:
            g_b1[j] += sent[j]
            for i in below:
                g_w1[i][j] += sent[j] * x[i]
    return [(g_w1, g_b1), (g_w2, g_b2)]


@right("c24", "lists")
def lists(draw: Draw) -> GradientsAsk:
    """Plain lists and loops, softmax of two outputs."""
    problem = draw.problem(2, targets="one_hot")
    return GradientsAsk((SIGMOID, SOFTMAX), CROSS_ENTROPY, *problem, as_is=True, given=_loops(*problem))


@right("c25", "lists")
def lists_as_a_function(draw: Draw) -> FunctionAsk:
    """Plain lists and loops, softmax of two outputs; as a function."""
    return FunctionAsk((SIGMOID, SOFTMAX), CROSS_ENTROPY, draw.shape(2)[0], _loops)


def _single(params: Any, inputs: Any, targets: Any) -> list[tuple[list[list[float]], list[float]]]:
    """Sigmoids and the mean squared error, every number a float32; handed over as lists."""
    f = np.float32
    layers: Layers = [(np.asarray(w, f), np.asarray(b, f)) for w, b in params]
    x, t = np.asarray(inputs, f), np.asarray(targets, f)

    def sigmoid(z: Array) -> Array:
        return f(1) / (f(1) + np.exp(-z))

    _, a = forward(layers, x, *(sigmoid,) * len(layers))
    n = f(len(x))
    delta = f(2) * (a[-1] - t) * a[-1] * (f(1) - a[-1])
    gradients = backward(layers, a, delta, [each * (f(1) - each) for each in a[1:-1]])
    return [((gradient / n).tolist(), (bias_gradient / n).tolist()) for gradient, bias_gradient in gradients]


@right("c51", "float32")
def single_precision(draw: Draw) -> GradientsAsk:
    """Computed in float32; only the case says so."""
    params, inputs, targets = draw.problem(2, hidden=2, targets="unit")
    f = np.float32
    problem = Problem([(w.astype(f), b.astype(f)) for w, b in params], inputs.astype(f), targets.astype(f))
    return GradientsAsk((SIGMOID,) * 3, MEAN_SQUARED, *problem, dtype="float32", as_is=True, given=_single(*problem))


@right("c52", "float32")
def single_precision_as_a_function(draw: Draw) -> FunctionAsk:
    """Computed in float32, and declared so; as a function."""
    return FunctionAsk((SIGMOID,) * 3, MEAN_SQUARED, draw.shape(2, 2)[0], _single, precision="float32")
