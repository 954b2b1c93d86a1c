"""Classes, layers, closures, generators: programs that are built of parts."""

from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

HALF = Loss("squared_error", scale=0.5)
MEAN_SQUARES = Loss("squared_error", over_samples="mean", over_outputs="mean")
CROSS_ENTROPY = Loss("categorical_cross_entropy", over_samples="mean")
SIZES = ((3, 5, 2), (2, 4, 6, 3))


@program(
    SIZES,
    "tanh",
    MEAN_SQUARES,
    [
        ("the derivative of the output, not the input", "self.input = x * 1", "self.input = self.function(x)"),
        ("the mean over samples alone", "np.size(y_true)", "len(y_true)"),
    ],
)
def layers_with_forward_and_backward():
    """Layer classes with forward and backward that keep what they need; the loss in two functions."""

    class Layer:
        input = output = None

    class Dense(Layer):
        def __init__(self, weights, bias):
            self.weights, self.bias = weights, bias

        def forward(self, x):
            self.input = x
            return np.dot(x, self.weights) + self.bias

        def backward(self, output_gradient):
            self.grad = np.dot(self.input.T, output_gradient)
            self.bias_grad = np.sum(output_gradient, axis=0, keepdims=True)
            return np.dot(output_gradient, self.weights.T)

    class Activation(Layer):
        def __init__(self, function, prime):
            self.function, self.prime = function, prime

        def forward(self, x):
            self.input = x * 1
            return self.function(x)

        def backward(self, output_gradient):
            return np.multiply(output_gradient, self.prime(self.input))

    class Tanh(Activation):
        def __init__(self):
            super().__init__(np.tanh, lambda x: 1 - np.tanh(x) ** 2)

    def mse_prime(y_true, y_pred):
        return 2 * (y_pred - y_true) / np.size(y_true)

    def gradients(params, x, y):
        network = [layer for w, b in params for layer in (Dense(w, b), Tanh())]
        output = x
        for layer in network:
            output = layer.forward(output)
        grad = mse_prime(y, output)
        for layer in reversed(network):
            grad = layer.backward(grad)
        return [(layer.grad, layer.bias_grad) for layer in network if isinstance(layer, Dense)]

    return gradients


@program(
    SIZES,
    "sigmoid",
    HALF,
    [
        ("z (1 - z) for a (1 - a)", "_derivative(self.a[i + 1])", "_derivative(self.z[i])"),
        ("the bias of one sample", "delta.sum(axis=0)", "delta[0]"),
    ],
)
def network_class():
    """One class with weights, feedforward and backprop; sigmoid_derivative of the output."""

    class NeuralNetwork:
        def __init__(self, params):
            self.weights = [w for w, _ in params]
            self.biases = [b for _, b in params]

        def sigmoid(self, x):
            return 1 / (1 + np.exp(-x))

        def sigmoid_derivative(self, s):
            return s * (1 - s)

        def feedforward(self, x):
            self.z, self.a = [], [x]
            for w, b in zip(self.weights, self.biases, strict=True):
                self.z.append(self.a[-1] @ w + b)
                self.a.append(self.sigmoid(self.z[-1]))
            return self.a[-1]

        def backprop(self, x, y):
            error = self.feedforward(x) - y
            self.d_weights, self.d_biases = [], []
            for i in range(len(self.weights) - 1, -1, -1):
                delta = error * self.sigmoid_derivative(self.a[i + 1])
                self.d_weights.insert(0, self.a[i].T @ delta)
                self.d_biases.insert(0, delta.sum(axis=0))
                error = delta @ self.weights[i].T

    def gradients(params, x, y):
        nn = NeuralNetwork(params)
        nn.backprop(x, y)
        return list(zip(nn.d_weights, nn.d_biases, strict=True))

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    ("relu", "softmax"),
    CROSS_ENTROPY,
    [
        ("the mask of what comes back", "dx[x <= 0] = 0", "dx[dout <= 0] = 0"),
        ("the softmax not averaged", "(p - y) / y.shape[0]", "(p - y)"),
    ],
)
def functions_with_caches():
    """affine_forward, affine_backward, relu_forward, …: functions that return a value and a cache."""

    def affine_forward(x, w, b):
        return x.dot(w) + b, (x, w, b)

    def affine_backward(dout, cache):
        x, w, _ = cache
        dx = dout.dot(w.T)
        dw = x.T.dot(dout)
        db = dout.sum(axis=0)
        return dx, dw, db

    def relu_forward(x):
        return np.maximum(0, x), x

    def relu_backward(dout, x):
        dx = dout.copy()
        dx[x <= 0] = 0
        return dx

    def softmax_loss(x, y):
        z = x - x.max(axis=1, keepdims=True)
        logsum = np.log(np.exp(z).sum(axis=1, keepdims=True))
        p = np.exp(z - logsum)
        return np.sum(y * (logsum - z)) / len(y), (p - y) / y.shape[0]

    def gradients(params, x, y):
        (w1, b1), (w2, b2) = params
        h, first = affine_forward(x, w1, b1)
        r, middle = relu_forward(h)
        s, second = affine_forward(r, w2, b2)
        loss, ds = softmax_loss(s, y)
        dr, dw2, db2 = affine_backward(ds, second)
        _, dw1, db1 = affine_backward(relu_backward(dr, middle), first)
        return loss, [(dw1, db1), (dw2, db2)]

    return gradients


