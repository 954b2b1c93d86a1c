"""Wrong steps: weights that change before they are used, biases that never change, and what people do besides."""

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
    eager_step,
    forward,
    relu,
    same,
    sigmoid,
    softmax,
)
from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.item import (
    ALWAYS_OPEN,
    CROSS_ENTROPY,
    HALF,
    MEAN_CROSS_ENTROPY,
    UpdateAsk,
    wrong,
)
from functional_mlp import Loss


@wrong("f001", "update pair", "updated-weights-used + bias-never-updated/bias-never-computed")
def scalar_biases_never_change(draw: Draw) -> UpdateAsk:
    """Output weights change before the hidden delta is made; one shared bias per layer never changes; one sample."""
    hidden = draw.hidden(SIGMOID)
    drawn = draw.problem(2, samples=1, targets="unit")
    problem = drawn._replace(params=[(weights, np.full_like(bias, bias[0])) for weights, bias in drawn.params])
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)
    delta, slopes = (a[2] - problem.targets) * a[2] * (1 - a[2]), [hidden.slope(z[0], a[1])]

    def step(rate: float) -> Layers:
        return eager_step(problem.params, a, delta, slopes, rate, bias_factor=0.0)

    return UpdateAsk((hidden, SIGMOID), HALF, *problem, layout="out_in", step=step, rates=(0.5, 0.1))


@wrong("f003", "biases frozen", "bias-never-updated | bias-never-computed")
def biases_never_change(draw: Draw) -> UpdateAsk:
    """Right weights, biases that are never trained."""
    hidden = draw.hidden(SIGMOID)
    params, inputs, targets = draw.problem(2, samples=1, targets="unit")
    z, a = forward(params, inputs, hidden.value, sigmoid)
    delta = (a[2] - targets) * a[2] * (1 - a[2])
    gradients = backward(params, a, delta, [hidden.slope(z[0], a[1])])

    def step(rate: float) -> Layers:
        return [(w - rate * gradient, bias) for (w, bias), (gradient, _) in zip(params, gradients, strict=True)]

    return UpdateAsk((hidden, SIGMOID), HALF, params, inputs, targets, layout="out_in", step=step, rates=(0.5, 0.1))


@wrong("f005", "error for delta", "raw-error-sent-back + updated-weights-used")
def error_through_changed_weights(draw: Draw) -> UpdateAsk:
    """The raw error, not the delta, is sent back, through weights that are changed already; column vectors."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(2, samples=1, targets="bits")
    (weights, bias), (out_weights, out_bias) = problem.params
    (z, _), (x, h, o) = forward(problem.params, problem.inputs, hidden.value, sigmoid)

    def step(rate: float) -> Layers:
        error = (problem.targets - o).T
        out_step = o.T * (1 - o.T) * error * rate
        changed = out_weights.T + out_step @ h
        hidden_step = hidden.slope(z, h).T * (changed.T @ error) * rate
        return [(weights + (hidden_step @ x).T, bias + hidden_step[:, 0]), (changed.T, out_bias + out_step[:, 0])]

    return UpdateAsk((hidden, SIGMOID), HALF, *problem, layout="out_in", step=step, rates=(0.1, 0.01))


@wrong("f010", "update pair", "updated-weights-used + output-derivative-missing/loss-mismatch")
def early_without_output_derivative(draw: Draw) -> UpdateAsk:
    """o - t for the output delta with half the squared error declared; output weights change first; one sample."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(3, samples=1, targets="bits", bias="zero")
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)

    def step(rate: float) -> Layers:
        return eager_step(problem.params, a, a[2] - problem.targets, [hidden.slope(z[0], a[1])], rate)

    return UpdateAsk((hidden, SIGMOID), HALF, *problem, layout="out_in", step=step, rates=(0.1, 0.01))


