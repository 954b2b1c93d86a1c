"""Wrong operands: what is sent back or multiplied is another quantity, another sign, or found by differences."""

from collections.abc import Callable

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    IDENTITY,
    RELU,
    SIGMOID,
    SOFTMAX,
    TANH,
    Array,
    Layers,
    backward,
    forward,
    moved,
    same,
    sigmoid,
    softmax,
)
from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.item import (
    CROSS_ENTROPY,
    HALF,
    MEAN_CROSS_ENTROPY,
    MEAN_SQUARED,
    GradientsAsk,
    UpdateAsk,
    wrong,
)
from functional_mlp import Loss


@wrong("f007", "error for delta", "raw-error-sent-back")
def error_for_delta(draw: Draw) -> UpdateAsk:
    """The raw error, not the delta, is sent back through the output weights; no biases; a batch."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(3, targets="unit", bias="none")
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)
    error = a[2] - problem.targets
    below = (error @ problem.params[1][0].T) * hidden.slope(z[0], a[1])
    gradients = [(problem.inputs.T @ below, None), (a[1].T @ (error * a[2] * (1 - a[2])), None)]

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((hidden, SIGMOID), HALF, *problem, layout="out_in", step=step, rates=(0.3, 0.03))


@wrong("f062", "W * a for W", "weights-times-activations", also="sum-product-swapped")
def weights_times_activations(draw: Draw) -> UpdateAsk:
    """Goes back by weights times activations, entry by entry, and mixes the samples in an (n, n) product."""
    problem = draw.problem(1, targets="bits")
    (weights, bias), (out_weights, out_bias) = [(w.T, b[:, None]) for w, b in problem.params]
    inputs = problem.inputs
    h = sigmoid(weights @ inputs.T + bias)
    o = sigmoid(out_weights @ h + out_bias)
    error = -2 / len(inputs) * (problem.targets.T - o)
    out_slope, slope = o * (1 - o), h * (1 - h)
    back = (error.T @ out_slope @ (out_weights * h.T)).T
    gradients = [
        (((back * slope) @ inputs).T, (back @ slope.T).sum(1)),
        (((error * out_slope) @ h.T).T, (error @ out_slope.T)[:, 0]),
    ]

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((SIGMOID, SIGMOID), MEAN_SQUARED, *problem, layout="out_in", step=step, rates=(0.1, 0.01))


@wrong("f065", "scalar", "scalar-broadcast", also="activated-output-used-as-input")
def a_number_for_each_layer(draw: Draw) -> GradientsAsk:
    """The inner product of error and activations, one number per layer, for its weights' gradient; one sample."""
    hidden = draw.hidden(SIGMOID)
    params, inputs, targets = draw.problem(3, samples=1, hidden=2, targets="one_hot", bias="none")
    z, a = forward(params, inputs, hidden.value, hidden.value, softmax)
    error = (a[3] - targets)[0]
    given: list[float] = []
    for layer in (2, 1, 0):
        given.insert(0, error @ a[layer + 1][0])
        if layer:
            error = (error @ params[layer][0].T) * hidden.slope(z[layer - 1], a[layer])[0]
    loss = Loss("squared_error", over_outputs="mean")
    return GradientsAsk(
        (hidden, hidden, SOFTMAX), loss, params, inputs, targets, layout="out_in", as_is=True, given=given
    )


@wrong("f108", "sums swapped", "sum-product-swapped")
def sums_multiplied(draw: Draw) -> GradientsAsk:
    """A loop over the units below takes the whole delta, not its entry: a product of sums for a sum of products."""
    hidden = draw.hidden(RELU)
    params, inputs, targets = draw.problem(1, hidden=2, functions=(hidden.value, hidden.value))
    z, a = forward(params, inputs, hidden.value, hidden.value, same)

    def send_back(delta: Array, layer: int) -> Array:
        weights = params[layer][0]
        return delta @ weights.T if layer == 2 else np.outer(delta.sum(1), weights.sum(1))

    slopes = [hidden.slope(z[layer], a[layer + 1]) for layer in (0, 1)]
    given = backward(params, a, a[3] - targets, slopes, send_back=send_back)
    return GradientsAsk((hidden, hidden, IDENTITY), HALF, params, inputs, targets, given=given)


def _central_differences(params: Layers, value: Callable[[Layers], float], step: float) -> Layers:
    """The gradient of a loss by central differences."""

    def derivative(of: Array) -> Array:
        gradient = np.zeros_like(of)
        for index in np.ndindex(of.shape):
            kept = of[index]
            of[index] = kept + step
            above = value(params)
            of[index] = kept - step
            below = value(params)
            of[index] = kept
            gradient[index] = (above - below) / (2 * step)
        return gradient

    return [(derivative(weights), derivative(bias)) for weights, bias in params]


@wrong("f128", "checker", "finite-difference")
def differences_with_a_tiny_step(draw: Draw) -> GradientsAsk:
    """Central differences with a step of 1e-9."""
    hidden = draw.hidden(TANH)
    problem = draw.problem(2, targets="one_hot")

    def value(params: Layers) -> float:
        _, a = forward(params, problem.inputs, hidden.value, softmax)
        return float(-np.mean(np.log((a[2] * problem.targets).sum(1))))

    given = _central_differences(problem.params, value, 1e-9)
    return GradientsAsk((hidden, SOFTMAX), MEAN_CROSS_ENTROPY, *problem, given=given)


@wrong("f130", "sign", "sign-flipped", also="layer-sign-flipped")
def ascent(draw: Draw) -> GradientsAsk:
    """The gradient of the log-likelihood, cross-entropy declared."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(3, targets="one_hot")
    z, a = forward(problem.params, problem.inputs, hidden.value, softmax)
    given = backward(problem.params, a, problem.targets - a[2], [hidden.slope(z[0], a[1])])
    return GradientsAsk((hidden, SOFTMAX), CROSS_ENTROPY, *problem, given=given)
