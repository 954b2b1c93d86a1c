"""Programs that give no gradients: they change the parameters, in a step or in an epoch of steps."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

HALF = Loss("squared_error", scale=0.5)
MEAN = Loss("squared_error", over_samples="mean")
LOGISTIC = Loss("binary_cross_entropy", over_samples="mean")
CROSS_ENTROPY = Loss("softmax_cross_entropy", over_samples="mean")
SIZES = ((3, 5, 2), (4, 6, 3))


@program(
    SIZES,
    ("tanh", "identity"),
    HALF,
    [
        ("weights changed before they are used", "d1 = (d2 @ w2.T)", "w2 -= lr * h.T @ d2\n        d1 = (d2 @ w2.T)"),
        ("the step upwards", "w1 -= lr", "w1 += lr"),
        ("biases never changed", "b2 -= lr * d2.sum(axis=0)", "b2 -= 0 * d2.sum(axis=0)"),
    ],
    way="check_update_function",
)
def in_place():
    """W -= lr * dW, in place; nothing is returned."""

    lr = 0.1

    def step(params, x, t):
        (w1, b1), (w2, b2) = params
        h = np.tanh(x @ w1 + b1)
        d2 = h @ w2 + b2 - t
        d1 = (d2 @ w2.T) * (1 - h * h)
        w2 -= lr * h.T @ d2
        b2 -= lr * d2.sum(axis=0)
        w1 -= lr * x.T @ d1
        b1 -= lr * d1.sum(axis=0)

    return step


@program(
    [(3, 4, 1), (2, 5, 3)],
    "sigmoid",
    HALF,
    [
        ("the error's sign", "l2_error = y - l2", "l2_error = l2 - y"),
        ("the weights changed too early", "l1_delta = ", "syn1 += 0.1 * l1.T.dot(l2_delta)\n        l1_delta = "),
    ],
    way="check_update_function",
    bias=False,
)
def few_lines_without_biases():
    """A few lines: syn += l.T.dot(delta), error y - l, no biases."""

    def step(params, X, y):
        syn0, syn1 = params
        l1 = 1 / (1 + np.exp(-(np.dot(X, syn0))))
        l2 = 1 / (1 + np.exp(-(np.dot(l1, syn1))))
        l2_error = y - l2
        l2_delta = l2_error * (l2 * (1 - l2))
        l1_delta = l2_delta.dot(syn1.T) * (l1 * (1 - l1))
        syn1 += 0.1 * l1.T.dot(l2_delta)
        syn0 += 0.1 * X.T.dot(l1_delta)
        return [syn0, syn1]

    return step


@program(
    SIZES,
    "sigmoid",
    HALF,
    [
        ("slope of the sums, not of the outputs", "derivatives_sigmoid(hidden)", "derivatives_sigmoid(hidden_in)"),
        (
            "the bias's mean for its sum",
            "bout += np.sum(d_output, axis=0, keepdims=True)",
            "bout += np.mean(d_output, axis=0, keepdims=True)",
        ),
    ],
    way="check_update",
)
def tutorial_in_two_languages():
    """A tutorial's script with its data: E = y - output, slopes, wout += …, biases (1, n)."""

    def derivatives_sigmoid(x):
        return x * (1 - x)

    def script(network, rng):
        inputs, hidden_units, outputs = network.sizes
        X, y = rng.random((6, inputs)), rng.random((6, outputs))
        wh, bh = rng.uniform(size=(inputs, hidden_units)), rng.uniform(size=(1, hidden_units))
        wout, bout = rng.uniform(size=(hidden_units, outputs)), rng.uniform(size=(1, outputs))
        before, lr = [(wh.copy(), bh.copy()), (wout.copy(), bout.copy())], 0.1
        hidden_in = X.dot(wh) + bh
        hidden = 1 / (1 + np.exp(-hidden_in))
        output = 1 / (1 + np.exp(-(hidden.dot(wout) + bout)))
        E = y - output
        d_output = E * derivatives_sigmoid(output)
        d_hidden = d_output.dot(wout.T) * derivatives_sigmoid(hidden)
        wout += hidden.T.dot(d_output) * lr
        d_output = d_output * lr
        bout += np.sum(d_output, axis=0, keepdims=True)
        wh += X.T.dot(d_hidden) * lr
        bh += np.sum(d_hidden, axis=0, keepdims=True) * lr
        return before, X, y, [(wh, bh), (wout, bout)], lr

    return script


@program(
    [(3, 5, 2), (4, 6, 3)],
    "sigmoid",
    HALF,
    [
        ("deltas from weights already changed", "backward(layers, target)\n", "backward(layers, target, 0.1)\n"),
        ("the derivative left out at the output", 'error * n["out"] * (1 - n["out"])', "error"),
    ],
    way="check_update",
    layout={"weights": "out_in", "bias": "last_row"},
)
def neurons_online():
    """Neurons as dicts, weights with the bias last, an update after each sample; a script with its own data."""

    def forward(layers, row):
        for layer in layers:
            for n in layer:
                n["in"] = row
                z = sum(w * v for w, v in zip(n["w"], row, strict=False)) + n["w"][-1]
                n["out"] = 1 / (1 + math.exp(-z))
            row = [n["out"] for n in layer]

    def backward(layers, target, early=0.0):
        for k in reversed(range(len(layers))):
            for j, n in enumerate(layers[k]):
                error = (
                    n["out"] - target[j] if k == len(layers) - 1 else sum(m["w"][j] * m["delta"] for m in layers[k + 1])
                )
                n["delta"] = error * n["out"] * (1 - n["out"])
            for n in layers[k]:
                if early:
                    n["w"] = [w - early * n["delta"] * v for w, v in zip(n["w"], [*n["in"], 1], strict=True)]

    def script(network, rng):
        layers = [
            [{"w": list(rng.normal(size=fan_in + 1))} for _ in range(fan_out)]
            for fan_in, fan_out in zip(network.sizes, network.sizes[1:], strict=False)
        ]
        data = [(list(rng.normal(size=network.sizes[0])), list(rng.random(network.sizes[-1]))) for _ in range(4)]
        before = [[list(n["w"]) for n in layer] for layer in layers]
        for row, target in data:
            forward(layers, row)
            backward(layers, target)
            for layer in layers:
                for n in layer:
                    n["w"] = [w - 0.1 * n["delta"] * v for w, v in zip(n["w"], [*n["in"], 1], strict=True)]
        after = [[n["w"] for n in layer] for layer in layers]
        return before, [row for row, _ in data], [target for _, target in data], after, 0.1

    return script


