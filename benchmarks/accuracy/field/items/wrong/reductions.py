"""Wrong reductions and scales: what is summed, averaged, divided or multiplied otherwise than declared."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    IDENTITY,
    RELU,
    SIGMOID,
    SOFTMAX,
    TANH,
    Activation,
    Array,
    Layers,
    backward,
    forward,
    moved,
    relu,
    same,
    sigmoid,
    softmax,
)
from benchmarks.accuracy.field.items.drawing import Draw, mixed
from benchmarks.accuracy.field.items.item import (
    HALF,
    MEAN_BINARY,
    MEAN_CROSS_ENTROPY,
    MEAN_OF_ALL,
    MEAN_SQUARED,
    SQUARED,
    FunctionAsk,
    GradientsAsk,
    UpdateAsk,
    wrong,
)
from functional_mlp import Loss


@wrong("f016", "reduction", "bias-gradient-averaged")
def biases_averaged(draw: Draw) -> FunctionAsk:
    """Biases take the mean over the samples, weights the sum; given the cotangent of the outputs, as a function."""

    def function(params: Layers, inputs: Array, ct_outputs: Array) -> Layers:
        _, a = forward(params, inputs, relu, same)

        def average(delta: Array, layer: int) -> Array:
            return np.mean(delta, axis=0)

        return backward(params, a, ct_outputs, [np.heaviside(a[1], 0)], bias_gradient=average)

    return FunctionAsk((RELU, IDENTITY), None, draw.shape()[0], function)


@wrong("f018", "reduction", "bias-divided-twice")
def biases_divided_twice(draw: Draw) -> GradientsAsk:
    """Biases averaged although 1/n is in the cotangent already; feature-major, no output bias; the loss beside it."""
    params, inputs, targets = draw.problem(1, functions=(relu,))
    params[1] = (params[1][0], None)
    weights, bias, out_weights = params[0][0].T, params[0][1], params[1][0].T
    u = weights @ inputs.T + bias[:, None]
    h = u * (u > 0)
    outputs = out_weights @ h
    delta = 2 * (outputs - targets.T) / len(inputs)
    below = (out_weights.T @ delta) * (u > 0)
    given = [((below @ inputs).T, below.mean(1)), ((delta @ h.T).T, None)]
    value = float(np.mean((outputs - targets.T) ** 2))
    return GradientsAsk(
        (RELU, IDENTITY), MEAN_OF_ALL, params, inputs, targets, layout="out_in", given=given, value=value
    )


def _summed(
    draw: Draw, hidden: Activation, decay: float, declared_l2: Callable[[int], float], value: bool
) -> GradientsAsk:
    """The sum's gradient and an undivided decay; the loss value is of the mean, its penalty divided too."""
    problem = draw.problem(3, targets="one_hot", functions=(hidden.value,))
    z, a = forward(problem.params, problem.inputs, hidden.value, softmax)
    n = len(problem.inputs)
    gradients = backward(problem.params, a, a[2] - problem.targets, [hidden.slope(z[0], a[1])])
    given = [(g + decay * w, h) for (w, _), (g, h) in zip(problem.params, gradients, strict=True)]
    printed = -np.log((a[2] * problem.targets).sum(1)).sum()
    printed = (printed + decay / 2 * sum((w**2).sum() for w, _ in problem.params)) / n
    loss = Loss("categorical_cross_entropy", over_samples="mean", l2=declared_l2(n))
    return GradientsAsk((hidden, SOFTMAX), loss, *problem, given=given, value=float(printed) if value else None)


@wrong("f022", "1/n missing", "mean-missing")
def sum_for_mean_beside_a_penalty(draw: Draw) -> GradientsAsk:
    """The sum's gradient under a mean loss; the penalty is as declared, undivided."""
    return _summed(draw, draw.hidden(TANH), 0.05, lambda n: 0.05, False)


@wrong("f024", "1/n missing", "mean-missing")
def sum_for_mean(draw: Draw) -> GradientsAsk:
    """relu, no penalty: the sum's gradient with the mean's loss value."""
    return _summed(draw, draw.hidden(RELU), 0.0, lambda n: 0.0, True)


@wrong("f025", "1/n missing", "mean-missing + l2-not-averaged | loss-scaled")
def sum_for_mean_with_its_penalty(draw: Draw) -> GradientsAsk:
    """relu, loss and penalty divided by n in the value and in what is declared; neither is in the gradient."""
    return _summed(draw, draw.hidden(RELU), 0.1, lambda n: 0.1 / n, True)


