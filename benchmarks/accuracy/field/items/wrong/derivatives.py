"""Wrong derivatives of smooth activations: missing, of the wrong variable, or with a slip in their formula."""

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    IDENTITY,
    SIGMOID,
    TANH,
    Activation,
    Array,
    Layers,
    backward,
    elu,
    forward,
    moved,
    relu,
    same,
    sigmoid,
)
from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.item import (
    HALF,
    MEAN_SQUARED,
    SQUARED,
    GradientsAsk,
    UpdateAsk,
    wrong,
)
from functional_mlp import Loss

HALVED = "squared-error-factor/loss-scaled/loss-mismatch"  # half of the squared error's gradient


def _sigmoid_slope(of: Array) -> Array:
    """sigmoid' of pre-activations; of activations it is the mistake."""
    return sigmoid(of) * (1 - sigmoid(of))


def _tanh_slope(of: Array) -> Array:
    """tanh' of pre-activations; of activations it is the mistake."""
    return 1 - np.tanh(of) ** 2


def _one_layer(draw: Draw, loss: Loss) -> UpdateAsk:
    """One sigmoid layer without bias, sigmoid' of the activation."""
    problem = draw.problem(1, hidden=0, targets="bits", bias="none")
    weights = problem.params[0][0]
    p = sigmoid(problem.inputs @ weights)

    def step(rate: float) -> Layers:
        delta = (p - problem.targets) * sigmoid(p) * (1 - sigmoid(p))
        return [(weights - rate * problem.inputs.T @ delta, None)]

    return UpdateAsk((SIGMOID,), loss, *problem, step=step, rates=(1.0,))


@wrong("f030", "f'(a)", "derivative-of-wrong-variable")
def one_layer_of_the_activated_value(draw: Draw) -> UpdateAsk:
    """One sigmoid layer, no bias: the derivative is taken of the activated value."""
    return _one_layer(draw, HALF)


@wrong(
    "f032",
    "f'(a)",
    "derivative-of-wrong-variable + mean-missing + squared-error-factor/loss-mismatch"
    " | derivative-of-wrong-variable + loss-scaled",
)
def one_layer_of_another_scale(draw: Draw) -> UpdateAsk:
    """One sigmoid layer: the derivative of the activated value, half the sum although the mean is declared."""
    return _one_layer(draw, MEAN_SQUARED)


def _error_at_the_output(draw: Draw, loss: Loss) -> UpdateAsk:
    """Three layers without biases, o - t for the delta of the last."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(1, hidden=2, targets="bits", bias="none")
    z, a = forward(problem.params, problem.inputs, hidden.value, hidden.value, sigmoid)
    slopes = [hidden.slope(z[layer], a[layer + 1]) for layer in (0, 1)]
    gradients = backward(problem.params, a, a[3] - problem.targets, slopes)

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((hidden, hidden, SIGMOID), loss, *problem, step=step, rates=(1.0,))


@wrong("f034", "output derivative", "output-derivative-missing | loss-mismatch")
def error_at_the_output(draw: Draw) -> UpdateAsk:
    """Three sigmoid layers without biases: o - t at the output."""
    return _error_at_the_output(draw, HALF)


@wrong("f035", "output derivative", "loss-mismatch | output-derivative-missing + " + HALVED)
def error_at_the_output_without_the_two(draw: Draw) -> UpdateAsk:
    """Three sigmoid layers: o - t at the output, the squared error declared without its half."""
    return _error_at_the_output(draw, SQUARED)


@wrong("f054", "f'(a)", "derivative-of-wrong-variable")
def tanh_slope_of_the_output(draw: Draw) -> UpdateAsk:
    """tanh in both layers, no biases: 1 - tanh² of the activated value."""
    problem = draw.problem(1, targets="unit", bias="none")
    _, a = forward(problem.params, problem.inputs, np.tanh, np.tanh)
    gradients = backward(problem.params, a, (a[2] - problem.targets) * _tanh_slope(a[2]), [_tanh_slope(a[1])])

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((TANH, TANH), HALF, *problem, step=step, rates=(0.05, 0.005))


@wrong("f058", "f'(a)", "derivative-of-wrong-variable")
def sigmoid_slope_of_the_activations(draw: Draw) -> UpdateAsk:
    """A batch, sigmoids: sigmoid' of the activations in both layers."""
    problem = draw.problem(3, targets="one_hot")
    _, a = forward(problem.params, problem.inputs, sigmoid, sigmoid)
    delta = (a[2] - problem.targets) * _sigmoid_slope(a[2])
    gradients = backward(problem.params, a, delta, [_sigmoid_slope(a[1])])

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((SIGMOID, SIGMOID), HALF, *problem, step=step, rates=(0.3, 0.03))


