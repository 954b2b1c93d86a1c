"""Right programs with samples as rows."""

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
    elu,
    forward,
    leaky_relu,
    relu,
    same,
    sigmoid,
    softmax,
)
from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.item import (
    CROSS_ENTROPY,
    HALF,
    MEAN_CROSS_ENTROPY,
    MEAN_OF_LOGITS,
    FunctionAsk,
    GradientsAsk,
    right,
)
from functional_mlp import Loss


class _Affine:
    def __init__(self, weights: Array, bias: Array) -> None:
        self.weights, self.bias = weights, bias

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.weights + self.bias

    def backward(self, delta: Array) -> Array:
        self.gradients = self.x.T @ delta, delta.sum(0)
        return delta @ self.weights.T


class _Rectifier:
    def forward(self, x: Array) -> Array:
        self.off = x <= 0
        y = x.copy()
        y[self.off] = 0
        return y

    def backward(self, delta: Array) -> Array:
        delta = delta.copy()
        delta[self.off] = 0
        return delta


@right("c06", "softmax p - t")
def layer_objects(draw: Draw) -> FunctionAsk:
    """Layer objects in a chain, softmax with the loss at the end; as a function."""

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        first, second = _Affine(*params[0]), _Affine(*params[1])
        chain: list[_Affine | _Rectifier] = [first, _Rectifier(), second]
        y = inputs
        for layer in chain:
            y = layer.forward(y)
        delta = (softmax(y) - targets) / len(inputs)
        for layer in reversed(chain):
            delta = layer.backward(delta)
        return [first.gradients, second.gradients]

    return FunctionAsk((RELU, SOFTMAX), MEAN_CROSS_ENTROPY, draw.shape(3)[0], function)


@right("c08", "integer labels")
def labels(draw: Draw) -> FunctionAsk:
    """Class numbers (argmax of the targets), one taken from p at the label; as a function."""

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        classes = targets.argmax(1)
        z, a = forward(params, inputs, relu, softmax)
        delta = a[2].copy()
        delta[np.arange(len(classes)), classes] -= 1
        delta /= len(classes)
        return backward(params, a, delta, [z[0] > 0])

    return FunctionAsk((RELU, SOFTMAX), MEAN_CROSS_ENTROPY, draw.shape(3)[0], function)


def _without_biases(params: Layers, inputs: Array, targets: Array) -> list[Array]:
    """The weights' gradients of two sigmoid layers, half the squared error."""
    first, second = params[0][0], params[1][0]
    h = sigmoid(inputs @ first)
    o = sigmoid(h @ second)
    delta = -(targets - o) * np.exp(-(h @ second)) / (1 + np.exp(-(h @ second))) ** 2
    return [inputs.T @ ((delta @ second.T) * h * (1 - h)), h.T @ delta]


@right("c16", "no bias")
def without_biases(draw: Draw) -> GradientsAsk:
    """Sigmoids without biases, half the squared error."""
    problem = draw.problem(1, targets="unit", bias="none")
    return GradientsAsk((SIGMOID, SIGMOID), HALF, *problem, as_is=True, given=_without_biases(*problem))


@right("c17", "no bias")
def without_biases_as_a_function(draw: Draw) -> FunctionAsk:
    """Sigmoids without biases, half the squared error; as a function that hands back weights alone."""
    return FunctionAsk((SIGMOID, SIGMOID), HALF, draw.shape(1)[0], _without_biases, biases=False)


@right("c20", "ascent")
def declared_ascent(draw: Draw) -> FunctionAsk:
    """Ascent on the log-likelihood, declared as the cross-entropy with the scale -1; as a function."""
    hidden = draw.hidden(SIGMOID)

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        z, a = forward(params, inputs, hidden.value, softmax)
        return backward(params, a, targets - a[2], [hidden.slope(z[0], a[1])])

    loss = Loss("categorical_cross_entropy", scale=-1.0)
    return FunctionAsk((hidden, SOFTMAX), loss, draw.shape(3)[0], function)


@right("c22", "epsilon in the log", excuse="epsilon-in-log")
def epsilon_beside_a_penalty(draw: Draw) -> FunctionAsk:
    """elu and sigmoid, 1e-15 in the logarithm of the loss alone, a penalty; as a function, with the loss."""
    function = elu(1.0)._replace(declared="elu")
    penalty = 0.3

    def loss_and_gradients(params: Layers, inputs: Array, targets: Array) -> tuple[float, Layers]:
        z, a = forward(params, inputs, function.value, sigmoid)
        p = a[2]
        gradients = backward(params, a, (p - targets) / len(inputs), [function.slope(z[0], a[1])])
        value = -np.mean(targets * np.log(p + 1e-15) + (1 - targets) * np.log(1 - p + 1e-15))
        value = value + penalty / 2 * sum((w**2).sum() for w, _ in params)
        made = zip(params, gradients, strict=True)
        return float(value), [(gradient + penalty * w, h.reshape(1, -1)) for (w, _), (gradient, h) in made]

    loss = Loss("binary_cross_entropy", over_samples="mean", l2=penalty)
    return FunctionAsk((function, SIGMOID), loss, draw.shape(1)[0], loss_and_gradients)


