"""Wrong derivatives of relu and leaky relu: masks that are always open, of the wrong quantity, or overwrite it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    IDENTITY,
    RELU,
    SIGMOID,
    SOFTMAX,
    Array,
    Layers,
    backward,
    forward,
    leaky_relu,
    moved,
    relu,
    same,
    sigmoid,
    softmax,
)
from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.item import (
    ALWAYS_OPEN,
    HALF,
    MEAN_CROSS_ENTROPY,
    MEAN_OF_LOGITS,
    FunctionAsk,
    GradientsAsk,
    UpdateAsk,
    wrong,
)
from functional_mlp import Loss


@wrong("f039", "relu' = 1", ALWAYS_OPEN)
def mask_asked_of_the_output(draw: Draw) -> UpdateAsk:
    """The mask is asked of the relu's output, which is never negative; one sample, no biases."""
    problem = draw.problem(samples=1, bias="none", functions=(relu,), sizes=(4, 7, 3))
    _, a = forward(problem.params, problem.inputs, relu, same)
    gradients = backward(problem.params, a, a[2] - problem.targets, [a[1] >= 0])

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((RELU, IDENTITY), HALF, *problem, step=step, rates=(0.05, 0.005))


def _clipped_before_the_mask(params: Layers, inputs: Array, targets: Array) -> tuple[Layers, Array]:
    """Gradients of a feature-major softmax classifier, and its outputs."""
    (weights, bias), (out_weights, out_bias) = [(w.T, b.reshape(-1, 1)) for w, b in params]
    u = weights @ inputs.T + bias
    h = relu(u)
    p = softmax((out_weights @ h + out_bias).T).T
    z = np.where(u < 0, 0, u)
    mask = np.where(z >= 0, 1, z)
    delta = p - targets.T
    below = (out_weights.T @ delta) * mask
    n = len(inputs)
    gradients = [((below @ inputs / n).T, below.sum(1) / n), ((delta @ h.T / n).T, delta.sum(1) / n)]
    return gradients, p.T


@wrong("f041", "relu' = 1", ALWAYS_OPEN)
def mask_of_what_is_clipped(draw: Draw) -> GradientsAsk:
    """Feature-major softmax classifier: the mask is made of what is clipped already; loss and outputs beside it."""
    problem = draw.problem(3, targets="one_hot", functions=(relu,))
    given, p = _clipped_before_the_mask(*problem)
    value = float(-np.mean(np.log((p * problem.targets).sum(1))))
    return GradientsAsk(
        (RELU, SOFTMAX), MEAN_CROSS_ENTROPY, *problem, layout="out_in", given=given, value=value, outputs=p
    )


@wrong("f042", "relu' = 1", ALWAYS_OPEN, also="targets-assumed-normalised")
def mask_of_what_is_clipped_as_a_function(draw: Draw) -> FunctionAsk:
    """Feature-major softmax classifier: the mask is made of what is clipped already; as a function."""

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        return _clipped_before_the_mask(params, inputs, targets)[0]

    return FunctionAsk((RELU, SOFTMAX), MEAN_CROSS_ENTROPY, draw.shape(3)[0], function)


@wrong("f050", "value for derivative", "value-for-derivative")
def z_where_it_is_positive(draw: Draw) -> GradientsAsk:
    """leaky relu': the slope where z < 0, z itself elsewhere; softmax cross-entropy of logits."""
    leaky = leaky_relu(0.01)
    problem = draw.problem(3, targets="one_hot", functions=(leaky.value,))
    z, a = forward(problem.params, problem.inputs, leaky.value, same)
    slope = z[0].copy()
    slope[slope < 0] = 0.01
    delta = (softmax(a[2]) - problem.targets) / len(problem.targets)
    given = backward(problem.params, a, delta, [slope])
    return GradientsAsk((leaky, IDENTITY), MEAN_OF_LOGITS, *problem, given=given)


@wrong("f056", "slope", "slope-different-backward")
def slope_of_the_other_sign(draw: Draw) -> UpdateAsk:
    """leaky relu, whose slope comes back with the other sign; no biases."""
    leaky = leaky_relu(0.01)
    problem = draw.problem(1, targets="unit", bias="none", functions=(leaky.value, leaky.value))
    _, a = forward(problem.params, problem.inputs, leaky.value, leaky.value)

    def slope(activation: Array) -> Array:
        return 1.0 * (activation >= 0) - 0.01 * (activation < 0)

    gradients = backward(problem.params, a, (a[2] - problem.targets) * slope(a[2]), [slope(a[1])])

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((leaky, leaky), HALF, *problem, step=step, rates=(0.05, 0.005))


@wrong("f097", "hidden derivative", "hidden-derivative-missing | derivative-of-other-activation")
def mask_of_a_sigmoid(draw: Draw) -> UpdateAsk:
    """A sigmoid with the relu's mask for its derivative: always open."""
    problem = draw.problem(3, targets="one_hot", functions=(relu,))
    _, a = forward(problem.params, problem.inputs, sigmoid, softmax)
    gradients = backward(problem.params, a, (a[2] - problem.targets) / len(problem.inputs), [a[1] > 0])

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((SIGMOID, SOFTMAX), MEAN_CROSS_ENTROPY, *problem, step=step, rates=(0.1, 0.01))


