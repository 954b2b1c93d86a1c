"""Samples as columns, weights (out, in), biases (n, 1): courses and books."""

import numpy as np

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

LOGISTIC = Loss("binary_cross_entropy", over_samples="mean")
HALF = Loss("squared_error", scale=0.5)
QUADRATIC = Loss("squared_error", scale=0.5, over_samples="mean")
CROSS_ENTROPY = Loss("categorical_cross_entropy", over_samples="mean")


@program(
    [(3, 5, 1), (2, 4, 1)],
    ("tanh", "sigmoid"),
    LOGISTIC,
    [
        ("the bias summed to a number", "np.sum(dZ1, axis=1, keepdims=True)", "np.sum(dZ1, keepdims=True)"),
        ("1 - A instead of 1 - A²", "1 - np.power(A1, 2)", "1 - A1"),
        ("the hidden layer not divided by m", "(1 / m) * np.dot(dZ1, X.T)", "np.dot(dZ1, X.T)"),
    ],
    layout="columns",
)
def course_of_one_hidden_layer():
    """A course's notebook: one hidden layer, parameters and gradients in dicts, the layout declared."""

    def forward_propagation(X, parameters):
        Z1 = np.dot(parameters["W1"], X) + parameters["b1"]
        A1 = np.tanh(Z1)
        Z2 = np.dot(parameters["W2"], A1) + parameters["b2"]
        A2 = 1 / (1 + np.exp(-Z2))
        return {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}

    def backward_propagation(parameters, X, Y):
        m, b1 = X.shape[1], parameters["b1"]
        assert b1.shape == (len(b1), 1)
        cache = forward_propagation(X, parameters)
        A1, A2 = cache["A1"], cache["A2"]
        dZ2 = A2 - Y
        dW2 = (1 / m) * np.dot(dZ2, A1.T)
        db2 = (1 / m) * np.sum(dZ2, axis=1, keepdims=True)
        dZ1 = np.dot(parameters["W2"].T, dZ2) * (1 - np.power(A1, 2))
        dW1 = (1 / m) * np.dot(dZ1, X.T)
        db1 = (1 / m) * np.sum(dZ1, axis=1, keepdims=True)
        return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}

    return backward_propagation


@program(
    [(3, 5, 4, 1), (2, 6, 3, 1)],
    ("relu", "relu", "sigmoid"),
    LOGISTIC,
    [
        ("m taken from the wrong axis", "m = A_prev.shape[1]", "m = A_prev.shape[0]"),
        ("the derivative of the sigmoid left out", "dAL * AL * (1 - AL)", "dAL"),
        ("the mask of relu left out", "dZ[Z <= 0] = 0", "dZ[Z <= 0] *= 1"),
    ],
)
def course_of_many_layers():
    """A course's notebook: any depth, caches, dAL = -(Y / AL - (1 - Y) / (1 - AL)); nothing declared."""

    def linear_backward(dZ, cache):
        A_prev, W, _ = cache
        m = A_prev.shape[1]
        return np.dot(W.T, dZ), np.dot(dZ, A_prev.T) / m, np.sum(dZ, axis=1, keepdims=True) / m

    def model_backward(parameters, X, Y):
        depth, caches, A = len(parameters) // 2, [], X
        for layer in range(1, depth + 1):
            W, b = parameters["W" + str(layer)], parameters["b" + str(layer)]
            Z = np.dot(W, A) + b
            caches.append(((A, W, b), Z))
            A = np.maximum(0, Z) if layer < depth else 1 / (1 + np.exp(-Z))
        AL, grads = A, {}
        dAL = -(np.divide(Y, AL) - np.divide(1 - Y, 1 - AL))
        dZ = dAL * AL * (1 - AL)
        for layer in reversed(range(1, depth + 1)):
            linear_cache, Z = caches[layer - 1]
            if layer < depth:
                dZ = np.array(dA, copy=True)
                dZ[Z <= 0] = 0
            dA, dW, db = linear_backward(dZ, linear_cache)
            grads["dW" + str(layer)], grads["db" + str(layer)] = dW, db
        return grads

    return model_backward


