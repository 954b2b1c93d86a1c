"""Wrong penalties, and what is beside them."""

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    SIGMOID,
    TANH,
    Layers,
    backward,
    forward,
    moved,
    sigmoid,
    softmax,
)
from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.item import MEAN_OF_LOGITS, GradientsAsk, UpdateAsk, wrong
from functional_mlp import Loss


def _tanh_on_the_logits(draw: Draw, decay: float, loss: Loss) -> UpdateAsk:
    """tanh in both layers, softmax(tanh) - t summed, and a decay of the weights in the step."""
    problem = draw.problem(3, targets="one_hot")
    _, a = forward(problem.params, problem.inputs, np.tanh, np.tanh)
    delta = (softmax(a[2]) - problem.targets) * (1 - a[2] ** 2)
    gradients = backward(problem.params, a, delta, [1 - a[1] ** 2])

    def step(rate: float) -> Layers:
        made = zip(problem.params, gradients, strict=True)
        return [(w - rate * (gradient + decay * w), b - rate * h) for (w, b), (gradient, h) in made]

    return UpdateAsk((TANH, TANH), loss, *problem, step=step, rates=(0.01, 0.1))


@wrong("f027", "1/n missing", "mean-missing")
def sum_of_tanh_logits(draw: Draw) -> UpdateAsk:
    """tanh on the logits too; p - t is summed, the loss declared a mean."""
    return _tanh_on_the_logits(draw, 0.0, MEAN_OF_LOGITS)


@wrong("f029", "decay", "l2-unexpected")
def undeclared_decay(draw: Draw) -> UpdateAsk:
    """A summed loss, right but for the weight decay of the step, which is not declared."""
    return _tanh_on_the_logits(draw, 0.01, Loss("softmax_cross_entropy"))


@wrong("f088", "penalty", "l2-on-gradient | l2-on-summed-gradient")
def penalty_on_the_gradient(draw: Draw) -> GradientsAsk:
    """lambda times the gradient is added in place of lambda times the weights, before the division by n."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(4, targets="one_hot")
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)
    n, penalty = len(problem.inputs), 0.3
    gradients = backward(problem.params, a, a[2] - problem.targets, [hidden.slope(z[0], a[1])])
    given = [((gradient + penalty * gradient) / n, h / n) for gradient, h in gradients]
    loss = Loss("binary_cross_entropy", over_samples="mean", l2=penalty)
    return GradientsAsk((hidden, SIGMOID), loss, *problem, layout="out_in", given=given)


@wrong("f089", "penalty", "l1-penalty")
def undeclared_l1(draw: Draw) -> UpdateAsk:
    """An L1 penalty, which is not declared."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(3, targets="one_hot")
    z, a = forward(problem.params, problem.inputs, hidden.value, sigmoid)
    gradients = backward(problem.params, a, a[2] - problem.targets, [hidden.slope(z[0], a[1])])
    made = [(g + 0.2 * np.sign(w), h) for (w, _), (g, h) in zip(problem.params, gradients, strict=True)]

    def step(rate: float) -> Layers:
        return moved(problem.params, made, rate)

    loss = Loss("binary_cross_entropy")
    return UpdateAsk((hidden, SIGMOID), loss, *problem, layout="out_in", step=step, rates=(0.01,))
