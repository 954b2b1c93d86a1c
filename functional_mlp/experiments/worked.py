"""The worked derivatives of the textbook chapter, as data: each function, its points, and its derivative by hand.

The functions are plain JAX, so that `jax.grad` can be set beside the hand-derived formulas; those are NumPy float64. Of
the library nothing is used but, for losses and networks, as a third column: its own hand-written gradient.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import functional_mlp as fm

Point = Mapping[str, Any]


class Derivative(NamedTuple):
    """One derivative of a worked example.

    Attributes:
        variable: the name of the variable that is differentiated by.
        formula: as derived by hand.
        hand: that formula, of the point's variables as float64 NumPy arrays.
        library: the same derivative from functional_mlp, of the point's variables as JAX arrays; None where the library
            has no part in it.
    """

    variable: str
    formula: str
    hand: Callable[..., Any]
    library: Callable[..., Any] | None = None


class Worked(NamedTuple):
    """A function with its derivatives by hand, and the points to compare them at.

    Attributes:
        section: heading of the table.
        name: of the rule or the example.
        symbol: of the function's value.
        formula: of the function.
        function: in JAX, of the point's variables by name.
        derivatives: by hand.
        points: numbers and arrays by variable; multiples of 1/16, so that they are exact in every dtype.
    """

    section: str
    name: str
    symbol: str
    formula: str
    function: Callable[..., Any]
    derivatives: tuple[Derivative, ...]
    points: tuple[Point, ...]


def _rule(name: str, formula: str, function: Callable[..., Any], derivative: str, hand: Callable[..., Any]) -> Worked:
    points = ({"x": 0.5}, {"x": 2.0})
    return Worked("Rules", name, "f", formula, function, (Derivative("x", derivative, hand),), points)


def _quotient(x: Any) -> Any:
    return (1 * (x**2 + 1) - x * 2 * x) / (x**2 + 1) ** 2


RULES = (
    _rule("constant", "5", lambda x: jnp.full_like(x, 5), "0", lambda x: np.zeros_like(x)),
    _rule("linear", "3x", lambda x: 3 * x, "3", lambda x: np.full_like(x, 3)),
    _rule("power", "x³", lambda x: x**3, "3x²", lambda x: 3 * x**2),
    _rule("exponential", "e^x", lambda x: jnp.exp(x), "e^x", lambda x: np.exp(x)),
    _rule("logarithm", "ln x", lambda x: jnp.log(x), "1/x", lambda x: 1 / x),
    _rule("general exponential", "2^x", lambda x: 2**x, "2^x·ln 2", lambda x: 2**x * np.log(2)),
    _rule("general logarithm", "log_2 x", lambda x: jnp.log2(x), "1/(x·ln 2)", lambda x: 1 / (x * np.log(2))),
    _rule("sum", "x² + e^x", lambda x: x**2 + jnp.exp(x), "2x + e^x", lambda x: 2 * x + np.exp(x)),
    _rule("product", "x²·e^x", lambda x: x**2 * jnp.exp(x), "2x·e^x + x²·e^x", lambda x: (2 * x + x**2) * np.exp(x)),
    _rule("quotient", "x/(x² + 1)", lambda x: x / (x**2 + 1), "(1 − x²)/(x² + 1)²", _quotient),
    _rule("chain", "ln(x² + 1)", lambda x: jnp.log(x**2 + 1), "2x/(x² + 1)", lambda x: 2 * x / (x**2 + 1)),
    _rule("tanh", "2σ(2x) − 1", lambda x: 2 * jax.nn.sigmoid(2 * x) - 1, "1 − tanh²x", lambda x: 1 - np.tanh(x) ** 2),
)

_LINE = {"x": 3.0, "w": 2.0, "b": 1.0}


def _scalar_loss(name: str, formula: str, function: Any, *derivatives: Derivative, **more: float) -> Worked:
    return Worked("Scalar losses", name, "L", formula, function, derivatives, (more | _LINE,))


LOSSES = (
    _scalar_loss(
        "squares",
        "x·w² + b²",
        lambda x, w, b: x * w**2 + b**2,
        Derivative("w", "2xw", lambda x, w, b: 2 * x * w),
        Derivative("b", "2b", lambda x, w, b: 2 * b),
    ),
    _scalar_loss(
        "exponentials",
        "x·e^w + e^b",
        lambda x, w, b: x * jnp.exp(w) + jnp.exp(b),
        Derivative("w", "x·e^w", lambda x, w, b: x * np.exp(w)),
        Derivative("b", "e^b", lambda x, w, b: np.exp(b)),
    ),
    _scalar_loss(
        "squared error",
        "(y − (xw + b))²",
        lambda x, y, w, b: (y - (x * w + b)) ** 2,
        Derivative("w", "2g·x,  g = xw + b − y", lambda x, y, w, b: 2 * (x * w + b - y) * x),
        Derivative("b", "2g,  g = xw + b − y", lambda x, y, w, b: 2 * (x * w + b - y)),
        y=5.0,
    ),
    _scalar_loss(
        "logarithm",
        "a·ln(xw + b)",
        lambda a, x, w, b: a * jnp.log(x * w + b),
        Derivative("w", "a·x/(xw + b)", lambda a, x, w, b: a * x / (x * w + b)),
        Derivative("b", "a/(xw + b)", lambda a, x, w, b: a / (x * w + b)),
        a=2.0,
    ),
)


def two_paths(t: Any) -> Any:
    """z = x² + e^y along x = 2t + 1, y = t²."""
    x, y = 2 * t + 1, t**2
    return x**2 + jnp.exp(y)


def two_paths_derivative(t: Any) -> Any:
    """dz/dt = ∂z/∂x·dx/dt + ∂z/∂y·dy/dt = 2x·2 + e^y·2t, in NumPy."""
    return 4 * (2 * t + 1) + 2 * t * np.exp(t**2)


AFFINE_POINT = {"x": 1.0, "w1": 2.0, "b1": 1.0, "w2": 2.0, "b2": 1.0}


def affine(x: Any, w1: Any, b1: Any) -> Any:
    """y1 = x·w1 + b1."""
    return x * w1 + b1


_FIRST = {key: AFFINE_POINT[key] for key in ("x", "w1", "b1")}
_SECOND = {"y1": affine(**_FIRST), "w2": AFFINE_POINT["w2"], "b2": AFFINE_POINT["b2"]}
CHAIN_RULE = (
    Worked(
        "Chain rule of two variables",
        "two paths from t to z",
        "z",
        "x² + e^y,  x = 2t + 1,  y = t²",
        two_paths,
        (Derivative("t", "2x·2 + e^y·2t = 4(2t + 1) + 2t·e^(t²)", two_paths_derivative),),
        ({"t": 0.5}, {"t": 1.0}),
    ),
    Worked(
        "Two affine maps", "first", "y1", "x·w1 + b1", affine, (Derivative("w1", "x", lambda x, w1, b1: x),), (_FIRST,)
    ),
    Worked(
        "Two affine maps",
        "second",
        "y2",
        "y1·w2 + b2",
        lambda y1, w2, b2: affine(y1, w2, b2),
        (Derivative("y1", "w2", lambda y1, w2, b2: w2),),
        (_SECOND,),
    ),
    Worked(
        "Two affine maps",
        "both",
        "y2",
        "(x·w1 + b1)·w2 + b2",
        lambda x, w1, b1, w2, b2: affine(affine(x, w1, b1), w2, b2),
        (Derivative("w1", "∂y2/∂y1 · ∂y1/∂w1 = w2·x", lambda x, w1, b1, w2, b2: w2 * x),),
        (AFFINE_POINT,),
    ),
)


def softmax(z: np.ndarray) -> np.ndarray:
    """e^z / Σe^z of one row (K,), in NumPy."""
    e = np.exp(z - z.max())
    return e / e.sum()


def softmax_jacobian(z: np.ndarray) -> np.ndarray:
    """p_i (1 − p_i) on the diagonal, −p_i p_j off it: (K, K), in NumPy."""
    p = softmax(z)
    return np.where(np.eye(len(p), dtype=bool), p * (1 - p), -np.outer(p, p))


def softmax_jacobian_of_library(z: jax.Array) -> jax.Array:
    """The same from the library's VJP, one unit cotangent per row."""
    activation = fm.activations.softmax()
    a = activation.value(z)
    return jax.vmap(lambda ct: activation.vjp(z, a, ct))(jnp.eye(len(z), dtype=z.dtype))


