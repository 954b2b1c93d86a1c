"""Right programs with samples as columns."""

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    RELU,
    SIGMOID,
    SOFTMAX,
    Array,
    Layers,
    relu,
    sigmoid,
)
from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.item import (
    HALF,
    MEAN_BINARY,
    MEAN_CROSS_ENTROPY,
    FunctionAsk,
    GradientsAsk,
    right,
)


def _sample_after_sample(params: Layers, inputs: Array, targets: Array) -> Layers:
    """Sigmoids and half the squared error; weights (out, in), biases (out, 1), gradients summed over the samples."""
    weights = [w.T for w, _ in params]
    biases = [b.reshape(-1, 1) for _, b in params]
    weight_sums, bias_sums = [0 * w for w in weights], [0 * b for b in biases]
    for x, t in zip(inputs[:, :, None], targets[:, :, None], strict=True):
        activations = [x]
        for w, b in zip(weights, biases, strict=True):
            activations.append(sigmoid(w @ activations[-1] + b))
        sent = activations[-1] - t
        for from_the_end in range(1, len(weights) + 1):
            a = activations[-from_the_end]
            delta = sent * (a * (1 - a))
            weight_sums[-from_the_end] = weight_sums[-from_the_end] + delta @ activations[-from_the_end - 1].T
            bias_sums[-from_the_end] = bias_sums[-from_the_end] + delta
            sent = weights[-from_the_end].T @ delta
    return list(zip(weight_sums, bias_sums, strict=True))


def _turned(layers: Layers) -> Layers:
    """Weights (in, out), biases (out,)."""
    return [(weights.T, bias.ravel()) for weights, bias in layers]


@right("c01", "columns")
def columns(draw: Draw) -> GradientsAsk:
    """Column vectors, one sample after the other, half the squared error."""
    problem = draw.problem(2, targets="unit")
    return GradientsAsk((SIGMOID, SIGMOID), HALF, *problem, given=_turned(_sample_after_sample(*problem)))


@right("c02", "columns")
def columns_as_a_function(draw: Draw) -> FunctionAsk:
    """Column vectors, one sample after the other, two hidden layers; as a function."""

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        return _turned(_sample_after_sample(params, inputs, targets))

    return FunctionAsk((SIGMOID,) * 3, HALF, draw.shape(2, 2)[0], function)


@right("c03", "column biases")
def columns_in_their_own_layout(draw: Draw) -> GradientsAsk:
    """Column vectors, handed over as they are: weights (out, in) as declared, biases (out, 1)."""
    problem = draw.problem(2, targets="unit")
    given = _sample_after_sample(*problem)
    return GradientsAsk((SIGMOID, SIGMOID), HALF, *problem, layout="out_in", as_is=True, given=given)


@right("c11", "feature-major")
def dictionaries(draw: Draw) -> FunctionAsk:
    """Dictionaries of feature-major arrays, relu and sigmoid, the loss beside the gradients; biases raveled."""

    def function(params: Layers, inputs: Array, targets: Array) -> tuple[float, Layers]:
        n, cache, last = len(inputs), {"A0": inputs.T}, len(params)
        for layer, (w, b) in enumerate(params, 1):
            cache[f"Z{layer}"] = w.T @ cache[f"A{layer - 1}"] + b[:, None]
            cache[f"A{layer}"] = (sigmoid if layer == last else relu)(cache[f"Z{layer}"])
        outputs, t = cache[f"A{last}"], targets.T
        gradients: Layers = []
        d_a = -(t / outputs - (1 - t) / (1 - outputs))
        for layer in range(last, 0, -1):
            z = cache[f"Z{layer}"]
            d_z = d_a * sigmoid(z) * (1 - sigmoid(z)) if layer == last else np.where(z <= 0, 0, d_a)
            gradients.insert(0, ((d_z @ cache[f"A{layer - 1}"].T / n).T, d_z.sum(1, keepdims=True).ravel() / n))
            d_a = params[layer - 1][0] @ d_z
        value = -(t @ np.log(outputs).T + (1 - t) @ np.log(1 - outputs).T) / n
        return float(np.squeeze(value)), gradients

    return FunctionAsk((RELU, RELU, SIGMOID), MEAN_BINARY, draw.shape(1, 2)[0], function)


@right("c35", "integer labels")
def labels_in_columns(draw: Draw) -> FunctionAsk:
    """Class numbers (argmax of the targets), feature-major, relu and softmax; as a function."""

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        (w1, b1), (w2, b2) = [(w.T, b.reshape(-1, 1)) for w, b in params]
        labels, n = np.argmax(targets, 1), len(inputs)
        u = w1 @ inputs.T + b1
        h = relu(u)
        z = w2 @ h + b2
        exponentials = np.exp(z - z.max(0))
        p = exponentials / exponentials.sum(0)
        delta = p - np.eye(len(b2))[labels].T
        below = w2.T @ delta * (u > 0)
        return [((below @ inputs / n).T, below.sum(1) / n), ((delta @ h.T / n).T, delta.sum(1) / n)]

    return FunctionAsk((RELU, SOFTMAX), MEAN_CROSS_ENTROPY, draw.shape(4)[0], function)
