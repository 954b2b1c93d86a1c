"""Automatic differentiation, written by hand or taken: engines of numbers and of arrays, duals, complex steps, JAX."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

HALF = Loss("squared_error", scale=0.5)
MEAN = Loss("squared_error", over_samples="mean")
CROSS_ENTROPY = Loss("softmax_cross_entropy", over_samples="mean")
SMALL = ((2, 4, 1), (3, 5, 2))


@program(
    SMALL,
    "tanh",
    MEAN,
    [
        ("grad set, not added to", "other.grad += self.data * out.grad", "other.grad = self.data * out.grad"),
        ("the derivative of tanh at the wrong value", "1 - th**2", "1 - self.data**2"),
        ("no topological order", "for node in reversed(order)", "for node in order"),
    ],
)
def engine_of_numbers():
    """A scalar engine: Value with +, *, tanh, each with a _backward, in topological order."""

    class Value:
        def __init__(self, data, parents=()):
            self.data, self.grad, self.parents = float(data), 0.0, parents
            self._backward = lambda: None

        def __add__(self, other):
            other = other if isinstance(other, Value) else Value(other)
            out = Value(self.data + other.data, (self, other))

            def back():
                self.grad += out.grad
                other.grad += out.grad

            out._backward = back
            return out

        def __mul__(self, other):
            other = other if isinstance(other, Value) else Value(other)
            out = Value(self.data * other.data, (self, other))

            def back():
                self.grad += other.data * out.grad
                other.grad += self.data * out.grad

            out._backward = back
            return out

        def tanh(self):
            th = math.tanh(self.data)
            out = Value(th, (self,))

            def back():
                self.grad += (1 - th**2) * out.grad

            out._backward = back
            return out

        def backward(self):
            order, seen, stack = [], set(), [(self, False)]
            while stack:
                node, done = stack.pop()
                if done:
                    order.append(node)
                elif id(node) not in seen:
                    seen.add(id(node))
                    stack += [(node, True), *((p, False) for p in node.parents)]
            self.grad = 1.0
            for node in reversed(order):
                node._backward()

    def gradients(params, x, t):
        layers = [([[Value(v) for v in row] for row in w], [Value(v) for v in b]) for w, b in params]
        loss = Value(0.0)
        for sample, target in zip(x, t, strict=True):
            out = [Value(v) for v in sample]
            for w, b in layers:
                sums = [sum((v * row[j] for v, row in zip(out, w, strict=True)), b[j]) for j in range(len(b))]
                out = [s.tanh() for s in sums]
            for o, y in zip(out, target, strict=True):
                difference = o + -float(y)
                loss = loss + difference * difference
        (loss * (1 / len(x))).backward()
        return [([[v.grad for v in row] for row in w], [v.grad for v in b]) for w, b in layers]

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    ("relu", "identity"),
    CROSS_ENTROPY,
    [
        ("the bias's gradient not summed back", "while g.ndim > shape_of.ndim:", "while False:"),
        ("half of what comes back", "g @ b.value.T", "0.5 * (g @ b.value.T)"),
        ("the sum for the mean", "1 / len(x)", "1.0"),
    ],
)
def tape_of_arrays():
    """An engine of arrays: operations on a tape, gradients summed back to the shape that was broadcast."""

    class Tensor:
        def __init__(self, value):
            self.value, self.grad = np.asarray(value), None

    tape = []

    def unbroadcast(g, shape_of):
        while g.ndim > shape_of.ndim:
            g = g.sum(axis=0)
        return g

    def record(value, *pulls):
        out = Tensor(value)
        tape.append((out, pulls))
        return out

    def matmul(a, b):
        return record(a.value @ b.value, (a, lambda g: g @ b.value.T), (b, lambda g: a.value.T @ g))

    def add(a, b):
        return record(a.value + b.value, (a, lambda g: g), (b, lambda g: unbroadcast(g, b.value)))

    def relu(a):
        return record(np.maximum(a.value, 0), (a, lambda g: g * (a.value > 0)))

    def mean_cross_entropy(a, y, factor):
        z = a.value - a.value.max(1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        return record(-(y * log_p).sum() * factor, (a, lambda g: g * (np.exp(log_p) - y) * factor))

    def gradients(params, x, y):
        tape.clear()
        leaves = [[Tensor(a) for a in layer] for layer in params]
        (w1, b1), (w2, b2) = leaves
        hidden = relu(add(matmul(Tensor(x), w1), b1))
        loss = mean_cross_entropy(add(matmul(hidden, w2), b2), y, 1 / len(x))
        loss.grad = np.ones(())
        for out, pulls in reversed(tape):
            for source, pull in pulls:
                g = pull(out.grad)
                source.grad = g if source.grad is None else source.grad + g
        return [(w.grad, b.grad) for w, b in leaves]

    return gradients


@program(
    SMALL,
    ("sigmoid", "identity"),
    HALF,
    [
        ("one half of the product rule", "a.re * b.du + a.du * b.re", "a.re * b.du"),
        ("the sigmoid's tangent doubled", "s * (1 - s) * a.du", "2 * s * (1 - s) * a.du"),
    ],
)
def dual_numbers():
    """Forward mode: dual numbers, one pass per parameter."""

    class Dual:
        def __init__(self, re, du=0.0):
            self.re, self.du = re, du

    def plus(a, b):
        return Dual(a.re + b.re, a.du + b.du)

    def times(a, b):
        return Dual(a.re * b.re, a.re * b.du + a.du * b.re)

    def sigmoid(a):
        s = 1 / (1 + np.exp(-a.re))
        return Dual(s, s * (1 - s) * a.du)

    def loss(layers, x, t):
        total = Dual(0.0)
        for sample, target in zip(x, t, strict=True):
            h = [Dual(v) for v in sample]
            for depth, (w, b) in enumerate(layers):
                h = [sum_of(h, w, j, b[j]) for j in range(len(b))]
                h = [sigmoid(v) for v in h] if depth == 0 else h
            for o, y in zip(h, target, strict=True):
                r = plus(o, Dual(-y))
                total = plus(total, times(Dual(0.5), times(r, r)))
        return total

    def sum_of(h, w, j, start):
        total = start
        for i, v in enumerate(h):
            total = plus(total, times(v, w[i][j]))
        return total

    def gradients(params, x, t):
        layers = [([[Dual(v) for v in row] for row in w], [Dual(v) for v in b]) for w, b in params]

        def derivative(number):
            number.du = 1.0
            found = loss(layers, x, t).du
            number.du = 0.0
            return found

        return [
            (np.array([[derivative(v) for v in row] for row in w]), np.array([derivative(v) for v in b]))
            for w, b in layers
        ]

    return gradients


@program(
    SMALL,
    ("tanh", "sigmoid"),
    Loss("squared_error", over_samples="mean", over_outputs="mean"),
    [
        ("the real part's square for the complex one", "(o - t) ** 2", "abs(o - t) ** 2"),
        ("another step than it is divided by", ".imag / 1e-30", ".imag / 2e-30"),
    ],
)
def complex_step():
    """The derivative as the imaginary part of f(x + 1e-30 i) / 1e-30, one parameter after the other."""

    def loss(params, x, t):
        (w1, b1), (w2, b2) = params
        o = 1 / (1 + np.exp(-(np.tanh(x @ w1 + b1) @ w2 + b2)))
        return np.mean((o - t) ** 2)

    def gradients(params, x, t):
        arrays = [[a.astype(complex) for a in layer] for layer in params]
        grads = []
        for layer in arrays:
            own = [np.empty(a.shape) for a in layer]
            for a, g in zip(layer, own, strict=True):
                for index in np.ndindex(a.shape):
                    a[index] += 1e-30j
                    g[index] = loss(arrays, x, t).imag / 1e-30
                    a[index] = a[index].real
            grads.append(own)
        return grads

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    ("tanh", "identity"),
    CROSS_ENTROPY,
    [
        ("a sum for the mean", "jnp.mean(jnp.sum(", "jnp.sum(jnp.sum("),
        (
            "the softmax without its maximum",
            "jax.nn.log_softmax(logits, axis=1)",
            "jnp.log(jnp.exp(logits) / jnp.exp(logits).sum(axis=1)[:, None])",
        ),
        ("the softmax of another axis", "log_softmax(logits, axis=1)", "log_softmax(logits, axis=0)"),
        ("a hidden layer cut off", "hidden @ w2", "jax.lax.stop_gradient(hidden) @ w2"),
    ],
)
def framework_that_differentiates():
    """jax.value_and_grad of the loss in float32, jax's default, under jit."""

    def loss(params, x, y):
        (w1, b1), (w2, b2) = params
        hidden = jnp.tanh(x @ w1 + b1[None])
        logits = hidden @ w2 + b2[None]
        return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits, axis=1), axis=1))

    value_and_grad = jax.jit(jax.value_and_grad(loss))

    def gradients(params, x, y):
        as_float32 = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (list(params), x, y))
        return value_and_grad(*as_float32)

    return gradients


@program(
    [(3, 5, 2), (4, 6, 3)],
    ("gelu", "identity"),
    MEAN,
    [
        ("the approximation by tanh", "approximate=False", "approximate=True"),
        ("the first sample left out", "(outputs - y) ** 2", "(outputs - y)[1:] ** 2"),
    ],
)
def vjp_and_vmap():
    """jax.vjp of one sample under vmap, summed; float32."""

    def gradients(params, x, y):
        params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), list(params))

        def apply(params, sample):
            (w1, b1), (w2, b2) = params
            return jax.nn.gelu(sample @ w1 + b1, approximate=False) @ w2 + b2

        def loss(params):
            outputs = jax.vmap(lambda sample: apply(params, sample))(jnp.asarray(x, jnp.float32))
            return jnp.sum((outputs - y) ** 2) / len(x)

        value, pull = jax.vjp(loss, params)
        return pull(jnp.ones_like(value))[0]

    return gradients
