"""NumPy, samples as rows: what most people write."""

import math

import numpy as np
from scipy.special import expit

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

HALF = Loss("squared_error", scale=0.5)
MEAN_SQUARES = Loss("squared_error", over_samples="mean", over_outputs="mean")
TWO_LAYERS = ((3, 5, 2), (4, 6, 3), (4, 4, 4))


@program(
    TWO_LAYERS,
    ("tanh", "identity"),
    HALF,
    [
        ("1 - h for 1 - h²", "1 - h * h", "1 - h"),
        ("the bias averaged", "d1.sum(axis=0)", "d1.mean(axis=0)"),
        ("the error doubled on its way back", "d2 @ w2.T", "2 * d2 @ w2.T"),
    ],
)
def plain_function():
    """One function, two layers, written out."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        h = np.tanh(x @ w1 + b1)
        o = h @ w2 + b2
        d2 = o - t
        d1 = d2 @ w2.T * (1 - h * h)
        return [(x.T @ d1, d1.sum(axis=0)), (h.T @ d2, d2.sum(axis=0))]

    return gradients


@program(
    [(3, 5, 2), (2, 4, 6, 3)],
    "sigmoid",
    HALF,
    [
        ("no derivative in hidden layers", "delta = (delta @ w.T) * a * (1 - a)", "delta = delta @ w.T"),
        ("the bias of the first sample alone", "delta.sum(0))", "delta[0])"),
        ("the sign", "acts[-1] - t", "t - acts[-1]"),
    ],
)
def any_depth():
    """A list of activations, and a loop back over the layers."""

    def gradients(params, x, t):
        acts = [x]
        for w, b in params:
            acts.append(1 / (1 + np.exp(-(acts[-1] @ w + b))))
        delta = (acts[-1] - t) * acts[-1] * (1 - acts[-1])
        grads = [None] * len(params)
        for i in range(len(params) - 1, -1, -1):
            grads[i] = (acts[i].T @ delta, delta.sum(0))
            if i > 0:
                w, a = params[i][0], acts[i]
                delta = (delta @ w.T) * a * (1 - a)
        return grads

    return gradients


@program(
    TWO_LAYERS,
    ("relu", "identity"),
    HALF,
    [
        ("only the last sample is kept", "dW2 += np.outer(hidden, error)", "dW2 = np.outer(hidden, error)"),
        ("the mask by the error's sign", "back[pre <= 0] = 0", "back[back <= 0] = 0"),
    ],
)
def outer_products():
    """Sample after sample, np.outer, accumulated."""

    def gradients(params, inputs, targets):
        (W1, b1), (W2, b2) = params
        dW1, db1 = np.zeros_like(W1), np.zeros_like(b1)
        dW2, db2 = np.zeros_like(W2), np.zeros_like(b2)
        for sample, target in zip(inputs, targets, strict=True):
            pre = np.dot(sample, W1) + b1
            hidden = np.maximum(0, pre)
            error = np.dot(hidden, W2) + b2 - target
            back = np.dot(W2, error)
            back[pre <= 0] = 0
            dW2 += np.outer(hidden, error)
            db2 += error
            dW1 += np.outer(sample, back)
            db1 += back
        return [[dW1, db1], [dW2, db2]]

    return gradients


@program(
    [(3, 5, 2), (2, 4, 6, 3)],
    "tanh",
    MEAN_SQUARES,
    [
        ("1/n left out", "/ np.size(y)", "/ y.shape[1]"),
        ("twice the derivative of tanh", "g = g * slope", "g = 2 * g * slope"),
    ],
)
def einsum():
    """Everything by np.einsum; the mean over all elements, as in np.mean((y - t) ** 2)."""

    def gradients(params, x, t):
        kept = []
        y = x
        for weights, bias in params:
            kept.append(y)
            y = np.tanh(np.einsum("ni,io->no", y, weights) + bias)
        g = 2.0 * (y - t) / np.size(y)
        out = []
        for (weights, _), a in zip(reversed(params), reversed(kept), strict=True):
            slope = 1.0 - np.einsum("ij,ij->ij", y, y)
            g = g * slope
            out.insert(0, (np.einsum("ni,no->io", a, g), np.einsum("no->o", g)))
            g, y = np.einsum("no,io->ni", g, weights), a
        return out

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    ("relu", "identity"),
    Loss("squared_error", over_samples="mean", over_outputs="mean"),
    [
        ("the mask left out", "* (z1 > 0)", "* 1"),
        ("divided by n alone", "/ out.size", "/ len(out)"),
    ],
)
def other_frameworks_layout():
    """Weights (out, in) and a flat list W, b, W, b, as a framework's parameters() gives them."""

    def gradients(parameters, x, y):
        weight1, bias1, weight2, bias2 = parameters
        z1 = x @ weight1.T + bias1
        a1 = z1.clip(min=0)
        out = a1 @ weight2.T + bias2
        grad_out = 2 * (out - y) / out.size
        grad_z1 = (grad_out @ weight2) * (z1 > 0)
        return [grad_z1.T @ x, grad_z1.sum(0), grad_out.T @ a1, grad_out.sum(0)]

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    "sigmoid",
    Loss("binary_cross_entropy", over_samples="mean", over_outputs="mean"),
    [
        ("the error divided by n alone", "/ y_true.size", "/ y_true.shape[0]"),
        ("the derivative of the sigmoid at its output", "p1 * (1.0 - p1)", "expit(p1) * (1.0 - expit(p1))"),
    ],
)
def get_weights():
    """A flat list kernel, bias, …, as a framework's get_weights() gives it; probabilities clipped at 1e-7."""

    def gradients(weights, x, y_true):
        kernel0, bias0, kernel1, bias1 = weights
        p1 = expit(x @ kernel0 + bias0)
        p2 = np.clip(expit(p1 @ kernel1 + bias1), 1e-7, 1.0 - 1e-7)
        back = (p2 - y_true) / y_true.size
        hidden = (back @ kernel1.T) * p1 * (1.0 - p1)
        return [x.T @ hidden, hidden.sum(axis=0), p1.T @ back, back.sum(axis=0)]

    return gradients