@wrong("f012", "update", "updated-weights-used")
def early_with_rate_one(draw: Draw) -> UpdateAsk:
    """Output weights change first, with the rate 1 alone; the bias is the last weight of a unit; one sample."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(2, samples=1, targets="bits")
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)
    outputs = a[2]

    def step(rate: float) -> Layers:
        delta = outputs * (1 - outputs) * (outputs - problem.targets)
        return eager_step(problem.params, a, delta, [hidden.slope(z[0], a[1])], rate)

    return UpdateAsk((hidden, SIGMOID), HALF, *problem, layout="out_in", bias="last_row", step=step, rates=(1.0,))


@wrong("f014", "update pair", "updated-weights-used + bias-gradient-averaged")
def early_with_averaged_biases(draw: Draw) -> UpdateAsk:
    """Weights change too early and biases take the mean over the samples; a summed loss and the decay declared."""
    hidden = draw.hidden(RELU)
    problem = draw.problem(1, hidden=2, functions=(hidden.value, hidden.value))
    z, a = forward(problem.params, problem.inputs, hidden.value, hidden.value, same)
    slopes = [hidden.slope(z[layer], a[layer + 1]) for layer in (0, 1)]

    def average(delta: Array) -> Array:
        return delta.mean(0)

    def step(rate: float) -> Layers:
        delta = a[3] - problem.targets
        return eager_step(problem.params, a, delta, slopes, rate, bias_gradient=average, penalty=0.01)

    loss = Loss("squared_error", scale=0.5, l2=0.01)
    return UpdateAsk((hidden, hidden, IDENTITY), loss, *problem, step=step, rates=(1e-2, 1e-3))


@wrong(
    "f020",
    "update pair",
    "weight-gradient-summed/array-scaled + updated-weights-used"
    " | mean-missing + bias-gradient-averaged/bias-divided-twice + updated-weights-used",
)
def early_with_summed_weights(draw: Draw) -> UpdateAsk:
    """Weights change too early and, under a mean loss, they alone are not divided by the number of samples."""
    hidden = draw.hidden(TANH)
    problem = draw.problem(2, targets="one_hot")
    z, a = forward(problem.params, problem.inputs, hidden.value, softmax)

    def average(delta: Array) -> Array:
        return delta.mean(0)

    def step(rate: float) -> Layers:
        delta = a[2] - problem.targets
        slopes = [hidden.slope(z[0], a[1])]
        return eager_step(problem.params, a, delta, slopes, rate, bias_gradient=average)

    return UpdateAsk((hidden, SOFTMAX), MEAN_CROSS_ENTROPY, *problem, step=step, rates=(0.1, 0.01))


@wrong("f038", "wrong unit dropped", "wrong-unit-dropped + updated-weights-used")
def wrong_column_dropped(draw: Draw) -> UpdateAsk:
    """A column with a fixed number is dropped in place of the bias column; weights change too early."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(samples=1, targets="bits", sizes=(2, 5, 3))
    (weights, bias), (out_weights, out_bias) = problem.params
    (z, _), (x, h, o) = forward(problem.params, problem.inputs, hidden.value, sigmoid)

    def step(rate: float) -> Layers:
        delta = o * (1 - o) * (o - problem.targets)
        changed, changed_bias = out_weights - rate * h.T @ delta, out_bias - rate * delta[0]
        through = np.delete(np.vstack([changed, changed_bias]), 2, 0)
        below = hidden.slope(z, h) * (delta @ through.T)
        return [(weights - rate * x.T @ below, bias - rate * below[0]), (changed, changed_bias)]

    return UpdateAsk((hidden, SIGMOID), HALF, *problem, layout="out_in", bias="last_row", step=step, rates=(0.1, 0.01))


@wrong("f044", "update pair", ALWAYS_OPEN + " + updated-weights-used")
def saved_weights_are_an_alias(draw: Draw) -> UpdateAsk:
    """relu' is the identity whatever z is, and the saved weights are an alias of the changed ones; one sample."""
    problem = draw.problem(samples=1, targets="one_hot", functions=(relu,), sizes=(2, 6, 3))
    (weights, bias), (out_weights, out_bias) = problem.params
    _, (x, h, p) = forward(problem.params, problem.inputs, relu, softmax)

    def step(rate: float) -> Layers:
        w1, b1, w2, b2 = weights.copy(), bias.copy(), out_weights.copy(), out_bias.copy()
        saved = w2
        delta = rate * (p - problem.targets)[0]
        w2 -= np.outer(h, delta)
        b2 -= delta
        below = (saved @ delta) @ np.eye(len(b1))
        w1 -= np.outer(x, below)
        b1 -= below
        return [(w1, b1), (w2, b2)]

    return UpdateAsk((RELU, SOFTMAX), CROSS_ENTROPY, *problem, step=step, rates=(0.1, 0.01))


@wrong("f046", "update pair", ALWAYS_OPEN + " + updated-weights-used")
def mask_of_what_is_never_negative(draw: Draw) -> UpdateAsk:
    """The relu's derivative is (output >= 0), which always holds; output weights change first; a mean loss."""
    problem = draw.problem(3, targets="one_hot", functions=(relu,))
    _, a = forward(problem.params, problem.inputs, relu, softmax)

    def step(rate: float) -> Layers:
        delta = (a[2] - problem.targets) / len(problem.targets)
        return eager_step(problem.params, a, delta, [a[1] >= 0], rate)

    return UpdateAsk((RELU, SOFTMAX), MEAN_CROSS_ENTROPY, *problem, step=step, rates=(0.5, 0.05))