@wrong("f076", "1/n missing", "mean-missing")
def sum_for_mean_of_several_labels(draw: Draw) -> GradientsAsk:
    """Several labels, p - t summed, the mean binary cross-entropy declared."""
    hidden = draw.hidden(RELU)
    problem = draw.problem(3, targets="one_hot", functions=(hidden.value,))
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)
    given = backward(problem.params, a, a[2] - problem.targets, [hidden.slope(z[0], a[1])])
    return GradientsAsk((hidden, SIGMOID), MEAN_BINARY, *problem, given=given)


@wrong("f080", "1/K missing", "outputs-summed-not-averaged")
def divided_by_samples_alone(draw: Draw) -> GradientsAsk:
    """The mean over all squares declared, the gradient divided by the number of samples alone."""
    hidden = draw.hidden(RELU)
    problem = draw.problem(3, functions=(hidden.value,))
    z, a = forward(problem.params, problem.inputs, hidden.value, same)
    error = a[2] - problem.targets
    given = backward(problem.params, a, 2 * error / len(error), [hidden.slope(z[0], a[1])])
    value = float(np.mean(error**2))
    return GradientsAsk((hidden, IDENTITY), MEAN_OF_ALL, *problem, given=given, value=value, outputs=a[2])


@wrong(
    "f082",
    "n - 1",
    "sample-count-off-by-one",
    part="loss-scaled array-scaled samples-weighted-unevenly",
    also="bias-from-weight-gradient",
)
def divided_by_one_less(draw: Draw) -> UpdateAsk:
    """Divided by n - 1; a bias gets a thousandth of the gradient of the last weight; a mean loss declared."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(1, targets="bits")
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)
    delta = (a[2] - problem.targets) / (len(problem.inputs) - 1)
    gradients = backward(problem.params, a, delta, [hidden.slope(z[0], a[1])])
    made = [(gradient, 1e-3 * gradient[-1]) for gradient, _ in gradients]

    def step(rate: float) -> Layers:
        return moved(problem.params, made, rate)

    return UpdateAsk((hidden, SIGMOID), MEAN_BINARY, *problem, bias="last_row", step=step, rates=(0.1, 0.01))


@wrong("f083", "scale", "squared-error-factor + mean-added", part="loss-scaled")
def mean_of_a_sum_without_its_two(draw: Draw) -> GradientsAsk:
    """One linear layer, the summed squared error declared: (o - t)/n."""
    problem = draw.problem(4, hidden=0)
    [(weights, bias)] = problem.params
    error = problem.inputs @ weights + bias - problem.targets
    delta = error / len(problem.inputs)
    given = [(problem.inputs.T @ delta, delta.sum(0))]
    value = float((error**2).sum())
    return GradientsAsk((IDENTITY,), SQUARED, *problem, layout="out_in", given=given, value=value)


@wrong("f085", "scale", "squared-error-factor + outputs-summed-not-averaged", part="loss-scaled")
def error_divided_by_samples(draw: Draw) -> GradientsAsk:
    """Three outputs, the mean over all squares declared: (o - t)/n, K/2 times the gradient."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(3)
    z, a = forward(problem.params, problem.inputs, hidden.value, same)
    error, n = a[2] - problem.targets, len(problem.inputs)
    gradients = backward(problem.params, a, error, [hidden.slope(z[0], a[1])])
    given = [(gradient / n, bias_gradient / n) for gradient, bias_gradient in gradients]
    return GradientsAsk((hidden, IDENTITY), MEAN_OF_ALL, *problem, given=given, value=float(np.mean(error**2)))


