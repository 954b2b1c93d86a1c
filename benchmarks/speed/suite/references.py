"""Every problem in float64 NumPy, written for clarity: what the competitors' numbers are compared with.

Each function takes `rounded`, which is applied to every elementary result: pre-activations, activations, cotangents,
gradients and updated parameters; it also forms the sums. `Exact` gives the truth; agreement.py has float32.

The results are leaves by name: "params[0].weights", of several networks "network 5: params[0].weights".
"""

from collections.abc import Callable, Iterable, Mapping
from functools import singledispatch
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.suite.problems import Basins, Gradient, Pair, Program, Training, moons_problem
from functional_mlp.experiments.published import himmelblau

Array = NDArray[np.float64]
Leaves = Mapping[str, NDArray[Any]]


class Rounding(Protocol):
    """What a precision does to numbers."""

    def __call__(self, values: Array) -> Array:
        """`values` as elementary results of that precision."""

    def product(self, left: Array, right: Array) -> Array:
        """left @ right, before its last rounding."""

    def total(self, values: Array) -> Array:
        """The sum over the first axis, likewise."""


class Exact:
    """No rounding but that of float64."""

    def __call__(self, values: Array) -> Array:
        """As they are."""
        return values

    def product(self, left: Array, right: Array) -> Array:
        """left @ right."""
        return left @ right

    def total(self, values: Array) -> Array:
        """The sum over the first axis."""
        total: Array = values.sum(axis=0)
        return total


def named(params: Iterable[Pair], prefix: str = "params") -> dict[str, NDArray[Any]]:
    """(weights, bias) pairs as leaves; biases may be (1, fan_out)."""
    leaves: dict[str, NDArray[Any]] = {}
    for number, (weights, bias) in enumerate(params):
        leaves |= {f"{prefix}[{number}].weights": weights, f"{prefix}[{number}].bias": bias.reshape(-1)}
    return leaves


def named_networks(problem: Training, params: Iterable[Pair]) -> dict[str, NDArray[Any]]:
    """The same of the networks of a sweep that are compared; every array has a leading axis of all networks."""
    pairs = list(params)
    leaves: dict[str, NDArray[Any]] = {}
    for number in problem.compared():
        leaves |= named([(w[number], b[number]) for w, b in pairs], f"network {number}: params")
    return leaves


@singledispatch
def solve(problem: Any, repetitions: int, rounded: Rounding) -> Leaves:
    """What `problem` gives after so many repetitions (epochs), as leaves by name."""
    raise TypeError(f"expected a problem of benchmarks.speed.suite.problems, got {type(problem).__name__}")


@solve.register
def _(problem: Training, repetitions: int, rounded: Rounding) -> Leaves:
    if problem.networks is None:
        return named(trained(problem, repetitions, rounded))
    leaves: dict[str, NDArray[Any]] = {}
    for number in problem.compared():
        params = trained(problem.network(number), repetitions, rounded)
        leaves |= named(params, f"network {number}: params")
    return leaves


@solve.register
def _(problem: Gradient, repetitions: int, rounded: Rounding) -> Leaves:
    training = problem.training
    inputs, targets = training.inputs.astype(np.float64), training.targets.astype(np.float64)
    params = [(w.astype(np.float64), b.astype(np.float64)) for w, b in training.params]
    activations = forward(training, params, inputs, rounded)
    grads = backward(training, params, activations, targets, rounded)
    return {"loss": loss(training, activations[-1], targets, rounded)} | named(grads, "ct_params")


@solve.register
def _(problem: Basins, repetitions: int, rounded: Rounding) -> Leaves:
    rate = np.float64(np.float32(problem.learning_rate))
    x, y = (array.astype(np.float64) for array in problem.starts())
    steps = np.zeros(x.shape)

    def brackets() -> tuple[Array, Array]:
        return rounded(rounded(x * x + y) - 11), rounded(rounded(x + y * y) - 7)

    with np.errstate(over="ignore", invalid="ignore"):  # some starts diverge
        for _ in range(problem.steps):
            u, v = brackets()
            steps += ~(rounded(u * u + v * v) <= problem.threshold)
            ct_x, ct_y = rounded(4 * x * u + 2 * v), rounded(2 * u + 4 * y * v)
            x, y = rounded(x - rate * ct_x), rounded(y - rate * ct_y)
        u, v = brackets()
        return reached(problem, x, y, rounded(u * u + v * v), steps)