@program(
    [(4, 6, 3), (3, 6, 4)],
    ("relu", "softmax"),
    CROSS_ENTROPY,
    [
        ("a softmax over the samples", "E / E.sum(axis=0)", "E / E.sum(axis=1, keepdims=True)"),
        ("one number for the biases", "db2 = dZ2.sum(axis=1)[:, None] / m", "db2 = np.sum(dZ2) / m"),
    ],
)
def digits_from_a_video():
    """W1, b1, W2, b2 one after another, relu and softmax over columns, one-hot columns; a tuple of gradients."""

    def back_prop(params, X, one_hot_Y):
        W1, b1, W2, b2 = params
        m = X.shape[1]
        Z1 = W1.dot(X) + b1
        A1 = np.maximum(Z1, 0)
        Z2 = W2.dot(A1) + b2
        E = np.exp(Z2 - Z2.max(axis=0))
        A2 = E / E.sum(axis=0)
        dZ2 = A2 - one_hot_Y
        dW2 = 1 / m * dZ2.dot(A1.T)
        db2 = dZ2.sum(axis=1)[:, None] / m
        dZ1 = W2.T.dot(dZ2) * (Z1 > 0)
        dW1 = 1 / m * dZ1.dot(X.T)
        db1 = dZ1.sum(axis=1)[:, None] / m
        return dW1, db1, dW2, db2

    return back_prop


@program(
    [(3, 5, 2), (2, 4, 6, 3)],
    "sigmoid",
    QUADRATIC,
    [
        ("one derivative for the whole layer", "s = sigmoid(zs[-k])", "s = sigmoid(zs[-k].mean())"),
        ("the biases of the last sample alone", "nb + dnb for nb", "dnb for nb"),
        ("the mini-batch's size left out", "[nw / len(batch) for nw in nabla_w]", "nabla_w"),
    ],
    layout="columns",
)
def book_with_lists_of_columns():
    """A book's class: one column at a time, indices from the end; nabla_b and nabla_w come back, in this order."""

    def sigmoid(z):
        return 1.0 / (1.0 + np.exp(-z))

    class Network:
        def __init__(self, params):
            half = len(params) // 2
            self.weights = [params[f"W{i + 1}"] for i in range(half)]
            self.biases = [params[f"b{i + 1}"] for i in range(half)]

        def backprop(self, x, y):
            nabla_b, nabla_w = [None] * len(self.biases), [None] * len(self.weights)
            activation, activations, zs = x, [x], []
            for b, w in zip(self.biases, self.weights, strict=True):
                zs.append(np.dot(w, activation) + b)
                activation = sigmoid(zs[-1])
                activations.append(activation)
            delta = (activations[-1] - y) * activation * (1 - activation)
            nabla_b[-1], nabla_w[-1] = delta, np.dot(delta, activations[-2].transpose())
            for k in range(2, len(self.weights) + 1):
                s = sigmoid(zs[-k])
                delta = np.dot(self.weights[-k + 1].transpose(), delta) * (s * (1 - s))
                nabla_b[-k], nabla_w[-k] = delta, np.dot(delta, activations[-k - 1].transpose())
            return nabla_b, nabla_w

        def gradient(self, batch):
            nabla_b = [np.zeros(b.shape) for b in self.biases]
            nabla_w = [np.zeros(w.shape) for w in self.weights]
            for x, y in batch:
                delta_b, delta_w = self.backprop(x, y)
                nabla_b = [nb + dnb for nb, dnb in zip(nabla_b, delta_b, strict=True)]
                nabla_w = [nw + dnw for nw, dnw in zip(nabla_w, delta_w, strict=True)]
            return [nb / len(batch) for nb in nabla_b], [nw / len(batch) for nw in nabla_w]

    def gradients(params, x, y):
        batch = [(x[:, [i]], y[:, [i]]) for i in range(x.shape[1])]
        return Network(params).gradient(batch)  # nabla_b, nabla_w

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    ("tanh", "identity"),
    HALF,
    [
        ("the derivative at the wrong place", "1 - H**2", "1 - np.tanh(H) ** 2"),
        ("the sum over the columns forgotten", "g.sum(1, keepdims=True)", "g[:, :1]"),
    ],
)
def pairs_of_columns():
    """Pairs (W, b) with W (out, in), b (n, 1), and samples as columns; nothing declared."""

    def gradients(params, X, T):
        (W, b), (V, c) = params
        if b.ndim != 2 or X.shape[0] != W.shape[1]:
            raise ValueError("expected columns")
        H = np.tanh(W @ X + b)
        e = V @ H + c - T
        g = (e.T @ V).T * (1 - H**2)
        return [(g @ X.T, g.sum(1, keepdims=True)), (e @ H.T, e.sum(1, keepdims=True))]

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    "sigmoid",
    HALF,
    [
        ("the output's derivative left out", "(A2 - Y) * A2 * (1 - A2)", "A2 - Y"),
        ("the sign of the first layer's weights", '"dW1": delta1', '"dW1": -delta1'),
    ],
    way="check",
    layout="columns",
)
def script_with_columns():
    """A script with its own W1, b1, X and Y, samples as columns: one case, its gradients handed over as a dict."""

    def script(network, rng):
        n_x, n_h, n_y = network.sizes
        W1, b1 = rng.standard_normal((n_h, n_x)), rng.standard_normal((n_h, 1))
        W2, b2 = rng.standard_normal((n_y, n_h)), rng.standard_normal((n_y, 1))
        X, Y = rng.standard_normal((n_x, 7)), rng.random((n_y, 7))
        A1 = 1 / (1 + np.exp(-(W1 @ X + b1)))
        A2 = 1 / (1 + np.exp(-(W2 @ A1 + b2)))
        delta2 = (A2 - Y) * A2 * (1 - A2)
        delta1 = (W2.T @ delta2) * A1 * (1 - A1)
        grads = {
            "dW1": delta1 @ X.T,
            "db1": np.sum(delta1, axis=1, keepdims=True),
            "dW2": delta2 @ A1.T,
            "db2": np.sum(delta2, axis=1, keepdims=True),
        }
        return {"W1": W1, "b1": b1, "W2": W2, "b2": b2}, X, Y, grads

    return script


