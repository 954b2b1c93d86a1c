"""Biases folded into the weights, and networks without biases."""

import numpy as np

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

HALF = Loss("squared_error", scale=0.5)
LOGISTIC = Loss("binary_cross_entropy", over_samples="mean")


@program(
    [(3, 5, 2), (4, 6, 3)],
    ("tanh", "identity"),
    HALF,
    [
        ("the first unit dropped for the ones", "(e @ w2.T)[:, :-1]", "(e @ w2.T)[:, 1:]"),
        ("the bias learns nothing", "[x1.T @ d, h1.T @ e]", "[np.vstack([x.T @ d, 0 * d[:1]]), h1.T @ e]"),
    ],
    layout={"bias": "last_row"},
)
def ones_column_at_the_end():
    """A column of ones behind the inputs of every layer: the bias is the last row of the weights."""

    def gradients(weights, x, t):
        w1, w2 = weights
        ones = np.ones((len(x), 1))
        x1 = np.hstack([x, ones])
        h = np.tanh(x1 @ w1)
        h1 = np.hstack([h, ones])
        e = h1 @ w2 - t
        d = (e @ w2.T)[:, :-1] * (1 - h * h)
        return [x1.T @ d, h1.T @ e]

    return gradients


@program(
    [(3, 5, 1), (4, 6, 3)],
    "sigmoid",
    LOGISTIC,
    [
        ("the last column dropped for the bias's", "Theta2[:, 1:]", "Theta2[:, :-1]"),
        ("divided by m twice", "delta2.T @ a1 / m", "delta2.T @ a1 / m / m"),
    ],
    layout={"weights": "out_in", "bias": "first_row"},
)
def theta_with_a_column_of_ones():
    """Theta1 and Theta2 (out, in + 1) of a course in another language: the bias is the first column."""

    def gradients(thetas, X, Y):
        Theta1, Theta2 = thetas
        m = X.shape[0]
        a1 = np.concatenate([np.ones((m, 1)), X], axis=1)
        hidden = 1 / (1 + np.exp(-a1 @ Theta1.T))
        a2 = np.concatenate([np.ones((m, 1)), hidden], axis=1)
        a3 = 1 / (1 + np.exp(-a2 @ Theta2.T))
        delta3 = a3 - Y
        delta2 = (delta3 @ Theta2[:, 1:]) * hidden * (1 - hidden)
        return [delta2.T @ a1 / m, delta3.T @ a2 / m]

    return gradients


@program(
    [(3, 5, 1), (4, 6, 3)],
    "sigmoid",
    Loss("binary_cross_entropy", over_samples="mean", l2=0.5 / 6),
    [
        ("the penalty on the biases too", "_grad[:, 1:] += lam / m * Theta1[:, 1:]", "_grad += lam / m * Theta1"),
        ("the penalty not divided by m", "+= lam / m * Theta2[:, 1:]", "+= lam * Theta2[:, 1:]"),
    ],
    way="check",
    layout={"weights": "out_in", "bias": "first_row"},
)
def theta_with_lambda_over_m():
    """The same with a penalty λ / 2m that spares the biases: a script with its own data."""

    def script(network, rng):
        shapes = list(zip(network.sizes[1:], network.sizes, strict=False))
        Theta1, Theta2 = [rng.uniform(-1, 1, (fan_out, fan_in + 1)) for fan_out, fan_in in shapes]
        m, lam = 6, 0.5
        X, y = rng.standard_normal((m, network.sizes[0])), rng.integers(0, 2, (m, network.sizes[-1]))
        D1, D2 = np.zeros_like(Theta1), np.zeros_like(Theta2)
        for i in range(m):
            a1 = np.r_[1, X[i]]
            z2 = Theta1 @ a1
            g = 1 / (1 + np.exp(-z2))
            a2 = np.r_[1, g]
            a3 = 1 / (1 + np.exp(-(Theta2 @ a2)))
            d3 = a3 - y[i]
            d2 = (Theta2.T @ d3)[1:] * g * (1 - g)
            D2 += np.outer(d3, a2)
            D1 += np.outer(d2, a1)
        Theta1_grad, Theta2_grad = D1 / m, D2 / m
        Theta1_grad[:, 1:] += lam / m * Theta1[:, 1:]
        Theta2_grad[:, 1:] += lam / m * Theta2[:, 1:]
        return [Theta1, Theta2], X, y, [Theta1_grad, Theta2_grad]

    return script


@program(
    [(3, 4, 1), (2, 5, 3)],
    "sigmoid",
    HALF,
    [
        ("the derivative taken of the error", "l1 * (1 - l1)", "l1_error * (1 - l1_error)"),
        ("the sign of one layer", "syn1_delta = -l1.T.dot(l2_delta)", "syn1_delta = l1.T.dot(l2_delta)"),
    ],
)
def without_biases():
    """A few lines without biases: only the gradients of the weights come back."""

    def gradients(syn, X, y):
        syn0, syn1 = [s[0] if isinstance(s, tuple | list) else s for s in syn]
        l1 = 1 / (1 + np.exp(-(np.dot(X, syn0))))
        l2 = 1 / (1 + np.exp(-(np.dot(l1, syn1))))
        l2_error = y - l2
        l2_delta = l2_error * (l2 * (1 - l2))
        l1_error = l2_delta.dot(syn1.T)
        l1_delta = l1_error * (l1 * (1 - l1))
        syn1_delta = -l1.T.dot(l2_delta)
        syn0_delta = -X.T.dot(l1_delta)
        return [syn0_delta, syn1_delta]

    return gradients


@program(
    [(3, 4, 1), (2, 5, 4, 3)],
    "relu",
    HALF,
    [
        ("the output's own mask left out", "d = (ys[-1] - t) * (ys[-1] > 0)", "d = ys[-1] - t"),
        ("every layer's gradient averaged", "y.T @ d", "y.T @ d / len(d)"),
    ],
    bias=False,
)
def no_bias_declared():
    """Weights alone, relu in every layer; declared to be without biases."""

    def gradients(weights, x, t):
        ys = [x]
        for w in weights:
            ys.append(np.maximum(ys[-1] @ w, 0))
        d = (ys[-1] - t) * (ys[-1] > 0)
        found = []
        for w, y in zip(weights[::-1], ys[-2::-1], strict=True):
            found.append(y.T @ d)
            d = d @ w.T * (y > 0)
        return found[::-1]

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    ("tanh", "identity"),
    HALF,
    [
        ("the gradient of the last layer times the rate", "h.T @ d2}", "0.1 * h.T @ d2}"),
        ("the other layer's error", "x.T @ d1", "x.T @ (d1 + d2.mean())"),
    ],
    only=("weights",),
)
def biases_frozen():
    """Biases take part but are not trained: the gradients of the weights alone, in a dict."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        h = np.tanh(x @ w1 + b1)
        d2 = h @ w2 + b2 - t
        d1 = d2 @ w2.T * (1 - h * h)
        return {"dW1": x.T @ d1, "dW2": h.T @ d2}

    return gradients