@solve.register
def _(problem: Program, repetitions: int, rounded: Rounding) -> Leaves:
    training = moons_problem()
    params = trained(training, problem.epochs, rounded)
    outputs = forward(training, params, training.inputs.astype(np.float64), rounded)[-1]
    squares = rounded((outputs - training.targets) ** 2).reshape(-1, 1)
    return {"train_mse": rounded(rounded.total(squares) / len(squares))}


def reached(problem: Basins, x: Any, y: Any, value: Any, steps: Any) -> Leaves:
    """Where the starts went: number of the nearest minimum, -2 where f is above the threshold, -1 where it diverged."""
    points = np.stack([x, y], axis=-1).astype(np.float64)
    finite = np.isfinite(points).all(axis=-1) & np.isfinite(value)
    distances = np.linalg.norm(np.where(finite[..., None], points, 0)[..., None, :] - himmelblau.MINIMA, axis=-1)
    near = np.where(np.asarray(value) <= problem.threshold, distances.argmin(axis=-1), -2)
    return {"minimum": np.where(finite, near, -1), "steps": np.asarray(steps)}


# networks: activations a_0 … a_L of (n, n_l), params with biases (n_l,) or (1, n_l)


def trained(problem: Training, epochs: int, rounded: Rounding) -> list[Pair]:
    """The parameters of one network after so many epochs."""
    rate = np.float64(np.float32(problem.learning_rate))
    params: list[Pair] = [(w.astype(np.float64), b.astype(np.float64)) for w, b in problem.params]
    for _ in range(epochs):
        for inputs, targets in problem.batches():
            activations = forward(problem, params, inputs.astype(np.float64), rounded)
            grads = backward(problem, params, activations, targets, rounded)
            params = [
                (rounded(w - rate * ct_w), rounded(b - rate * ct_b))
                for (w, b), (ct_w, ct_b) in zip(params, grads, strict=True)
            ]
    return params


def forward(problem: Training, params: list[Pair], inputs: Array, rounded: Rounding) -> list[Array]:
    """The activations of every layer, the inputs first."""
    activations = [inputs]
    for name, (weights, bias) in zip(problem.activations, params, strict=True):
        activations.append(rounded(ACTIVATIONS[name](rounded(rounded.product(activations[-1], weights) + bias))))
    return activations


def backward(
    problem: Training, params: list[Pair], activations: list[Array], targets: Array, rounded: Rounding
) -> list[Pair]:
    """The gradient of every layer's weights and bias."""
    outputs = activations[-1]
    divisor = len(outputs) if problem.over_samples == "mean" else 1
    # a cross-entropy after its own activation: ct_z = p - t
    ct_z = (outputs - targets) / divisor
    if problem.loss == "half_squared_error":
        ct_z = ct_z * SLOPES[problem.activations[-1]](outputs)
    ct_z = rounded(ct_z)
    grads: list[Pair] = []
    for layer in range(len(params) - 1, -1, -1):
        grads.append((rounded(rounded.product(activations[layer].T, ct_z)), rounded(rounded.total(ct_z))))
        if layer:
            slope = SLOPES[problem.activations[layer - 1]](activations[layer])
            ct_z = rounded(rounded(rounded.product(ct_z, params[layer][0].T)) * slope)
    return grads[::-1]


def loss(problem: Training, outputs: Array, targets: Array, rounded: Rounding) -> Array:
    """The value, (1,)."""
    per_sample = rounded(LOSSES[problem.loss](outputs, targets).sum(axis=1))
    divisor = len(outputs) if problem.over_samples == "mean" else 1
    return rounded(rounded.total(per_sample[:, None]) / divisor)


def _softmax(z: Array) -> Array:
    shifted = np.exp(z - z.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softmax": _softmax,
}
SLOPES: Mapping[str, Callable[[Array], Any]] = {"relu": lambda a: a > 0, "sigmoid": lambda a: a * (1 - a)}  # of a
LOSSES: Mapping[str, Callable[[Array, Array], Array]] = {
    "half_squared_error": lambda o, t: 0.5 * (o - t) ** 2,
    "binary_cross_entropy": lambda p, t: -(t * np.log(p) + (1 - t) * np.log1p(-p)),
    "categorical_cross_entropy": lambda p, t: -t * np.log(p),
}