@program(
    [(4, 6, 3), (3, 6, 4)],
    ("tanh", "softmax"),
    CROSS_ENTROPY,
    [
        ("the labels of other samples", "P[y, np.arange(m)] -= 1", "P[y, np.arange(m)[::-1]] -= 1"),
        ("the mean over classes too", "P /= m", "P /= P.size"),
    ],
    targets="labels",
)
def columns_and_labels():
    """Samples as columns, labels as a vector of integers, a list W1, b1, W2, b2."""

    def gradients(params, X, y):
        W1, b1, W2, b2 = params
        m = X.shape[1]
        if y.shape != (m,):
            raise ValueError("expected a label for each column")
        H = np.tanh(W1 @ X + b1.reshape(-1, 1))
        S = W2 @ H + b2.reshape(-1, 1)
        P = np.exp(S - S.max(axis=0, keepdims=True))
        P /= P.sum(axis=0, keepdims=True)
        P[y, np.arange(m)] -= 1
        P /= m
        D = (W2.T @ P) * (1 - H * H)
        return [D @ X.T, D.sum(axis=1).reshape(b1.shape), P @ H.T, P.sum(axis=1).reshape(b2.shape)]

    return gradients


@program(
    [(3, 5, 1), (4, 6, 3)],
    "sigmoid",
    LOGISTIC,
    [
        ("the cost summed over samples", "/ a.shape[1])", "* 1)"),
        ("the quadratic cost's error", "delta = (a - Y) / m", "delta = (a - Y) * a * (1 - a) / m"),
    ],
)
def cost_with_nan_to_num():
    """A cost with np.nan_to_num around the logarithms; cost and gradients come back, samples are columns."""

    def cost(a, y):
        return np.sum(np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a)) / a.shape[1])

    def gradients(params, X, Y):
        W1, b1, W2, b2 = [params[k] for k in ("W1", "b1", "W2", "b2")]
        m = X.shape[1]
        h = 1 / (1 + np.exp(-(W1 @ X + b1.reshape(-1, 1))))
        a = 1 / (1 + np.exp(-(W2 @ h + b2.reshape(-1, 1))))
        delta = (a - Y) / m
        back = W2.T @ delta * h * (1 - h)
        grads = {"W1": back @ X.T, "b1": back.sum(1).reshape(b1.shape), "W2": delta @ h.T}
        return cost(a, Y), grads | {"b2": delta.sum(1).reshape(b2.shape)}

    return gradients
