"""Right backward passes of a wrong forward pass: functions that are never applied, outputs that are never stored."""

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    IDENTITY,
    SIGMOID,
    SOFTMAX,
    Activation,
    Layers,
    backward,
    eager_step,
    forward,
    leaky_relu,
    moved,
    relu,
    same,
    sigmoid,
    softmax,
)
from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.item import CROSS_ENTROPY, SQUARED, UpdateAsk, wrong
from functional_mlp import Loss


def _linear_layers(
    draw: Draw, loss: Loss, declared: Activation, early: tuple[int, ...], hidden: int = 1, penalty: float = 0.0
) -> UpdateAsk:
    """Linear hidden layers below a softmax, one sample.

    The layers of `early` change before they are used, and `penalty` times the sum of |weights| is added to the
    cotangent of the right class. It is drawn until the right class has some probability, but is not certain.
    """
    while True:
        problem = draw.problem(3, samples=1, hidden=hidden, targets="one_hot", functions=(same,) * hidden)
        _, a = forward(problem.params, problem.inputs, *(same,) * hidden, softmax)
        p = a[-1]
        if 0.1 < (p * problem.targets).sum() < 0.7:
            break
    ct_p = problem.targets * (-1 / p + 2 * penalty * sum(np.abs(w).sum() for w, _ in problem.params))
    delta = p * (ct_p - (ct_p * p).sum())

    def step(rate: float) -> Layers:
        return eager_step(problem.params, a, delta, [1.0] * hidden, rate, layers=early)

    return UpdateAsk((declared,) * hidden + (SOFTMAX,), loss, *problem, step=step, rates=(0.1, 0.01))


@wrong("f110", "function never applied", "activation-missing")
def result_thrown_away(draw: Draw) -> UpdateAsk:
    """What the leaky relu returns is thrown away, forward and backward: a linear layer."""
    return _linear_layers(draw, CROSS_ENTROPY, leaky_relu(0.001), ())


@wrong("f112", "update pair", "activation-missing + updated-weights-used")
def result_thrown_away_and_early(draw: Draw) -> UpdateAsk:
    """What the leaky relu returns is thrown away in two hidden layers, and the two layers below change too early."""
    return _linear_layers(draw, CROSS_ENTROPY, leaky_relu(0.001), (0, 1), 2)


@wrong("f113", "penalty", "penalty-in-delta", also="l2-missing")
def penalty_in_the_cotangent(draw: Draw) -> UpdateAsk:
    """Linear layers, declared so: the value of the penalty is added to the cotangent of the right class."""
    loss = Loss("categorical_cross_entropy", l2=0.02)
    return _linear_layers(draw, loss, IDENTITY, (), 1, 0.01)


@wrong("f116", "zero", "layer-never-computed")
def output_stored_elsewhere(draw: Draw) -> UpdateAsk:
    """The output goes to another variable than the one that is read, which stays 0: nothing moves."""
    while True:
        problem = draw.problem(1, hidden=2, targets="unit", bias="none")
        z, a = forward(problem.params, problem.inputs, sigmoid, sigmoid, sigmoid)
        rectified, _ = forward(problem.params, problem.inputs, relu, relu, relu)
        if all((each > 0).any(0).all() for each in rectified + z):
            break
    p = 0 * a[3]
    delta = 2 * (p - problem.targets) * p * (1 - p)
    gradients = backward(problem.params, a, delta, [each * (1 - each) for each in a[1:3]])

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((SIGMOID,) * 3, SQUARED, *problem, step=step, rates=(1.0,))


@wrong("f161", "threshold convention", "bias-subtracted")
def bias_subtracted(draw: Draw) -> UpdateAsk:
    """The bias is subtracted, with the gradient that belongs to it; squared error, one sample."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(2, samples=1, targets="unit")
    thresholds = [(weights, -bias) for weights, bias in problem.params]
    z, a = forward(thresholds, problem.inputs, hidden.value, sigmoid)
    delta = 2 * (a[2] - problem.targets) * a[2] * (1 - a[2])
    made = backward(thresholds, a, delta, [hidden.slope(z[0], a[1])])
    gradients = [(gradient, -bias_gradient) for gradient, bias_gradient in made]

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((hidden, SIGMOID), SQUARED, *problem, step=step, rates=(0.1, 0.01))