def _with_penalty_of_the_wrong_sign(draw: Draw, hidden: Activation, mask: bool) -> UpdateAsk:
    """The penalty is subtracted from the weights' gradients; nothing of it on the biases, which are 0."""
    functions = (relu,) if mask else (hidden.value,)
    problem = draw.problem(3, targets="one_hot", functions=functions, bias="zero")
    z, a = forward(problem.params, problem.inputs, hidden.value, softmax)
    slopes = [a[1] > 0 if mask else hidden.slope(z[0], a[1])]

    def step(rate: float) -> Layers:
        return eager_step(problem.params, a, a[2] - problem.targets, slopes, rate, penalty=-0.3)

    loss = Loss("categorical_cross_entropy", l2=0.3, l2_on_bias=True)
    return UpdateAsk((hidden, SOFTMAX), loss, *problem, step=step, rates=(0.1, 0.01))


@wrong("f092", "update pair", "updated-weights-used + l2-sign")
def early_with_penalty_of_the_wrong_sign(draw: Draw) -> UpdateAsk:
    """Weights change too early, and the penalty has the wrong sign."""
    return _with_penalty_of_the_wrong_sign(draw, draw.hidden(RELU), False)


@wrong("f094", "update triple", "updated-weights-used + derivative-of-other-activation + l2-sign")
def three_at_once(draw: Draw) -> UpdateAsk:
    """tanh with the relu's mask for its derivative, a penalty of the wrong sign, weights changed too early."""
    return _with_penalty_of_the_wrong_sign(draw, TANH, True)


@wrong("f102", "last sample", "last-sample-activations + updated-weights-used")
def last_sample_with_summed_delta(draw: Draw) -> UpdateAsk:
    """In a batch the hidden layer goes back with the summed delta and the last sample's activations; no biases."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(2, targets="one_hot", bias="none")
    (weights, _), (out_weights, _) = problem.params
    (z, _), (x, h, o) = forward(problem.params, problem.inputs, hidden.value, sigmoid)

    def step(rate: float) -> Layers:
        delta = (o - problem.targets) * o * (1 - o)
        changed = out_weights - rate * h.T @ delta
        below = delta.sum(0) @ changed.T * hidden.slope(z, h)[-1]
        return [(weights - rate * np.outer(x[-1], below), None), (changed, None)]

    return UpdateAsk((hidden, SIGMOID), HALF, *problem, layout="out_in", step=step, rates=(0.1, 0.01))


@wrong("f133", "update pair", "updated-weights-used + l2-on-bias")
def early_with_decaying_biases(draw: Draw) -> UpdateAsk:
    """Weights change too early; the penalty is on the biases too, declared without them."""
    hidden = draw.hidden(TANH)
    problem = draw.problem(3, targets="one_hot")
    (weights, bias), (out_weights, out_bias) = problem.params
    (z, _), (x, h, p) = forward(problem.params, problem.inputs, hidden.value, softmax)
    decay = 0.1

    def step(rate: float) -> Layers:
        delta = p - problem.targets
        changed = out_weights - rate * (h.T @ delta + decay * out_weights)
        below = delta @ changed.T * hidden.slope(z, h)
        return [
            (weights - rate * (x.T @ below + decay * weights), bias - rate * (below.sum(0) + decay * bias)),
            (changed, out_bias - rate * (delta.sum(0) + decay * out_bias)),
        ]

    loss = Loss("categorical_cross_entropy", l2=decay)
    return UpdateAsk((hidden, SOFTMAX), loss, *problem, step=step, rates=(0.1, 0.01))


@wrong("f134", "update", "updated-weights-used")
def early_in_three_layers(draw: Draw) -> UpdateAsk:
    """Three layers, one sample: the delta is sent back after the update, in every layer."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(1, hidden=2, samples=1, targets="bits")
    z, a = forward(problem.params, problem.inputs, hidden.value, hidden.value, sigmoid)
    delta = (a[3] - problem.targets) * a[3] * (1 - a[3])
    slopes = [hidden.slope(z[layer], a[layer + 1]) for layer in (0, 1)]

    def step(rate: float) -> Layers:
        return eager_step(problem.params, a, delta, slopes, rate)

    return UpdateAsk((hidden, hidden, SIGMOID), HALF, *problem, step=step, rates=(0.1, 0.01))
