"""Classifiers, samples as rows: labels, one-hot rows, softmax and cross-entropy in the ways that people write them."""

import numpy as np
from scipy.special import expit, log_softmax

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

CROSS_ENTROPY = Loss("categorical_cross_entropy", over_samples="mean")
ENTROPY_OF_LOGITS = Loss("softmax_cross_entropy", over_samples="mean")
BINARY = Loss("binary_cross_entropy", over_samples="mean")
THREE_CLASSES = ((4, 6, 3), (3, 6, 4))
ONE_OUTPUT = ((3, 5, 1), (2, 4, 1))


@program(
    THREE_CLASSES,
    ("relu", "softmax"),
    CROSS_ENTROPY,
    [
        ("not divided by n", "(p - y) / len(x)", "p - y"),
        ("the derivative of the softmax once more", "(p - y) / len(x)", "(p - y) * p * (1 - p) / len(x)"),
        ("the mask at the wrong place", "* (h > 0)", "* (x @ w1 > 0)"),
    ],
)
def textbook_softmax():
    """Softmax and cross-entropy with one-hot rows: p - y."""

    def gradients(params, x, y):
        (w1, b1), (w2, b2) = params
        h = np.maximum(x @ w1 + b1, 0)
        z = h @ w2 + b2
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        d = (p - y) / len(x)
        dh = (d @ w2.T) * (h > 0)
        return [(x.T @ dh, dh.sum(0)), (h.T @ d, d.sum(0))]

    return gradients


@program(
    [(3, 4, 6, 5), (4, 7, 6, 3)],
    ("relu", "relu", "softmax"),
    Loss("categorical_cross_entropy", over_samples="mean", l2=0.05),
    [
        ("the penalty with a factor 2", "+= self.reg * self.params", "+= 2 * self.reg * self.params"),
        ("the class of the first row for all", "dout[np.arange(N), y] -= 1", "dout[np.arange(N), y[0]] -= 1"),
        (
            "the penalty on biases too",
            '.reshape(self.params[f"b{i}"].size)',
            ' + self.reg * self.params[f"b{i}"]',
        ),
    ],
    targets="labels",
)
def dictionary_and_labels():
    """A class with a dict W1, b1, …, integer labels, a penalty reg / 2 ΣW²; loss and a dict of gradients come back."""

    class Net:
        def __init__(self, params, reg=0.05):
            self.params, self.reg, self.depth = params, reg, len(params) // 2

        def loss(self, X, y):
            N, grads, caches, out = X.shape[0], {}, [], X
            for i in range(1, self.depth + 1):
                caches.append(out)
                out = out.dot(self.params[f"W{i}"]) + self.params[f"b{i}"]
                if i < self.depth:
                    out = np.maximum(0, out)
            shifted = out - np.max(out, axis=1, keepdims=True)
            log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
            loss = -np.mean(log_probs[np.arange(N), y])
            dout = np.exp(log_probs)
            dout[np.arange(N), y] -= 1
            dout /= N
            for i in range(self.depth, 0, -1):
                loss += 0.5 * self.reg * np.sum(self.params[f"W{i}"] ** 2)
                grads[f"W{i}"] = caches[i - 1].T.dot(dout)
                grads[f"W{i}"] += self.reg * self.params[f"W{i}"]
                grads[f"b{i}"] = dout.sum(axis=0).reshape(self.params[f"b{i}"].size)
                dout = dout.dot(self.params[f"W{i}"].T) * (caches[i - 1] > 0)
            return loss, grads

    def gradients(params, X, y):
        return Net(params).loss(X, y)

    return gradients


@program(
    THREE_CLASSES,
    ("tanh", "softmax"),
    CROSS_ENTROPY,
    [
        ("only the diagonal of the Jacobian", "np.diag(p) - np.outer(p, p)", "np.diag(p * (1 - p))"),
        ("labels counted from 1", "zip(x, labels, strict=True)", "zip(x, labels - 1, strict=True)"),
    ],
    targets="labels",
)
def jacobian_of_each_sample():
    """The Jacobian of the softmax, sample after sample, and -1/p at the label."""

    def gradients(params, x, labels):
        (w1, b1), (w2, b2) = params
        total = [[np.zeros(w.shape), np.zeros(b.shape)] for w, b in params]
        for v, c in zip(x, labels, strict=True):
            h = np.tanh(v @ w1 + b1)
            s = h @ w2 + b2
            p = np.exp(s - s.max())
            p = p / p.sum()
            dp = np.zeros_like(p)
            dp[int(c)] = -1 / p[int(c)] if p[int(c)] > 0 else 0
            ds = (np.diag(p) - np.outer(p, p)) @ dp
            dh = w2 @ ds * (1 - h**2)
            for layer, (a, d) in zip(total, [(v, dh), (h, ds)], strict=True):
                layer[0] += np.outer(a, d) / len(x)
                layer[1] += d / len(x)
        return [tuple(layer) for layer in total]

    return gradients