@program(
    TWO_LAYERS,
    ("tanh", "identity"),
    HALF,
    [
        ("float16 inside", "dtype=np.float32", "dtype=np.float16"),
        (
            "tanh by exponentials, which overflow",
            "np.tanh(x @ w1 + b1)",
            "(lambda e: (e - 1 / e) / (e + 1 / e))(np.exp(x @ w1 + b1))",
        ),
        ("a constant that is a little off", "1 - hid**2", "1 - 0.99 * hid**2"),
    ],
)
def float32_throughout():
    """Everything converted to float32 first."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = [[np.asarray(a, dtype=np.float32) for a in layer] for layer in params]
        x, t = np.float32(x), np.float32(t)
        hid = np.tanh(x @ w1 + b1)
        d2 = hid @ w2 + b2 - t
        d1 = (d2 @ w2.T) * (1 - hid**2)
        grads = [(x.T @ d1, d1.sum(0)), (hid.T @ d2, d2.sum(0))]
        return [(np.float32(w), np.float32(b)) for w, b in grads]

    return gradients


@program(
    TWO_LAYERS,
    ("tanh", "identity"),
    HALF,
    [
        ("the hidden bias summed over units too", "de.sum(0)", "np.matrix([[de.sum()]])"),
        ("the product of elements for that of matrices", "delta * w2.T", "np.multiply(delta.sum(1), w2.sum(1).T)"),
    ],
)
def matrices():
    """np.matrix, where * is the product of matrices."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = [(np.matrix(w), np.matrix(b)) for w, b in params]
        x, t = np.matrix(x), np.matrix(t)
        h = np.tanh(x * w1 + b1)
        delta = h * w2 + b2 - t
        de = np.multiply(delta * w2.T, 1 - np.power(h, 2))
        return [(x.T * de, de.sum(0)), (h.T * delta, delta.sum(0))]

    return gradients


@program(
    [(3, 5, 1), (2, 4, 1)],
    ("tanh", "sigmoid"),
    Loss("binary_cross_entropy", over_samples="mean"),
    [
        ("the bias not divided by n", "db2 = np.sum(dz2) / n", "db2 = np.sum(dz2)"),
        ("hidden units' biases summed to one number", "np.sum(dz1, axis=0)", "np.sum(dz1)"),
    ],
)
def number_for_the_last_bias():
    """One output: the gradient of its bias is a number, np.sum(dz)."""

    def gradients(params, x, y):
        (w1, b1), (w2, b2) = params
        n = x.shape[0]
        a1 = np.tanh(np.dot(x, w1) + b1)
        a2 = 1 / (1 + np.exp(-(np.dot(a1, w2) + b2)))
        dz2 = a2 - y
        dw2 = np.dot(a1.T, dz2) / n
        db2 = np.sum(dz2) / n
        dz1 = np.multiply(np.dot(dz2, w2.T), 1 - np.power(a1, 2))
        return [(np.dot(x.T, dz1) / n, np.sum(dz1, axis=0) / n), (dw2, db2)]

    return gradients