@wrong("f104", "samples uneven", "samples-weighted-unevenly")
def accumulator_never_reset(draw: Draw) -> UpdateAsk:
    """The sum of gradients is applied after every sample and never reset: n, n - 1, …, 1 times; a small rate."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(samples=3, sizes=(2, 5, 1))
    rate = 1e-6

    def step(rate: float) -> Layers:
        (w1, b1), (w2, b2) = [(weights.copy(), bias.copy()) for weights, bias in problem.params]
        sums: list[Any] = [0, 0, 0, 0]
        for x, t in zip(problem.inputs, problem.targets, strict=True):
            z = x @ w1 + b1
            h = hidden.value(z)
            delta = h @ w2 + b2 - t
            below = w2 @ delta * hidden.slope(z, h)
            made = np.outer(x, below), below, np.outer(h, delta), delta
            sums = [total + gradient for total, gradient in zip(sums, made, strict=True)]
            w1, b1, w2, b2 = w1 - rate * sums[0], b1 - rate * sums[1], w2 - rate * sums[2], b2 - rate * sums[3]
        return [(w1, b1), (w2, b2)]

    return UpdateAsk((hidden, IDENTITY), HALF, *problem, layout="out_in", step=step, rates=(rate,))


@wrong("f119", "threshold", "relu-threshold + bias-summed-to-scalar/scalar-broadcast")
def biases_as_numbers(draw: Draw) -> GradientsAsk:
    """The relu's mask asks for z > 1, and the biases' gradients are single numbers, summed over the units too."""

    def fit(z: Array) -> bool:
        return bool(mixed(z) and ((z > 0) & (z < 1)).mean() > 0.1)

    params, inputs, targets = draw.problem(4, targets="one_hot", functions=(relu,), fit=fit)
    n = len(inputs)
    z, a = forward(params, inputs, relu, softmax)
    delta = a[2] - targets
    below = (delta @ params[1][0].T) * (z[0] > 1)
    given = [(inputs.T @ below / n, below.sum() / n), (a[1].T @ delta / n, delta.sum() / n)]
    return GradientsAsk((RELU, SOFTMAX), MEAN_CROSS_ENTROPY, params, inputs, targets, as_is=True, given=given)


@wrong("f122", "factor on an array", "array-scaled")
def two_arrays_multiplied(draw: Draw) -> FunctionAsk:
    """A factor 2 on one weight gradient and 4 on one bias gradient; as a function."""

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        z, a = forward(params, inputs, relu, relu, sigmoid)
        n = len(inputs)
        first, second, third = backward(params, a, a[3] - targets, [z[0] > 0, z[1] > 0])
        return [
            (first[0] / n, 4 * first[1] / n),
            (2 * second[0] / n, second[1] / n),
            (third[0] / n, third[1] / n),
        ]

    return FunctionAsk((RELU, RELU, SIGMOID), MEAN_BINARY, draw.shape(1, 2)[0], function)


@wrong("f125", "factor per layer", "scale-by-layer", traps="sigmoid-derivative-doubled")
def two_in_every_layer(draw: Draw) -> GradientsAsk:
    """The squared error's factor 2 comes in at every layer; sigmoids."""
    problem = draw.problem(2, hidden=2, targets="unit")
    _, a = forward(problem.params, problem.inputs, sigmoid, sigmoid, sigmoid)
    n, sent = len(problem.inputs), a[3] - problem.targets
    given: Layers = []
    for layer in (2, 1, 0):
        delta = 2 * sent * (a[layer + 1] * (1 - a[layer + 1]))
        given.insert(0, (a[layer].T @ delta / n, delta.sum(0) / n))
        sent = delta @ problem.params[layer][0].T
    return GradientsAsk((SIGMOID,) * 3, MEAN_SQUARED, *problem, given=given)


@wrong("f139", "pair", "mean-missing/loss-scaled + output-derivative-missing/loss-mismatch")
def sum_for_mean_without_output_derivative(draw: Draw) -> GradientsAsk:
    """The sum for the mean, and the output's derivative left out."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(3, targets="unit")
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)
    given = backward(problem.params, a, 2 * (a[2] - problem.targets), [hidden.slope(z[0], a[1])])
    return GradientsAsk((hidden, SIGMOID), MEAN_SQUARED, *problem, given=given)


@wrong(
    "f163",
    "scale",
    "mean-missing + outputs-summed-not-averaged + squared-error-factor/loss-scaled/loss-mismatch | loss-mismatch",
    part="loss-scaled",
)
def half_the_sum_for_the_mean(draw: Draw) -> FunctionAsk:
    """Half the sum of squares under a loss that is the mean over all: three conventions at once; as a function."""
    hidden = draw.hidden(SIGMOID)

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        z, a = forward(params, inputs, hidden.value, sigmoid)
        delta = (a[2] - targets) * a[2] * (1 - a[2])
        return backward(params, a, delta, [hidden.slope(z[0], a[1])])

    return FunctionAsk((hidden, SIGMOID), MEAN_OF_ALL, draw.shape(3)[0], function)