def cross_entropy_gradient(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """p_i (y_i + Σ_{k≠i} y_k) − y_i for targets y of any sum, in NumPy."""
    others = np.array([np.delete(y, i).sum() for i in range(len(y))])
    return softmax(z) * (y + others) - y


def _of_loss(loss: fm.Loss, outputs: str, targets: str) -> Callable[..., jax.Array]:
    return lambda **point: loss.cotangent(point[outputs][None, :], point[targets][None, :])[0]


_LOGITS = (1.0, 2.0, 0.5)
_CROSS_ENTROPY = _of_loss(fm.Loss("softmax_cross_entropy"), "z", "y")
LOSS_GRADIENTS = (
    Worked(
        "Losses",
        "half squared error",
        "L",
        "½Σ(y − o)²",
        lambda o, y: jnp.sum((y - o) ** 2) / 2,
        (Derivative("o", "o − y", lambda o, y: o - y, _of_loss(fm.Loss("squared_error", scale=0.5), "o", "y")),),
        ({"o": (0.25, 0.75), "y": (1.0, 0.0)},),
    ),
    Worked(
        "Losses",
        "softmax",
        "p",
        "e^z_i / Σ e^z_k",
        lambda z: jax.nn.softmax(z),
        (Derivative("z", "p_i(1 − p_i) if i = j, else −p_i·p_j", softmax_jacobian, softmax_jacobian_of_library),),
        ({"z": _LOGITS},),
    ),
    Worked(
        "Losses",
        "cross-entropy over softmax",
        "L",
        "−Σ y_i ln p_i",
        lambda z, y: -jnp.sum(y * jax.nn.log_softmax(z)),
        (Derivative("z", "p_i(y_i + Σ_k≠i y_k) − y_i", cross_entropy_gradient, _CROSS_ENTROPY),),
        ({"z": _LOGITS, "y": (0.0, 1.0, 0.0)}, {"z": _LOGITS, "y": (1.0, 0.5, 0.25)}),
    ),
)


def network_loss(x: Any, t: Any, **weights: Any) -> Any:
    """½Σ(o − t)² of a network of sigmoid layers without biases, its weights (fan_in, fan_out) in the order given."""
    a = x
    for layer in weights.values():
        a = jax.nn.sigmoid(a @ layer)
    return jnp.sum((a - t) ** 2) / 2


def network_gradient(x: np.ndarray, t: np.ndarray, **weights: np.ndarray) -> dict[str, np.ndarray]:
    """dL/dW of every layer by the chapter's formulas, in NumPy: from the output layer's δ backwards."""
    outputs = [x]
    for layer in weights.values():
        outputs.append(1 / (1 + np.exp(-outputs[-1] @ layer)))
    gradient = {}
    slope = outputs[-1] - t
    for number, (name, layer) in reversed(list(enumerate(weights.items()))):
        delta = slope * outputs[number + 1] * (1 - outputs[number + 1])
        gradient[name] = np.outer(outputs[number], delta)
        slope = layer @ delta  # Σ_k w_jk δ_k
    return gradient


def network_gradient_of_library(x: jax.Array, t: jax.Array, **weights: jax.Array) -> dict[str, jax.Array]:
    """The same from `fm.loss_and_grad`."""
    layers = list(weights.values())
    network = fm.Network((len(x), *(layer.shape[1] for layer in layers)), "sigmoid")
    params = tuple(fm.Dense(layer, None) for layer in layers)
    _, grads = fm.loss_and_grad(network, fm.Loss("squared_error", scale=0.5), params, x[None, :], t[None, :])
    return dict(zip(weights, (grad.weights for grad in grads), strict=True))


def _network(name: str, formulas: Mapping[str, str], point: Point) -> Worked:
    def derivative(variable: str, formula: str) -> Derivative:
        return Derivative(
            variable,
            formula,
            lambda **point: network_gradient(**point)[variable],
            lambda **point: network_gradient_of_library(**point)[variable],
        )

    derivatives = tuple(derivative(*item) for item in formulas.items())
    return Worked("Networks of sigmoid units", name, "L", "½Σ(o − t)²", network_loss, derivatives, (point,))


_X, _T = (0.5, -1.0), (1.0, 0.0)
_W1, _W2, _W3 = ((0.5, -0.25), (0.75, 1.0)), ((1.0, 0.25), (-0.5, 0.5)), ((0.25, -1.0), (0.5, 0.75))
_DELTA_OUTPUT = "(o_k − t_k)·o_k(1 − o_k)"
_BACKWARDS = "o_j(1 − o_j)·Σ_k δ_k·w_jk"
NETWORKS = (
    _network("single neuron", {"W": f"δ·x_j,  δ = {_DELTA_OUTPUT}"}, {"x": _X, "t": (1.0,), "W": ((0.5,), (0.75,))}),
    _network("dense layer", {"W": f"δ_k·x_j,  δ_k = {_DELTA_OUTPUT}"}, {"x": _X, "t": _T, "W": _W1}),
    _network(
        "one hidden layer",
        {"W2": f"δ_k·o_j,  δ_k = {_DELTA_OUTPUT}", "W1": f"δ_j·x_i,  δ_j = {_BACKWARDS}"},
        {"x": _X, "t": _T, "W1": _W1, "W2": _W2},
    ),
    _network(
        "two hidden layers",
        {"W1": "δ_i·x_h,  δ_i = o_i(1 − o_i)·Σ_j δ_j·w_ij"},
        {"x": _X, "t": _T, "W1": _W1, "W2": _W2, "W3": _W3},
    ),
)

ALL = (*RULES, *LOSSES, *CHAIN_RULE, *LOSS_GRADIENTS, *NETWORKS)