def _of_logits(params: Layers, inputs: Array, targets: Array, hidden: Activation) -> tuple[float, Layers]:
    """Softmax cross-entropy of the last layer's numbers, 1e-12 in the logarithm, and its gradients."""
    z, a = forward(params, inputs, *(hidden.value,) * (len(params) - 1), same)
    p = softmax(a[-1])
    slopes = [hidden.slope(z[layer], a[layer + 1]) for layer in range(len(params) - 1)]
    gradients = backward(params, a, (p - targets) / len(inputs), slopes)
    return float(-np.mean(np.sum(targets * np.log(p + 1e-12), 1))), gradients


@right("c30", "softmax p - t")
def logits(draw: Draw) -> FunctionAsk:
    """tanh and linear layers, softmax inside the loss, p - t; as a function."""
    hidden = draw.hidden(TANH)

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        return _of_logits(params, inputs, targets, hidden)[1]

    return FunctionAsk((hidden, IDENTITY), MEAN_OF_LOGITS, draw.shape(3)[0], function)


@right("c31", "epsilon in the log", excuse="epsilon-in-log")
def logits_with_their_loss(draw: Draw) -> GradientsAsk:
    """tanh and linear layers, softmax inside the loss, whose value has 1e-12 in its logarithm."""
    hidden = draw.hidden(TANH)
    problem = draw.problem(3, targets="one_hot")
    value, given = _of_logits(*problem, hidden)
    return GradientsAsk((hidden, IDENTITY), MEAN_OF_LOGITS, *problem, given=given, value=value)


@right("c33", "per-sample gradients")
def mean_of_single_gradients(draw: Draw) -> FunctionAsk:
    """The gradients of every sample by itself (einsum), and their mean; as a function."""
    hidden = draw.hidden(SIGMOID)

    def function(params: Layers, inputs: Array, targets: Array) -> Layers:
        z, a = forward(params, inputs, hidden.value, softmax)
        delta = a[2] - targets
        below = np.einsum("nk,hk->nh", delta, params[1][0]) * hidden.slope(z[0], a[1])
        pairs = (inputs, below), (a[1], delta)
        return [(np.einsum("ni,nj->nij", x, each).mean(0), each.mean(0)) for x, each in pairs]

    return FunctionAsk((hidden, SOFTMAX), MEAN_CROSS_ENTROPY, draw.shape(3)[0], function)


@right("c42", "penalty")
def penalty_before_the_division(draw: Draw) -> GradientsAsk:
    """The penalty is added before the division by n, alpha/n declared; relu, softmax."""
    hidden = draw.hidden(RELU)
    problem = draw.problem(3, targets="one_hot", functions=(hidden.value,))
    z, a = forward(problem.params, problem.inputs, hidden.value, softmax)
    n, alpha = len(problem.inputs), 0.1
    gradients = backward(problem.params, a, a[2] - problem.targets, [hidden.slope(z[0], a[1])])
    given = [((g + alpha * w) / n, h / n) for (w, _), (g, h) in zip(problem.params, gradients, strict=True)]
    loss = Loss("categorical_cross_entropy", over_samples="mean", l2=alpha / n)
    return GradientsAsk((hidden, SOFTMAX), loss, *problem, given=given)


@right("c46", "another loss")
def errors_that_cancel(draw: Draw) -> GradientsAsk:
    """Two errors that cancel: the Jacobian's diagonal and a binary cross-entropy make p - t; cross-entropy declared."""
    hidden = draw.hidden(SIGMOID)
    problem = draw.problem(4, samples=1, targets="one_hot")
    z, a = forward(problem.params, problem.inputs, hidden.value, softmax)
    p = a[2]
    delta = (p - problem.targets) / (p * (1 - p)) * p * (1 - p)
    given = backward(problem.params, a, delta, [hidden.slope(z[0], a[1])])
    return GradientsAsk((hidden, SOFTMAX), CROSS_ENTROPY, *problem, given=given)


@right("c59", "flat vector")
def one_flat_vector(draw: Draw) -> GradientsAsk:
    """One flat vector of weights, the bias row on top of each layer, leaky relu, the mean of half squares."""
    leaky = leaky_relu(0.01)
    params, inputs, targets = draw.problem(2, functions=(leaky.value,))
    shapes = [(w.shape[0] + 1, w.shape[1]) for w, _ in params]

    def flat(blocks: list[Array]) -> Array:
        return np.hstack([block.ravel() for block in blocks])

    def blocks(vector: Array) -> list[Array]:
        first = shapes[0][0] * shapes[0][1]
        return [part.reshape(shape) for part, shape in zip(np.split(vector, [first]), shapes, strict=True)]

    def with_ones(a: Array) -> Array:
        return np.hstack([np.ones((len(a), 1)), a])

    first, second = blocks(flat([np.vstack([b, w]) for w, b in params]))
    z = with_ones(inputs) @ first
    h = np.where(z > 0, z, 0.01 * z)
    delta = (with_ones(h) @ second - targets) / len(inputs)
    below = (delta @ second[1:].T) * np.where(z > 0, 1, 0.01)
    gradient = flat([with_ones(inputs).T @ below, with_ones(h).T @ delta])
    loss = Loss("squared_error", over_samples="mean", scale=0.5)
    given = [(block[1:], block[0]) for block in blocks(gradient)]
    return GradientsAsk((leaky, IDENTITY), loss, params, inputs, targets, given=given)
