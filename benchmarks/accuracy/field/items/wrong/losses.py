"""Wrong derivatives of softmax and of the loss, and losses other than the declared one."""

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    RELU,
    SIGMOID,
    SOFTMAX,
    Array,
    Layers,
    backward,
    forward,
    moved,
    relu,
    sigmoid,
    softmax,
)
from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.item import (
    CROSS_ENTROPY,
    HALF,
    MEAN_CROSS_ENTROPY,
    SQUARED,
    GradientsAsk,
    UpdateAsk,
    wrong,
)
from functional_mlp import Loss

OTHER = "derivative-of-other-activation"  # p (1 - p) is sigmoid' as well


def _diagonal_of_squares(draw: Draw, loss: Loss) -> GradientsAsk:
    """Three layers, one sample, no biases: the mean of squares after softmax, p (1 - p) for its Jacobian."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(3, samples=1, hidden=2, targets="one_hot", bias="none")
    z, a = forward(problem.params, problem.inputs, hidden.value, hidden.value, softmax)
    outputs = a[3].shape[1]
    delta = 2 * (a[3] - problem.targets) / outputs * a[3] * (1 - a[3])
    given = backward(problem.params, a, delta, [hidden.slope(z[layer], a[layer + 1]) for layer in (0, 1)])
    return GradientsAsk((hidden, hidden, SOFTMAX), loss, *problem, layout="out_in", given=given)


@wrong("f066", "softmax diagonal", "softmax-jacobian-diagonal", also=OTHER)
def diagonal_of_the_jacobian(draw: Draw) -> GradientsAsk:
    """The mean of squares after softmax, p (1 - p) for its Jacobian; one sample."""
    return _diagonal_of_squares(draw, Loss("squared_error", over_outputs="mean"))


@wrong("f067", "softmax diagonal", "softmax-jacobian-diagonal + outputs-averaged-not-summed/loss-scaled", also=OTHER)
def diagonal_and_mean_of_outputs(draw: Draw) -> GradientsAsk:
    """The mean of squares after softmax, p (1 - p) for its Jacobian; the sum of squares declared."""
    return _diagonal_of_squares(draw, SQUARED)


@wrong("f071", "softmax diagonal", "softmax-jacobian-diagonal", also=OTHER)
def diagonal_above_a_relu(draw: Draw) -> GradientsAsk:
    """Half the squared error after softmax, p (1 - p) for its Jacobian; relu below, a batch."""
    hidden = draw.hidden(RELU)
    problem = draw.problem(3, targets="one_hot", functions=(hidden.value,))
    z, a = forward(problem.params, problem.inputs, hidden.value, softmax)
    p = a[2]
    given = backward(problem.params, a, (p - problem.targets) * p * (1 - p), [hidden.slope(z[0], a[1])])
    return GradientsAsk((hidden, SOFTMAX), HALF, *problem, given=given)


@wrong(
    "f073",
    "softmax diagonal",
    "softmax-jacobian-diagonal | loss-mismatch",
    traps="loss-scaled",
    also=OTHER + " cross-entropy-half",
)
def half_by_two_classes(draw: Draw) -> GradientsAsk:
    """Two classes, one sample, a binary cross-entropy after softmax: the diagonal gives exactly half the gradient."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(2, samples=1, targets="one_hot")
    z, a = forward(problem.params, problem.inputs, hidden.value, softmax)
    p = a[2]
    delta = (p - problem.targets) / (p * (1 - p)) * p * (1 - p)
    given = backward(problem.params, a, delta, [hidden.slope(z[0], a[1])])
    return GradientsAsk((hidden, SOFTMAX), Loss("binary_cross_entropy"), *problem, given=given)


@wrong("f074", "softmax twice", "softmax-jacobian-twice | loss-mismatch")
def jacobian_once_more(draw: Draw) -> UpdateAsk:
    """Cross-entropy declared, p - t sent through the softmax Jacobian once more; one sample."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(3, samples=1, targets="one_hot")
    z, a = forward(problem.params, problem.inputs, hidden.value, softmax)
    p = a[2][0]
    delta = ((np.diag(p) - np.outer(p, p)) @ (p - problem.targets[0]))[None]
    gradients = backward(problem.params, a, delta, [hidden.slope(z[0], a[1])])

    def step(rate: float) -> Layers:
        return moved(problem.params, gradients, rate)

    return UpdateAsk((hidden, SOFTMAX), CROSS_ENTROPY, *problem, step=step, rates=(0.1,))


@wrong("f079", "softmax axis", "softmax-over-samples")
def normalised_over_everything(draw: Draw) -> GradientsAsk:
    """The exponentials are divided by the sum of the whole batch; the summed loss declared, the outputs beside it."""
    hidden = draw.hidden(RELU)
    problem = draw.problem(3, targets="one_hot", functions=(hidden.value,))

    def of_the_batch(z: Array) -> Array:
        return np.exp(z) / np.exp(z).sum()

    z, a = forward(problem.params, problem.inputs, hidden.value, of_the_batch)
    given = backward(problem.params, a, a[2] - problem.targets, [hidden.slope(z[0], a[1])])
    return GradientsAsk((hidden, SOFTMAX), CROSS_ENTROPY, *problem, given=given, outputs=a[2])


@wrong("f086", "another loss", "loss-mismatch")
def loss_of_the_true_label_alone(draw: Draw) -> GradientsAsk:
    """Sigmoid outputs: the loss looks at the true label alone, the gradient is the binary cross-entropy's."""
    problem = draw.problem(3, targets="one_hot", functions=(relu,))
    z, a = forward(problem.params, problem.inputs, relu, sigmoid)
    delta = (a[2] - problem.targets) / len(problem.inputs)
    given = backward(problem.params, a, delta, [z[0] > 0])
    return GradientsAsk((RELU, SIGMOID), MEAN_CROSS_ENTROPY, *problem, given=given)