@program(
    THREE_CLASSES,
    ("tanh", "identity"),
    ENTROPY_OF_LOGITS,
    [
        ("the mean over all elements", "/ len(logits)", "/ logits.size"),
        ("the labels in reverse order", "np.eye(k)[labels]", "np.eye(k)[labels][::-1]"),
    ],
    targets="labels",
)
def logits_and_labels():
    """From logits: log_softmax, labels made one-hot by np.eye(k)[labels]."""

    def gradients(params, x, labels):
        (w1, b1), (w2, b2) = params
        hidden = np.tanh(x @ w1 + b1)
        logits = hidden @ w2 + b2
        k = logits.shape[1]
        d = (np.exp(log_softmax(logits, axis=1)) - np.eye(k)[labels]) / len(logits)
        dz = (d @ w2.T) * (1 - hidden * hidden)
        return [(x.T @ dz, dz.sum(0)), (hidden.T @ d, d.sum(0))]

    return gradients


@program(
    THREE_CLASSES,
    ("relu", "softmax"),
    CROSS_ENTROPY,
    [
        ("the gradient not divided by n", "dscores = dscores / m", "dscores = dscores / 1"),
        ("argmax of the probabilities for that of the targets", "t.argmax(axis=1)", "p.argmax(axis=1)"),
    ],
)
def argmax_of_one_hot():
    """One-hot rows turned back into labels by argmax; gradients and loss, in this order."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        m = x.shape[0]
        h = np.maximum(0, x.dot(w1) + b1)
        scores = h.dot(w2) + b2
        scores -= scores.max(axis=1)[:, None]
        p = np.exp(scores) / np.exp(scores).sum(axis=1)[:, None]
        labels = t.argmax(axis=1)
        cost = -np.sum(scores[range(m), labels] - np.log(np.exp(scores).sum(axis=1))) / m
        dscores = p.copy()
        dscores[range(m), labels] -= 1
        dscores = dscores / m
        dh = np.where(h > 0, dscores.dot(w2.T), 0)
        return [(x.T.dot(dh), dh.sum(0)), (h.T.dot(dscores), dscores.sum(0))], cost

    return gradients


@program(
    ONE_OUTPUT,
    ("tanh", "sigmoid"),
    BINARY,
    [
        ("the part of (1 - y) left out", "+ (1 - y) / (1 - p + 1e-12)", ""),
        ("y and p exchanged in the loss", "-y / (p + 1e-12)", "-p / (y + 1e-12)"),
    ],
)
def epsilon_against_division_by_zero():
    """The derivative of the cross-entropy with 1e-12 in its denominators, times p (1 - p)."""

    def gradients(params, x, y):
        (w1, b1), (w2, b2) = params
        a = np.tanh(x @ w1 + b1)
        p = 1.0 / (1.0 + np.exp(-(a @ w2 + b2)))
        loss = -np.mean(y * np.log(p + 1e-12) + (1 - y) * np.log(1 - p + 1e-12))
        dp = -y / (p + 1e-12) + (1 - y) / (1 - p + 1e-12)
        dz = dp * p * (1 - p) / len(x)
        da = (dz @ w2.T) * (1 - a**2)
        return loss, [(x.T @ da, da.sum(axis=0)), (a.T @ dz, dz.sum(axis=0))]

    return gradients


@program(
    ONE_OUTPUT,
    ("sigmoid", "sigmoid"),
    BINARY,
    [
        ("the derivative of the sigmoid doubled", "dp * (p * (1 - p))", "dp * (2 * p * (1 - p))"),
        ("the loss summed, not averaged", "np.mean(", "np.sum("),
    ],
)
def clipped_probabilities():
    """Probabilities clipped to [1e-15, 1 - 1e-15] before they are divided by."""

    def gradients(params, x, y):
        (w1, b1), (w2, b2) = params
        a = expit(x @ w1 + b1)
        p = np.clip(expit(a @ w2 + b2), 1e-15, 1 - 1e-15)
        loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
        dp = (p - y) / (p - p * p)
        dz = dp * (p * (1 - p)) / len(x)
        da = (dz @ w2.T) * a * (1 - a)
        return loss, [(x.T @ da, da.sum(axis=0)), (a.T @ dz, dz.sum(axis=0))]

    return gradients


@program(
    THREE_CLASSES,
    ("tanh", "softmax"),
    CROSS_ENTROPY,
    [
        ("another base of the logarithm", "np.sum(t * np.log(p", "np.sum(t * np.log2(p"),
        ("the gradient of the sum", "d = (p - t) / n", "d = p - t"),
    ],
)
def epsilon_in_the_reported_loss():
    """The loss is reported with log(p + 1e-8), the gradient is p - t."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        n = len(x)
        h = np.tanh(x @ w1 + b1)
        z = h @ w2 + b2
        e = np.exp(z - np.max(z, axis=1, keepdims=True))
        p = e / np.sum(e, axis=1, keepdims=True)
        loss = -np.sum(t * np.log(p + 1e-8)) / n
        d = (p - t) / n
        dh = d @ w2.T * (1 - h**2)
        return loss, [(x.T @ dh, dh.sum(0)), (h.T @ d, d.sum(0))]

    return gradients