@wrong("f061", "f'(a)", "derivative-of-wrong-variable")
def elu_slope_of_the_output(draw: Draw) -> UpdateAsk:
    """elu' of the output, alpha 0.01: a small error; one sample, no biases."""
    function = elu(0.01)
    problem = draw.problem(samples=1, bias="none", functions=(relu,), sizes=(2, 6, 3))
    _, a = forward(problem.params, problem.inputs, function.value, function.value)

    def slope(of: Array) -> Array:
        return function.slope(of, of)

    gradients = backward(problem.params, a, (a[2] - problem.targets) * slope(a[2]), [slope(a[1])])

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((function, function), HALF, *problem, step=step, rates=(0.1, 0.01))


def _two_alike(draw: Draw, activation: Activation, forward_value: Activation) -> GradientsAsk:
    """Both layers with the same function, half the squared error; value and slope as in `forward_value`."""
    problem = draw.problem(2, targets="unit")
    z, a = forward(problem.params, problem.inputs, forward_value.value, forward_value.value)
    delta = (a[2] - problem.targets) * forward_value.slope(z[1], a[2])
    given = backward(problem.params, a, delta, [forward_value.slope(z[0], a[1])])
    return GradientsAsk((activation, activation), HALF, *problem, given=given)


@wrong("f148", "sigmoid' slip", "sigmoid-derivative-slip")
def sigmoid_of_one_minus_z(draw: Draw) -> GradientsAsk:
    """sigmoid(z) sigmoid(1 - z) in both layers."""
    return _two_alike(draw, SIGMOID, SIGMOID._replace(slope=lambda z, a: sigmoid(z) * sigmoid(1 - z)))


@wrong("f150", "short constant", "short-constant | activation-approximated")
def short_e(draw: Draw) -> GradientsAsk:
    """The sigmoid with e = 2.71828."""
    return _two_alike(draw, SIGMOID, SIGMOID._replace(value=lambda z: 1 / (1 + 2.71828**-z)))


@wrong("f151", "f'(a)", "derivative-of-wrong-variable")
def tanh_slope_given_the_output(draw: Draw) -> GradientsAsk:
    """A derivative that expects z is given the output of tanh, in both layers."""
    return _two_alike(draw, TANH, TANH._replace(slope=lambda z, a: _tanh_slope(a)))


@wrong("f155", "value for derivative", "value-for-derivative | value-for-derivative + derivative-of-wrong-variable")
def sigmoid_for_its_derivative(draw: Draw) -> GradientsAsk:
    """The sigmoid itself, of the output, used as its derivative."""
    return _two_alike(draw, SIGMOID, SIGMOID._replace(slope=lambda z, a: sigmoid(a)))


@wrong("f166", "wrong operands", "derivative-of-error")
def slope_of_the_error(draw: Draw) -> GradientsAsk:
    """tanh' of the error that came back, in place of the activation; no biases."""
    problem = draw.problem(2, bias="none")
    _, a = forward(problem.params, problem.inputs, np.tanh, same)
    error = (a[2] - problem.targets) @ problem.params[1][0].T
    given = backward(problem.params, a, a[2] - problem.targets, [1 - error**2])
    return GradientsAsk((TANH, IDENTITY), HALF, *problem, given=given)