@wrong("f136", "slope", "leaky-slope-missing")
def slope_left_out(draw: Draw) -> FunctionAsk:
    """leaky relu with the mask of the relu; as a function."""
    leaky = leaky_relu(0.01)

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        z, a = forward(params, inputs, leaky.value, leaky.value, same)
        return backward(params, a, a[3] - targets, [z[0] > 0, z[1] > 0])

    return FunctionAsk((leaky, leaky, IDENTITY), HALF, draw.shape(2, 2)[0], function)


def _two_leaky_layers(
    draw: Draw, slope: float, value: Callable[[Array], Array], derivative: Callable[[Array, Array], Array]
) -> GradientsAsk:
    """Two hidden layers that are declared leaky, with the function and the derivative of the program."""
    leaky = leaky_relu(slope)
    problem = draw.problem(2, hidden=2, functions=(leaky.value, leaky.value))
    z, a = forward(problem.params, problem.inputs, value, value, same)
    slopes = [derivative(z[0], a[1]), derivative(z[1], a[2])]
    given = backward(problem.params, a, a[3] - problem.targets, slopes)
    return GradientsAsk((leaky, leaky, IDENTITY), HALF, *problem, given=given)


@wrong("f138", "slope", "slope-different-backward")
def other_slope_backward(draw: Draw) -> GradientsAsk:
    """The slope is 0.001 forward and 0.01 backward."""
    return _two_leaky_layers(draw, 0.001, leaky_relu(0.001).value, lambda z, a: np.where(z < 0, 0.01, 1))


@wrong("f142", "forward slip", "leaky-forward-slip")
def slope_on_the_other_side(draw: Draw) -> GradientsAsk:
    """leaky relu forward: 0 for z < 0, slope z for z > 0; backward by the sign of the output, 1 and the slope."""
    return _two_leaky_layers(draw, 0.01, lambda z: np.where(z < 0, 0, 0.01 * z), lambda z, a: np.where(a > 0, 1, 0.01))


def _relu_of_the_cotangent(draw: Draw, bias_from_weights: bool) -> GradientsAsk:
    """A softmax classifier that takes the relu of what comes back; biases from the weights' gradients or not."""
    params, inputs, targets = draw.problem(3, targets="one_hot", functions=(relu,))
    _, a = forward(params, inputs, relu, softmax)
    n, delta = len(inputs), a[2] - targets
    below = relu(delta @ params[1][0].T)
    given: Layers = []
    for gradient, of_layer in ((inputs.T @ below / n, below), (a[1].T @ delta / n, delta)):
        given.append((gradient, gradient.sum(0) if bias_from_weights else of_layer.sum(0) / n))
    return GradientsAsk((RELU, SOFTMAX), MEAN_CROSS_ENTROPY, params, inputs, targets, given=given)


@wrong("f145", "pair", "relu-mask-on-cotangent + bias-from-weight-gradient")
def relu_of_the_cotangent_and_biases_from_weights(draw: Draw) -> GradientsAsk:
    """The relu of the cotangent for its mask, and bias gradients that are summed from the weights' gradients."""
    return _relu_of_the_cotangent(draw, True)


@wrong("f147", "mask", "relu-mask-on-cotangent")
def relu_of_the_cotangent(draw: Draw) -> GradientsAsk:
    """The relu of the cotangent for its mask."""
    return _relu_of_the_cotangent(draw, False)


def _leaky_classifier(draw: Draw, overwrite: bool, turned: bool) -> GradientsAsk:
    """Leaky relu in both layers, half the mean squared error; the gradients are handed over as they are made."""
    leaky = leaky_relu(0.01)
    params, inputs, targets = draw.problem(functions=(leaky.value, leaky.value), sizes=(3, 6, 2))
    z, a = forward(params, inputs, leaky.value, leaky.value)
    sent = (a[2] - targets) / len(inputs)
    given: list[Any] = []
    for layer in (1, 0):
        delta = np.where(z[layer] > 0, sent, 0.01 if overwrite else 0.01 * sent)
        gradient = a[layer].T @ delta
        given.insert(0, (gradient.T if turned else gradient, delta.sum(0)))
        sent = delta @ params[layer][0].T
    loss = Loss("squared_error", over_samples="mean", scale=0.5)
    return GradientsAsk((leaky, leaky), loss, params, inputs, targets, as_is=True, given=given)


@wrong("f157", "mask overwrites", "mask-overwrites")
def slope_overwrites_the_cotangent(draw: Draw) -> GradientsAsk:
    """The slope overwrites the cotangent of inactive units."""
    return _leaky_classifier(draw, overwrite=True, turned=False)


@wrong("f160", "turned", "weight-gradient-transposed")
def weights_turned(draw: Draw) -> GradientsAsk:
    """The weights' gradients are handed back transposed, all else is right."""
    return _leaky_classifier(draw, overwrite=False, turned=True)