@program(
    ONE_OUTPUT,
    ("relu", "sigmoid"),
    BINARY,
    [
        ("a column minus a row", "(p - y)[:, None] / len(y)", "(p[:, None] - y).mean(1, keepdims=True) / len(y)"),
        ("a threshold of 1/2 for the mask", "(hidden > 0)", "(hidden > 0.5)"),
    ],
    targets="labels",
)
def labels_of_two_classes():
    """One output, labels 0 and 1 as a vector (n,); p is flattened to compare."""

    def gradients(params, x, y):
        (w1, b1), (w2, b2) = params
        hidden = np.maximum(x @ w1 + b1, 0)
        p = expit(hidden @ w2 + b2).ravel()
        d = (p - y)[:, None] / len(y)
        dh = (d @ w2.T) * (hidden > 0)
        return [(x.T @ dh, dh.sum(0)), (hidden.T @ d, d.sum(0))]

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    ("tanh", "identity"),
    Loss("sigmoid_cross_entropy"),
    [
        ("the branch for negative logits wrong", "e / (1 + e)", "1 / (1 + e)"),
        ("averaged over the outputs", "delta = p - t", "delta = (p - t) / t.shape[1]"),
    ],
)
def stable_sigmoid():
    """The sigmoid in two branches, by the sign of the logit; several outputs, each a question of its own."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        h = np.tanh(x @ w1 + b1)
        z = h @ w2 + b2
        e = np.exp(-np.abs(z))
        p = np.where(z >= 0, 1 / (1 + np.exp(-np.abs(z))), e / (1 + e))
        delta = p - t
        dh = (delta @ w2.T) * (1 - h * h)
        return [(x.T @ dh, dh.sum(0)), (h.T @ delta, delta.sum(0))]

    return gradients


@program(
    THREE_CLASSES,
    ("leaky_relu", "softmax"),
    CROSS_ENTROPY,
    [
        ("relu's derivative for leaky relu's", "np.where(z1 > 0, 1.0, 0.01)", "np.where(z1 > 0, 1.0, 0.0)"),
        ("the sum over samples in the bias left out", "back.sum(0)", "back[-1]"),
    ],
)
def epsilon_in_the_softmax():
    """A softmax with 1e-8 in its denominator; leaky relu by np.where."""

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        z1 = x @ w1 + b1
        a1 = np.where(z1 > 0, z1, 0.01 * z1)
        z2 = a1 @ w2 + b2
        e = np.exp(z2 - z2.max(axis=1, keepdims=True))
        p = e / (e.sum(axis=1, keepdims=True) + 1e-8)
        delta = (p - t) / t.shape[0]
        back = (delta @ w2.T) * np.where(z1 > 0, 1.0, 0.01)
        return [(x.T @ back, back.sum(0)), (a1.T @ delta, delta.sum(0))]

    return gradients


@program(
    THREE_CLASSES,
    ("tanh", "softmax"),
    CROSS_ENTROPY,
    [
        ("the labels shifted by one", "P[np.arange(len(y)), y] -= 1", "P[np.arange(len(y)), y - 1] -= 1"),
        ("the hidden layer not averaged", "dW1, db1 = X.T @ dH", "dW1, db1 = len(y) * X.T @ dH"),
    ],
    way="check",
)
def script_with_labels():
    """A script with its own data in float32 and integer labels; one case, nothing declared."""

    def script(network, rng):
        d, k, c = network.sizes
        X, y = rng.normal(size=(8, d)).astype(np.float32), rng.integers(0, c, 8)
        W1, b1 = rng.normal(size=(d, k)) / np.sqrt(d), np.zeros((1, k))
        W2, b2 = rng.normal(size=(k, c)) / np.sqrt(k), np.zeros((1, c))
        H = np.tanh(X @ W1 + b1)
        P = np.exp(H @ W2 + b2)
        P = P / P.sum(1, keepdims=True)
        P[np.arange(len(y)), y] -= 1
        P /= len(y)
        dW2, db2 = H.T @ P, P.sum(0, keepdims=True)
        dH = P @ W2.T * (1 - H * H)
        dW1, db1 = X.T @ dH, dH.sum(0, keepdims=True)
        return [(W1, b1), (W2, b2)], X, y, [(dW1, db1), (dW2, db2)]

    return script