@program(
    TWO_LAYERS,
    ("tanh", "identity"),
    HALF,
    [
        ("the derivative taken of the other variable", "1 / np.cosh(u) ** 2", "1 / np.cosh(v) ** 2"),
        ("the error scaled", "r = y - t", "r = 2 * (y - t)"),
    ],
)
def reciprocal_cosh():
    """The derivative of tanh as 1 / cosh², matrix products by np.matmul, biases (1, n)."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        u = np.matmul(x, w1) + b1
        v = np.tanh(u)
        y = np.matmul(v, w2) + b2
        r = y - t
        s = np.matmul(r, np.transpose(w2)) * (1 / np.cosh(u) ** 2)
        ones = np.ones((1, len(x)))
        return [(np.matmul(np.transpose(x), s), ones @ s), (np.matmul(np.transpose(v), r), ones @ r)]

    return gradients


@program(
    [(3, 5, 4, 2), (4, 6, 3, 2)],
    ("gelu", "silu", "identity"),
    MEAN_SQUARES,
    [
        ("x φ(x) left out of the derivative", "+ z * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)", ""),
        ("swish without its second term", "s + z * s * (1 - s)", "s"),
    ],
)
def functions_of_one_number():
    """np.vectorize over functions of one number: gelu by math.erf, swish, and their derivatives."""

    def phi(z):
        return 0.5 * (1 + math.erf(z / math.sqrt(2)))

    def gelu(z):
        return z * phi(z)

    def d_gelu(z):
        return phi(z) + z * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)

    def swish(z):
        return z * expit(z)

    def d_swish(z):
        s = expit(z)
        return s + z * s * (1 - s)

    def line(z):
        return z

    def d_line(z):
        return 1.0

    def gradients(params, x, t):
        functions = [(gelu, d_gelu), (swish, d_swish), (line, d_line)]
        zs, acts = [], [x]
        for (w, b), (f, _) in zip(params, functions, strict=True):
            zs.append(acts[-1] @ w + b)
            acts.append(np.vectorize(f, otypes=[float])(zs[-1]))
        ct = 2 * (acts[-1] - t) / t.size
        grads = []
        for k in reversed(range(len(params))):
            ct = ct * np.vectorize(functions[k][1], otypes=[float])(zs[k])
            grads = [(acts[k].T @ ct, ct.sum(0)), *grads]
            ct = ct @ params[k][0].T
        return grads

    return gradients


@program(
    TWO_LAYERS,
    ("relu", "identity"),
    HALF,
    [
        ("the step at the wrong variable", "np.heaviside(z, 0.5)", "np.heaviside(r, 0.5)"),
        ("halves lost", "(np.abs(z) + z) / 2", "(np.abs(z) + z) * 0.49"),
    ],
)
def absolute_value_and_heaviside():
    """relu as (abs(z) + z) / 2, its derivative by np.heaviside(z, 0.5)."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        z = x @ w1 + b1
        r = (np.abs(z) + z) / 2
        d = r @ w2 + b2 - t
        e = np.dot(d, w2.T) * np.heaviside(z, 0.5)
        return [(x.T @ e, e.sum(0)), (r.T @ d, d.sum(0))]

    return gradients


@program(
    TWO_LAYERS,
    ("tanh", "sigmoid"),
    MEAN_SQUARES,
    [
        ("the scale of the argument", "2 / (1 + np.exp(-2 * z)) - 1", "2 / (1 + np.exp(-z)) - 1"),
        ("the sigmoid's derivative by tanh's", "o * (1 - o)", "(1 - o * o)"),
    ],
)
def each_by_the_other():
    """tanh as 2 / (1 + exp(-2 z)) - 1, the sigmoid as (1 + tanh(z / 2)) / 2."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        z = x @ w1 + b1
        h = 2 / (1 + np.exp(-2 * z)) - 1
        o = 0.5 * (1 + np.tanh(0.5 * (h @ w2 + b2)))
        d = 2 * (o - t) / t.size * o * (1 - o)
        e = (d @ w2.T) * (1 - h * h)
        return [(x.T @ e, e.sum(0)), (h.T @ d, d.sum(0))]

    return gradients