@program(
    SIZES,
    "tanh",
    HALF,
    [
        ("the pullback's derivative of the input", "ct * (1 - y * y)", "ct * (1 - x * x)"),
        ("an error of a thousandth", "ct.sum(0)", "1.001 * ct.sum(0)"),
    ],
)
def closures():
    """Each layer gives its value and a function that takes the cotangent back."""

    def affine(w, b, x):
        return x @ w + b, lambda ct: (ct @ w.T, (x.T @ ct, ct.sum(0)))

    def tanh(x):
        y = np.tanh(x)
        return y, lambda ct: ct * (1 - y * y)

    def gradients(params, x, t):
        pullbacks, out = [], x
        for w, b in params:
            out, back_affine = affine(w, b, out)
            out, back_tanh = tanh(out)
            pullbacks += [(back_affine, back_tanh)]
        ct, grads = out - t, []
        while pullbacks:
            back_affine, back_tanh = pullbacks.pop()
            ct, grad = back_affine(back_tanh(ct))
            grads.append(grad)
        grads.reverse()
        return grads

    return gradients


@program(
    SIZES,
    "softplus",
    HALF,
    [
        ("the function for its derivative", "return g / (1 + np.exp(-self.z))", "return g * np.logaddexp(0, self.z)"),
        ("1/n added", "Tape(outputs - targets)", "Tape((outputs - targets) / len(targets))"),
    ],
)
def dataclasses_and_reduce():
    """Frozen dataclasses, functools.reduce forwards and backwards; softplus by np.logaddexp."""

    @dataclass(frozen=True)
    class Record:
        w: np.ndarray
        x: np.ndarray
        z: np.ndarray

        def through_softplus(self, g):
            return g / (1 + np.exp(-self.z))

    @dataclass(frozen=True)
    class Tape:
        ct: np.ndarray
        grads: tuple = field(default=())

    def forwards(state, layer):
        x, records = state
        z = x @ layer[0] + layer[1]
        return np.logaddexp(0, z), (*records, Record(layer[0], x, z))

    def backwards(tape, record):
        g = record.through_softplus(tape.ct)
        return Tape(g @ record.w.T, ((record.x.T @ g, g.sum(0)), *tape.grads))

    def gradients(params, inputs, targets):
        outputs, records = reduce(forwards, params, (inputs, ()))
        return list(reduce(backwards, reversed(records), Tape(outputs - targets)).grads)

    return gradients


@program(
    SIZES,
    "sigmoid",
    MEAN_SQUARES,
    [
        ("each layer's error from the gradient, not the weights", "ct_z @ w.T", "ct_z @ (a.T @ ct_z).T"),
        ("a factor 2 lost", "2 / t.size", "1 / t.size"),
    ],
)
def generators():
    """A generator that yields the gradients from the last layer to the first."""

    def forward(params, x):
        yield x
        for w, b in params:
            x = 1 / (1 + np.exp(-x @ w - b))
            yield x

    def backward(params, acts, t):
        ct = 2 / t.size * (acts[-1] - t)
        for (w, _), a, y in zip(params[::-1], acts[-2::-1], acts[:0:-1], strict=True):
            ct_z = ct * y * (1 - y)
            yield a.T @ ct_z, ct_z.sum(axis=0)
            ct = ct_z @ w.T

    def gradients(params, x, t):
        return list(backward(params, list(forward(params, x)), t))[::-1]

    return gradients


@program(
    SIZES,
    "elu",
    HALF,
    [
        ("relu's derivative for elu's", "np.where(z > 0, 1, np.exp(np.minimum(z, 0)))", "np.where(z > 0, 1, 0)"),
        ("the bias averaged", "ct.sum(0)", "ct.mean(0)"),
    ],
)
def recursion():
    """A function that calls itself for the layers that follow, and gets their cotangent back; elu by np.where."""

    def descend(params, x, t):
        if not params:
            return x - t, []
        (w, b), *rest = params
        z = x @ w + b
        ct, grads = descend(rest, np.where(z > 0, z, np.expm1(np.minimum(z, 0))), t)
        ct = ct * np.where(z > 0, 1, np.exp(np.minimum(z, 0)))
        return ct @ w.T, [(x.T @ ct, ct.sum(0)), *grads]

    def gradients(params, x, t):
        return descend(list(params), x, t)[1]

    return gradients


@program(
    SIZES,
    "relu",
    HALF,
    [
        ("gradients never zeroed", "p.grad = 0.0", "p.grad = p.grad"),
        ("no mask", "grad * self.on", "grad"),
    ],
)
def modules_with_grad():
    """Modules with parameters() whose .grad is added to, zero_grad first: one model that lives from call to call."""

    class Parameter:
        def __init__(self, shape):
            self.data, self.grad = np.zeros(shape), 0.0

    class Linear:
        def __init__(self, fan_in, fan_out):
            self.weight, self.bias = Parameter((fan_in, fan_out)), Parameter(fan_out)

        def __call__(self, x):
            self.x = x
            return x @ self.weight.data + self.bias.data

        def backward(self, grad):
            self.weight.grad = self.weight.grad + self.x.T @ grad
            self.bias.grad = self.bias.grad + grad.sum(0)
            return grad @ self.weight.data.T

    class ReLU:
        def __call__(self, x):
            self.on = x > 0
            return x * self.on

        def backward(self, grad):
            return grad * self.on

    model = []

    def parameters():
        return [p for m in model if isinstance(m, Linear) for p in (m.weight, m.bias)]

    def gradients(params, x, t):
        if not model:
            for w, _ in params:
                model.extend([Linear(*w.shape), ReLU()])
        for p, value in zip(parameters(), [a for layer in params for a in layer], strict=True):
            p.data = value
            p.grad = 0.0
        out = x
        for module in model:
            out = module(out)
        grad = out - t
        for module in model[::-1]:
            grad = module.backward(grad)
        return [(m.weight.grad, m.bias.grad) for m in model if isinstance(m, Linear)]

    return gradients
