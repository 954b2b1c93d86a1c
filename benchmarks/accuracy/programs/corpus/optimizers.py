"""Programs that keep something from step to step, and epochs of many steps."""

import numpy as np

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

HALF = Loss("squared_error", scale=0.5)
MEAN = Loss("squared_error", scale=0.5, over_samples="mean")
CROSS_ENTROPY = Loss("categorical_cross_entropy", over_samples="mean")
SIZES = ((3, 5, 2), (4, 6, 3))


@program(
    SIZES,
    ("tanh", "identity"),
    HALF,
    [
        ("the velocity not kept", "v[...] = 0.9 * v - 0.1 * g", "v[...] = -0.1 * g"),
        ("the sign of the velocity", "p += v", "p -= v"),
        ("the weights for the velocity", "0.9 * v - 0.1 * g", "0.9 * p - 0.1 * g"),
    ],
    way="check_update_function",
    rule="momentum",
)
def momentum_in_an_object():
    """Velocities in an object, v = 0.9 v - lr g, p += v, in place; three steps."""

    class Trainer:
        def __init__(self):
            self.velocities = None

        def step(self, params, x, t):
            (w1, b1), (w2, b2) = params
            h = np.tanh(x @ w1 + b1)
            d2 = h @ w2 + b2 - t
            d1 = d2 @ w2.T * (1 - h * h)
            grads = [x.T @ d1, d1.sum(0), h.T @ d2, d2.sum(0)]
            if self.velocities is None:
                self.velocities = [np.zeros_like(g) for g in grads]
            for p, v, g in zip((w1, b1, w2, b2), self.velocities, grads, strict=True):
                v[...] = 0.9 * v - 0.1 * g
                p += v

    return Trainer


@program(
    SIZES,
    ("relu", "softmax"),
    CROSS_ENTROPY,
    [
        ("no correction of the bias of m", "m / (1 - 0.9**k)", "m"),
        ("steps counted from 0", "k = state[2] + 1", "k = state[2] + 2"),
        ("the second moment of the gradient, not its square", "0.001 * g * g", "0.001 * abs(g)"),
    ],
    way="check_update_function",
    rule="adam",
)
def adam_with_a_state():
    """Adam with its state handed in and out: step(params, x, t, state) -> params, state."""

    def step(params, x, t, state):
        (w1, b1), (w2, b2) = params
        z = x @ w1 + b1
        h = z * (z > 0)
        s = h @ w2 + b2
        e = np.exp(s - s.max(1, keepdims=True))
        d2 = (e / e.sum(1, keepdims=True) - t) / len(x)
        d1 = (d2 @ w2.T) * (z > 0)
        leaves = [w1, b1, w2, b2]
        grads = [x.T @ d1, d1.sum(0), h.T @ d2, d2.sum(0)]
        if state is None:
            state = [np.zeros_like(p) for p in leaves], [np.zeros_like(p) for p in leaves], 0
        k = state[2] + 1
        ms = [0.9 * m + 0.1 * g for m, g in zip(state[0], grads, strict=True)]
        vs = [0.999 * v + 0.001 * g * g for v, g in zip(state[1], grads, strict=True)]
        w1, b1, w2, b2 = [
            p - 0.001 * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
            for p, m, v in zip(leaves, ms, vs, strict=True)
        ]
        return [(w1, b1), (w2, b2)], (ms, vs, k)

    return step


@program(
    SIZES,
    ("tanh", "identity"),
    HALF,
    [
        ("the root left out", "np.sqrt(self.cache[key])", "self.cache[key]"),
        ("the averages' weights exchanged", "0.9 * self.cache[key] + 0.1 * g**2", "0.1 * self.cache[key] + 0.9 * g**2"),
    ],
    way="check_update_function",
    rule="rmsprop",
)
def rmsprop_with_dicts():
    """RMSprop in a model that holds W1, b1, … in a dict and a cache beside it."""

    class Model:
        def __init__(self, params):
            self.p = {f"{k}{i + 1}": a for i, layer in enumerate(params) for k, a in zip("Wb", layer, strict=True)}
            self.cache = {key: np.zeros_like(a) for key, a in self.p.items()}

        def step(self, x, t):
            h = np.tanh(x @ self.p["W1"] + self.p["b1"])
            d2 = h @ self.p["W2"] + self.p["b2"] - t
            d1 = d2 @ self.p["W2"].T * (1 - h * h)
            grads = {"W1": x.T @ d1, "b1": d1.sum(0), "W2": h.T @ d2, "b2": d2.sum(0)}
            for key, g in grads.items():
                self.cache[key] = 0.9 * self.cache[key] + 0.1 * g**2
                self.p[key] = self.p[key] - 0.001 * g / (np.sqrt(self.cache[key]) + 1e-8)

        @property
        def params(self):
            return [(self.p["W1"], self.p["b1"]), (self.p["W2"], self.p["b2"])]

    return Model


@program(
    SIZES,
    "sigmoid",
    HALF,
    [
        (
            "the hidden error by weights already changed",
            "back = w2 @ d2",
            "w2 -= rate * np.outer(h, d2)\n            back = w2 @ d2",
        ),
        ("the last sample never seen", "range(len(x))", "range(max(1, len(x) - 1))"),
        ("the derivative of the hidden units left out", "back * h * (1 - h)", "back"),
    ],
    way="check_update_function",
    batch_size=1,
)
def online_epoch():
    """An epoch of online steps, in place: after each sample the weights change."""

    rate = 0.1

    def epoch(params, x, t):
        (w1, b1), (w2, b2) = params
        for i in range(len(x)):
            h = 1 / (1 + np.exp(-(x[i] @ w1 + b1)))
            o = 1 / (1 + np.exp(-(h @ w2 + b2)))
            d2 = (o - t[i]) * o * (1 - o)
            back = w2 @ d2
            d1 = back * h * (1 - h)
            w2 -= rate * np.outer(h, d2)
            b2 -= rate * d2
            w1 -= rate * np.outer(x[i], d1)
            b1 -= rate * d1

    return epoch


@program(
    SIZES,
    "sigmoid",
    MEAN,
    [
        ("the weights of the last mini-batch divided by two", "lr / len(xb) * dw", "lr / 2 * dw"),
        ("a mini-batch skipped", "range(0, len(x), 2)", "range(0, len(x) - 2, 2)"),
    ],
    way="check_update_function",
    batch_size=2,
)
def mini_batches():
    """An epoch of mini-batches of two samples, the last one smaller; new parameters come back."""

    lr = 0.1

    def epoch(params, x, t):
        weights, biases = [list(each) for each in zip(*params, strict=True)]
        for start in range(0, len(x), 2):
            xb, tb = x[start : start + 2], t[start : start + 2]
            acts = [xb]
            for w, b in zip(weights, biases, strict=True):
                acts.append(1 / (1 + np.exp(-(acts[-1] @ w + b))))
            delta = (acts[-1] - tb) * acts[-1] * (1 - acts[-1])
            for k in range(len(weights) - 1, -1, -1):
                dw, db = acts[k].T @ delta, delta.sum(0)
                delta = delta @ weights[k].T * acts[k] * (1 - acts[k])
                weights[k] = weights[k] - lr / len(xb) * dw
                biases[k] = biases[k] - lr / len(xb) * db
        return list(zip(weights, biases, strict=True))

    return epoch
