"""Right programs that change the parameters, or print them."""

import json

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    IDENTITY,
    SIGMOID,
    SOFTMAX,
    TANH,
    Array,
    Layers,
    backward,
    forward,
    moved,
    sigmoid,
    softmax,
)
from benchmarks.accuracy.field.items.drawing import Draw, Problem
from benchmarks.accuracy.field.items.item import (
    CROSS_ENTROPY,
    HALF,
    SQUARED,
    FunctionAsk,
    PrintedUpdateAsk,
    UpdateAsk,
    right,
)
from functional_mlp import Loss


@right("c13", "in place")
def in_place_after_sending(draw: Draw) -> UpdateAsk:
    """One row, tanh, mean of squares: every layer changes itself after it has made what it sends back."""
    problem = draw.problem(2, samples=1, targets="unit")

    def step(rate: float) -> Layers:
        layers = [(w.copy(), b.copy().reshape(1, -1)) for w, b in problem.params]
        _, a = forward(layers, problem.inputs, np.tanh, np.tanh)
        sent = 2 * (a[2] - problem.targets) / problem.targets.size
        for layer in (1, 0):
            weights, bias = layers[layer]
            delta = sent * (1 - a[layer + 1] ** 2)
            sent = delta @ weights.T
            weights -= rate * a[layer].T @ delta
            bias -= rate * delta
        return layers

    loss = Loss("squared_error", over_outputs="mean")
    return UpdateAsk((TANH, TANH), loss, *problem, step=step, rates=(0.1, 0.01))


@right("c27", "threshold")
def thresholds(draw: Draw) -> UpdateAsk:
    """z = x W - b, the biases negated when they are handed over; squared error, one sample."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(2, samples=1, targets="unit")
    thresholds = [(w, -b) for w, b in problem.params]  # of a program that adds them
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)
    delta = 2 * (a[2] - problem.targets) * a[2] * (1 - a[2])
    gradients = backward(problem.params, a, delta, [hidden.slope(z[0], a[1])])

    def step(rate: float) -> Layers:
        return [(w - rate * g, -(b + rate * h)) for (w, b), (g, h) in zip(thresholds, gradients, strict=True)]

    return UpdateAsk((hidden, SIGMOID), SQUARED, *problem, step=step, rates=(0.1, 0.01))


@right("c39", "f'(a) in terms of a")
def slope_in_terms_of_the_output(draw: Draw) -> UpdateAsk:
    """y (1 - y) of the activated value, no biases, rate 1: right, and often reported as a bug."""
    problem = draw.problem(1, targets="bits", bias="none")

    def step(rate: float) -> Layers:
        w1, w2 = (weights.copy() for weights, _ in problem.params)
        h = sigmoid(problem.inputs @ w1)
        o = sigmoid(h @ w2)
        delta = (problem.targets - o) * (o * (1 - o))
        below = delta @ w2.T * (h * (1 - h))
        w2 += rate * h.T @ delta
        w1 += rate * problem.inputs.T @ below
        return [(w1, None), (w2, None)]

    return UpdateAsk((SIGMOID, SIGMOID), HALF, *problem, step=step, rates=(1.0,))


@right("c49", "momentum")
def first_step_with_momentum(draw: Draw) -> UpdateAsk:
    """The first step of a program with momentum; a bias in the first layer alone."""
    hidden = draw.hidden(TANH)
    params, inputs, targets = draw.problem(3, samples=1, targets="one_hot")
    params[1] = (params[1][0], None)
    z, a = forward(params, inputs, hidden.value, softmax)
    gradients = backward(params, a, -(targets - a[2]), [hidden.slope(z[0], a[1])])

    def step(rate: float) -> Layers:
        velocity = 0.0
        return [
            (w - (rate * g + 0.5 * velocity), None if b is None else b - (rate * h + 0.5 * velocity))
            for (w, b), (g, h) in zip(params, gradients, strict=True)
        ]

    return UpdateAsk((hidden, SOFTMAX), CROSS_ENTROPY, params, inputs, targets, step=step, rates=(0.1, 0.01))


@right("c54", "in place")
def gradients_read_from_a_step(draw: Draw) -> FunctionAsk:
    """Changes in place, read as (before - after)/rate with the rate 0.01; as a function."""
    hidden, rate = draw.hidden(TANH), 0.01

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        (w1, b1), (w2, b2) = changed = [(w.copy(), b.copy()) for w, b in params]
        z = inputs @ w1 + b1
        h = hidden.value(z)
        delta = h @ w2 + b2 - targets
        below = delta @ w2.T * hidden.slope(z, h)
        w2 -= rate * h.T @ delta
        b2 -= rate * delta.sum(0)
        w1 -= rate * inputs.T @ below
        b1 -= rate * below.sum(0)
        made = zip(params, changed, strict=True)
        return [((w - after) / rate, (b - b_after) / rate) for (w, b), (after, b_after) in made]

    return FunctionAsk((hidden, IDENTITY), HALF, draw.shape(1)[0], function)


@right("c57", "printed")
def printed_with_few_digits(draw: Draw) -> PrintedUpdateAsk:
    """The right step of an example that is worked out in print: weights to nine decimals, biases to six."""
    drawn = draw.problem(samples=1, targets="unit", sizes=(3, 4, 2))
    params = [(np.round(w, 2), np.round(b, 2)) for w, b in drawn.params]
    problem = Problem(params, np.round(drawn.inputs, 2), np.round(drawn.targets, 2))
    _, a = forward(params, problem.inputs, sigmoid, sigmoid)
    delta = (a[2] - problem.targets) * a[2] * (1 - a[2])
    after = moved(params, backward(params, a, delta, [a[1] * (1 - a[1])]), 0.5)
    layers = [{"weights": np.round(w, 9).tolist(), "bias": np.round(b, 6).tolist()} for w, b in after]
    document = {"format": "functional-mlp/update", "version": 1, "learning_rate": 0.5, "params": layers}
    return PrintedUpdateAsk((SIGMOID, SIGMOID), HALF, *problem, text=json.dumps(document))