@program(
    SIZES,
    ("relu", "identity"),
    MEAN,
    [
        ("the rate twice", "self.optimizer.step(dw, db)", "self.optimizer.step(0.1 * dw, 0.1 * db)"),
        ("divided by the mini-batch twice", "delta = 2 * (out - y) / len(y)", "delta = 2 * (out - y) / len(y) ** 2"),
    ],
    way="check_update_function",
)
def layers_that_train_themselves():
    """Each layer's backward changes its own weights by an optimizer object; they are read afterwards."""

    class SGD:
        def __init__(self, layer, lr=0.1):
            self.layer, self.lr = layer, lr

        def step(self, dw, db):
            self.layer.w = self.layer.w - self.lr * dw
            self.layer.b = self.layer.b - self.lr * db

    class Dense:
        def __init__(self, w, b, is_last):
            self.w, self.b, self.is_last = w, b, is_last
            self.optimizer = SGD(self)

        def forward(self, x):
            self.x, self.z = x, x @ self.w + self.b
            return self.z if self.is_last else np.maximum(self.z, 0)

        def backward(self, delta):
            delta = delta if self.is_last else delta * (self.z > 0)
            before = delta @ self.w.T
            dw, db = self.x.T @ delta, delta.sum(axis=0)
            self.optimizer.step(dw, db)
            return before

    def step(params, x, y):
        layers = [Dense(w, b, k == len(params) - 1) for k, (w, b) in enumerate(params)]
        out = x
        for layer in layers:
            out = layer.forward(out)
        delta = 2 * (out - y) / len(y)
        for layer in layers[::-1]:
            delta = layer.backward(delta)
        return [(layer.w, layer.b) for layer in layers]

    return step


@program(
    SIZES,
    ("tanh", "identity"),
    CROSS_ENTROPY,
    [
        ("another rate than was said", "optax.sgd(0.1)", "optax.sgd(0.01)"),
        ("the gradient of the sum", ".mean()", ".sum()"),
    ],
    way="check_update_function",
)
def optimizer_of_a_library():
    """optax.sgd and apply_updates on jax.grad, in float32."""

    optimizer = optax.sgd(0.1)

    @jax.jit
    def update(params, x, y):
        def loss(params):
            (w1, b1), (w2, b2) = params
            logits = jnp.tanh(x @ w1 + b1[None]) @ w2 + b2[None]
            return optax.softmax_cross_entropy(logits, y).mean()

        updates, _ = optimizer.update(jax.grad(loss)(params), optimizer.init(params))
        return optax.apply_updates(params, updates)

    def step(params, x, y):
        return update(*jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (list(params), x, y)))

    return step


@program(
    SIZES,
    ("tanh", "identity"),
    HALF,
    [
        ("divided by another rate", "/ rate, ", "/ (2 * rate), "),
        ("the derivative of tanh left out", "* (1 - h * h)", ""),
    ],
)
def difference_over_rate():
    """Gradients read off a step: (before - after) / rate."""

    rate = 0.1

    def train(params, x, t):
        (w1, b1), (w2, b2) = params
        h = np.tanh(x @ w1 + b1)
        d2 = h @ w2 + b2 - t
        d1 = d2 @ w2.T * (1 - h * h)
        return [(w1 - rate * x.T @ d1, b1 - rate * d1.sum(0)), (w2 - rate * h.T @ d2, b2 - rate * d2.sum(0))]

    def gradients(params, x, t):
        after = train(params, x, t)
        return [((w - v) / rate, (b - c) / rate) for (w, b), (v, c) in zip(params, after, strict=True)]

    return gradients


@program(
    SIZES,
    "sigmoid",
    LOGISTIC,
    [
        ("sums not set to zero", "acc = [", "acc = acc or ["),
        (
            "the first sample twice",
            "for row, target in zip(x, y, strict=True):",
            "for row, target in [(x[0], y[0]), *zip(x, y, strict=True)]:",
        ),
    ],
    way="check_update_function",
)
def accumulated_then_updated():
    """Deltas accumulated sample after sample, then one update by rate / n; new parameters come back."""

    acc = None

    def step(params, x, y):
        nonlocal acc
        acc = [[np.zeros_like(a) for a in layer] for layer in params]
        for row, target in zip(x, y, strict=True):
            outs = [row]
            for w, b in params:
                outs.append(1 / (1 + np.exp(-(outs[-1] @ w + b))))
            delta = outs[-1] - target
            for k in (1, 0):
                acc[k][0] += np.outer(outs[k], delta)
                acc[k][1] += delta
                delta = params[k][0] @ delta * outs[k] * (1 - outs[k])
        factor = 0.1 / len(x)
        return [(w - factor * dw, b - factor * db) for (w, b), (dw, db) in zip(params, acc, strict=True)]

    return step
