"""Forms of parameters and gradients: biases folded into the weights, none at all, dicts, tuples, iterators."""

import numpy as np

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

HALF = Loss("squared_error", scale=0.5)
LOGISTIC = Loss("binary_cross_entropy", over_samples="mean")
TWO_LAYERS = ((3, 5, 2), (4, 6, 3))


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


@program(
    TWO_LAYERS,
    ("tanh", "identity"),
    HALF,
    [
        ("the weights of the layer a little off", 'err @ upper["W"].T', 'err @ (1.01 * upper["W"]).T'),
        ("the bias's sum missing", '"db": err.sum(0)', '"db": err[0]'),
    ],
)
def list_of_dicts():
    """A list with a dict for each layer, {"W", "b"}; gradients likewise, {"dW", "db"}."""

    def backprop(layers, x, t):
        lower, upper = layers
        h = np.tanh(x @ lower["W"] + lower["b"])
        err = h @ upper["W"] + upper["b"] - t
        back = err @ upper["W"].T * (1 - h * h)
        return [{"dW": x.T @ back, "db": back.sum(0)}, {"dW": h.T @ err, "db": err.sum(0)}]

    return lambda params, x, t: backprop([{"W": w, "b": b} for w, b in params], x, t)


@program(
    TWO_LAYERS,
    ("tanh", "identity"),
    HALF,
    [
        ("the loss's factor for the gradient's", "dZ2 = A2 - y", "dZ2 = 0.5 * (A2 - y)"),
        ("half of the loss", "np.sum(np.square(A2 - y)) / 2", "np.sum(np.square(A2 - y)) / 4"),
    ],
)
def loss_and_four_arrays():
    """return loss, dW1, db1, dW2, db2: one tuple."""

    def loss_and_grads(params, X, y):
        (W1, b1), (W2, b2) = params
        A1 = np.tanh(X.dot(W1) + b1)
        A2 = A1.dot(W2) + b2
        loss = np.sum(np.square(A2 - y)) / 2
        dZ2 = A2 - y
        dW2, db2 = A1.T.dot(dZ2), dZ2.sum(axis=0)
        dZ1 = dZ2.dot(W2.T) * (1 - np.square(A1))
        dW1, db1 = X.T.dot(dZ1), dZ1.sum(axis=0)
        return loss, dW1, db1, dW2, db2

    return loss_and_grads


@program(
    TWO_LAYERS,
    ("tanh", "identity"),
    HALF,
    [
        (
            "the derivative at the output too",
            "deltas = [acts[-1] - t]",
            "deltas = [(acts[-1] - t) * (1 - acts[-1] ** 2)]",
        ),
        ("biases of the layer before", "map(np.sum, deltas, [0, 0])", "map(np.mean, deltas, [0, 0])"),
    ],
)
def lists_of_weights_and_of_biases():
    """Two lists, weights and biases, in and out; the gradients come as zip and map objects."""

    def gradients(params, x, t):
        weights, biases = params
        acts = [x, np.tanh(x @ weights[0] + biases[0])]
        acts.append(acts[1] @ weights[1] + biases[1])
        deltas = [acts[-1] - t]
        deltas.insert(0, deltas[0] @ weights[1].T * (1 - acts[1] ** 2))
        dws = (a.T @ d for a, d in zip(acts, deltas))
        return list(dws), list(map(np.sum, deltas, [0, 0]))

    return gradients


@program(
    TWO_LAYERS,
    ("tanh", "identity"),
    HALF,
    [
        ("the rows of the data in another order", "x.T @ e", "x[::-1].T @ e"),
        ("the error's sign sent back", "d @ w2.T", "-d @ w2.T"),
    ],
)
def iterator_of_pairs():
    """The gradients come as zip(weights, biases), an iterator."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        h = np.tanh(x @ w1 + b1)
        d = h @ w2 + b2 - t
        e = d @ w2.T * (1 - h * h)
        return zip([x.T @ e, h.T @ d], [e.sum(0), d.sum(0)])

    return gradients


@program(
    TWO_LAYERS,
    ("tanh", "identity"),
    HALF,
    [
        ("the parameters unrolled in another order", "w2 = theta[D * H + H :", "w2 = -theta[D * H + H :"),
        ("the mean over samples", "return np.concatenate", "return 1 / len(x) * np.concatenate"),
    ],
)
def one_vector():
    """All parameters in one vector, as optimizers of libraries want them; unrolled and rolled up again around it."""

    def gradient_of(theta, x, t, D, H, K):
        w1 = theta[: D * H].reshape(D, H)
        b1 = theta[D * H : D * H + H]
        w2 = theta[D * H + H : D * H + H + H * K].reshape(H, K)
        b2 = theta[-K:]
        h = np.tanh(x @ w1 + b1)
        d = h @ w2 + b2 - t
        e = d @ w2.T * (1 - h * h)
        return np.concatenate([(x.T @ e).ravel(), e.sum(0), (h.T @ d).ravel(), d.sum(0)])

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        (D, H), K = w1.shape, len(b2)
        g = gradient_of(np.concatenate([w1.ravel(), b1, w2.ravel(), b2]), x, t, D, H, K)
        a, b, c, d = np.split(g, np.cumsum([D * H, H, H * K]))
        return a.reshape(D, H), b, c.reshape(H, K), d

    return gradients


@program(
    TWO_LAYERS,
    ("relu", "identity"),
    HALF,
    [
        ("the loss of the last sample alone", "0.5 * np.sum(error**2)", "0.5 * np.sum(error[-1] ** 2)"),
        ("the first layer's gradient that of another output", "error.dot(self.W2.T)", "error[:, ::-1].dot(self.W2.T)"),
    ],
)
def loss_in_the_dict():
    """A dict {"loss", "grads"}, the gradients in a dict of their own."""

    class Model:
        def __init__(self, params):
            (self.W1, self.b1), (self.W2, self.b2) = params

        def loss_and_grads(self, X, y):
            Z1 = X.dot(self.W1) + self.b1
            A1 = np.maximum(Z1, 0)
            error = A1.dot(self.W2) + self.b2 - y
            dZ1 = np.where(Z1 > 0, error.dot(self.W2.T), 0.0)
            grads = {"W2": A1.T.dot(error), "b2": error.sum(axis=0), "W1": X.T.dot(dZ1), "b1": dZ1.sum(axis=0)}
            return {"loss": 0.5 * np.sum(error**2), "grads": grads}

    return lambda params, X, y: Model(params).loss_and_grads(X, y)
