"""The NumPy reference: multilayer perceptrons as textbooks write them, in whatever arithmetic is asked for.

Everything is stored in one dtype, and derivatives are written with the activation itself: a (1 - a), 1 - a**2,
(p - t) / (p (1 - p)). Nothing guards against cancellation; what every competent person does is done: no exponential of
a positive number in sigmoid, the largest logit subtracted in softmax, logarithms of losses of logits taken of sums. So
this is also a measure of what that costs: docs/measured/certification.md compares it with the truth of
reference/exact.py. An `Arithmetic` says how products and sums are formed: by NumPy, in order, or in a wider type.

`gradients` takes whatever has the attributes of a `functional_mlp.oracle.Case`, of which nothing is imported; `solve`
takes the referee's cases. Samples are rows; ct_v is dLoss/dv.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import erf  # type: ignore[import-untyped]

from reference.plain_losses import OF_LOGITS, coefficients, decayed, penalty, sigmoid, softmax, terms_of

if TYPE_CHECKING:
    from reference.problem import Case as RefereeCase

Array = np.ndarray[Any, np.dtype[Any]]
OWN_PAIRS = {
    ("sigmoid", "binary_cross_entropy"),
    ("softmax", "categorical_cross_entropy"),
    ("softmax", "kl_divergence"),
}


class Answer(NamedTuple):
    """What an implementation computed, as NumPy arrays of its own dtype; None for what it does not tell.

    Attributes:
        grads: per layer (weights (fan_in, fan_out), bias (fan_out,) or None for a layer without bias).
        loss: the loss, penalty included; None for a bare cotangent.
        outputs: a_L (n, n_L).
        deltas: ct_z of layers 1..L, each (n, n_l).
        ct_inputs: (n, n_0).
    """

    grads: tuple[tuple[Array, Array | None], ...]
    loss: float | None
    outputs: Array
    deltas: tuple[Array, ...] | None = None
    ct_inputs: Array | None = None


class Arithmetic(NamedTuple):
    """How numbers are stored, multiplied and added.

    Attributes:
        dtype: of everything stored.
        product: (m, k) and (k, n) to (m, n).
        total: an array and an axis, or None for all of it, to the sum over that axis.
    """

    dtype: np.dtype[Any]
    product: Callable[[Array, Array], Array] = np.matmul
    total: Callable[[Array, int | None], Array] = lambda x, axis: x.sum(axis=axis)


EXACT = Arithmetic(np.dtype(np.float64))


def wide_total(x: Array, axis: int | None) -> Array:
    """The sum in float32, rounded once."""
    return x.sum(axis=axis, dtype=np.float32).astype(x.dtype)


def product_in_order(a: Array, b: Array) -> Array:
    """a @ b, every product and every partial sum rounded to the dtype, in the order of k."""
    out = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(len(b)):
        out += a[:, k : k + 1] * b[k]
    return out


def total_in_order(x: Array, axis: int | None) -> Array:
    """The sum with every partial sum rounded to the dtype, in the order of the entries."""
    return np.cumsum(x, axis=axis, dtype=x.dtype).take(-1, axis=axis or 0)


def _normal_distribution(z: Array) -> Array:
    return 0.5 * (1 + erf(z / math.sqrt(2)).astype(z.dtype))


def _normal_density(z: Array) -> Array:
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _silu_derivative(z: Array) -> Array:
    s = sigmoid(z)
    return s + z * s * (1 - s)


def _sided(z: Array, right: Array, left: Array, at_zero: float) -> Array:
    return np.where(z == 0, at_zero * np.ones_like(z), np.where(z > 0, right, left))


def _ended(z: Array, low: float, high: float, slopes: tuple[Any, Any, Any], at_low: float, at_high: float) -> Array:
    """The slopes below, inside and above, and what is taken at the two ends."""
    below, inside, above = (slope * np.ones_like(z) for slope in slopes)
    piece = np.where(z < low, below, np.where(z > high, above, inside))
    return np.where(z == low, at_low * np.ones_like(z), np.where(z == high, at_high * np.ones_like(z), piece))


def _clipped(z: Array, low: float, high: float) -> Array:
    return np.minimum(np.maximum(z, low * np.ones_like(z)), high * np.ones_like(z))


SELU_SCALE, SELU_ALPHA, QUICK_RATE = 1.0507009873554805, 1.6732632423543772, 1.702
GELU_RATE, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715


def _gelu_tanh(z: Array) -> Array:
    return np.tanh(GELU_RATE * (z + GELU_CUBIC * z**3))


def _gelu_tanh_derivative(z: Array) -> Array:
    t = _gelu_tanh(z)
    return 0.5 * (1 + t) + 0.5 * z * (1 - t**2) * GELU_RATE * (1 + 3 * GELU_CUBIC * z**2)


def _quick_gelu_derivative(z: Array) -> Array:
    s = sigmoid(QUICK_RATE * z)
    return s + QUICK_RATE * z * s * (1 - s)


def _mish_derivative(z: Array) -> Array:
    t = np.tanh(np.logaddexp(0, z))
    return t + z * (1 - t**2) * sigmoid(z)


class Unit(NamedTuple):
    """An activation without its parameters: a of z, and da/dz of z and a; softmax, which mixes units, stands apart."""

    value: Callable[..., Array]
    derivative: Callable[..., Array]


UNITS = {
    "identity": Unit(lambda z: z, lambda z, a: np.ones_like(z)),
    "sigmoid": Unit(sigmoid, lambda z, a: a * (1 - a)),
    "tanh": Unit(np.tanh, lambda z, a: 1 - a**2),
    "relu": Unit(
        lambda z, at_zero: np.maximum(z, 0),
        lambda z, a, at_zero: _sided(z, np.ones_like(z), np.zeros_like(z), at_zero),
    ),
    "leaky_relu": Unit(
        lambda z, slope, at_zero: np.where(z > 0, z, slope * z),
        lambda z, a, slope, at_zero: _sided(z, np.ones_like(z), slope * np.ones_like(z), at_zero),
    ),
    "elu": Unit(
        lambda z, alpha, at_zero: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
        lambda z, a, alpha, at_zero: _sided(z, np.ones_like(z), alpha * np.exp(np.minimum(z, 0)), at_zero),
    ),
    "softplus": Unit(
        lambda z, beta: np.logaddexp(0, beta * z) / beta,
        lambda z, a, beta: sigmoid(beta * z),
    ),
    "silu": Unit(lambda z: z * sigmoid(z), lambda z, a: _silu_derivative(z)),
    "gelu": Unit(lambda z: z * _normal_distribution(z), lambda z, a: _normal_distribution(z) + z * _normal_density(z)),
    "gelu_tanh": Unit(lambda z: 0.5 * z * (1 + _gelu_tanh(z)), lambda z, a: _gelu_tanh_derivative(z)),
    "quick_gelu": Unit(lambda z: z * sigmoid(QUICK_RATE * z), lambda z, a: _quick_gelu_derivative(z)),
    "mish": Unit(lambda z: z * np.tanh(np.logaddexp(0, z)), lambda z, a: _mish_derivative(z)),
    "selu": Unit(
        lambda z, at_zero: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z, a, at_zero: _sided(
            z, SELU_SCALE * np.ones_like(z), SELU_SCALE * SELU_ALPHA * np.exp(np.minimum(z, 0)), at_zero
        ),
    ),
    "celu": Unit(
        lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0) / alpha)),
        lambda z, a, alpha: np.where(z > 0, np.ones_like(z), np.exp(np.minimum(z, 0) / alpha)),
    ),
    "relu6": Unit(
        lambda z, at_zero, at_six: _clipped(z, 0, 6),
        lambda z, a, at_zero, at_six: _ended(z, 0, 6, (0, 1, 0), at_zero, at_six),
    ),
    "hardtanh": Unit(
        lambda z, low, high, at_low, at_high: _clipped(z, low, high),
        lambda z, a, low, high, at_low, at_high: _ended(z, low, high, (0, 1, 0), at_low, at_high),
    ),
    "hard_sigmoid": Unit(
        lambda z, low, high, at_low, at_high: _clipped((z - low) / (high - low), 0, 1),
        lambda z, a, low, high, at_low, at_high: _ended(z, low, high, (0, 1 / (high - low), 0), at_low, at_high),
    ),
    "hard_swish": Unit(
        lambda z, at_low, at_high: z * _clipped(z + 3, 0, 6) / 6,
        lambda z, a, at_low, at_high: _ended(z, -3, 3, (0, z / 3 + 0.5, 1), at_low, at_high),
    ),
    "scaled_tanh": Unit(
        lambda z, scale, rate: scale * np.tanh(rate * z),
        lambda z, a, scale, rate: scale * rate * (1 - np.tanh(rate * z) ** 2),
    ),
    "softsign": Unit(lambda z: z / (1 + np.abs(z)), lambda z, a: 1 / (1 + np.abs(z)) ** 2),
    "sin": Unit(np.sin, lambda z, a: np.cos(z)),
    "cos": Unit(np.cos, lambda z, a: -np.sin(z)),
    "gaussian": Unit(lambda z: np.exp(-z * z), lambda z, a: -2 * z * np.exp(-z * z)),
}
UNITS["prelu"] = UNITS["leaky_relu"]


def is_fused(case: Any, fused: bool) -> bool:
    """Whether an implementation that fuses (`fused`) does so here: a probability loss after its own activation."""
    pair = None if case.loss is None else (case.network.activations[-1].name, case.loss.kind)
    return fused and pair in OWN_PAIRS and not case.loss.epsilon


def forward(case: Any, arithmetic: Arithmetic) -> tuple[list[Array], list[Array], list[tuple[Array, Array | None]]]:
    """Pre-activations z_1..z_L, activations a_0..a_L, and the parameters in the dtype."""
    dtype = arithmetic.dtype
    params = [(w.astype(dtype), None if b is None else b.astype(dtype)) for w, b in case.params]
    pre_activations, activations = [], [case.inputs.astype(dtype)]
    for activation, (w, b) in zip(case.network.activations, params, strict=True):
        z = arithmetic.product(activations[-1], w)
        z = z if b is None else z + b
        pre_activations.append(z)
        a = softmax(z, arithmetic.total) if activation.name == "softmax" else _value(activation, z)
        activations.append(a)
    return pre_activations, activations, params


def _value(activation: Any, z: Array) -> Array:
    return UNITS[activation.name].value(z, **dict(activation.parameters))


def _through(activation: Any, z: Array, a: Array, ct_a: Array, arithmetic: Arithmetic) -> Array:
    if activation.name == "softmax":
        return a * (ct_a - arithmetic.total(ct_a * a, 1)[:, None])
    return ct_a * UNITS[activation.name].derivative(z, a, **dict(activation.parameters))


@np.errstate(all="ignore")  # what overflows shows in the result
def gradients(case: Any, arithmetic: Arithmetic, fused: bool) -> Answer:
    """The textbook answer to a case.

    Args:
        case: as an `oracle.Case`, whose numbers the dtype can hold.
        arithmetic: the dtype, and how products and sums are formed.
        fused: p - t instead of a probability loss's derivative through its own activation's.
    """
    loss, dtype, network = case.loss, arithmetic.dtype, case.network
    pre_activations, activations, params = forward(case, arithmetic)
    fused, value = is_fused(case, fused), None
    if loss is None:
        assert case.ct_outputs is not None
        ct = case.ct_outputs.astype(dtype)
    else:
        assert case.targets is not None
        kind, end = (OF_LOGITS[loss.kind], pre_activations[-1]) if fused else (loss.kind, activations[-1])
        terms, derivatives = terms_of(loss, kind, end, case.targets.astype(dtype), arithmetic.total)
        factors = coefficients(case, dtype)
        if case.sample_weights is not None or loss.ignore_index is not None:
            terms, derivatives = (np.where(factors == 0, np.zeros_like(x), x) for x in (terms, derivatives))
        ct, total = factors * derivatives, arithmetic.total(factors * terms, None)
        value = float(total + penalty(loss, params, arithmetic.total))
    deltas, grads = [], []
    for layer in range(len(params) - 1, -1, -1):
        w, b = params[layer]
        if not (fused and layer == len(params) - 1):
            ct = _through(network.activations[layer], pre_activations[layer], activations[layer + 1], ct, arithmetic)
        deltas.append(ct)
        ct_w = decayed(loss, arithmetic.product(activations[layer].T, ct), w)
        ct_b = None if b is None else arithmetic.total(ct, 0)
        if ct_b is not None and b is not None and loss is not None and loss.l2_on_bias:
            ct_b = decayed(loss, ct_b, b)
        grads.append((ct_w, ct_b))
        ct = arithmetic.product(ct, w.T)
    return Answer(tuple(grads[::-1]), value, activations[-1], tuple(deltas[::-1]), ct)


def question_of(case: RefereeCase) -> Any:
    """A case of the referee with the attributes that `gradients` reads, its numbers in float64; errors as `solve`."""
    from reference.problem import ACTIVATIONS, checked  # it needs python-flint, which the formulas do not

    problem = checked(case)
    activations = []
    for unit in problem.units:
        parameters = {name: _float(number) for name, number in unit.parameters.items()}
        for name in set(ACTIVATIONS[unit.name]) - set(parameters):
            parameters[name] = _outer_slope(unit.name, name, parameters)
        activations.append(SimpleNamespace(name=unit.name, parameters=parameters))
    loss: Any = problem.loss
    if loss is not None:
        loss = SimpleNamespace(**{name: _plain(value) for name, value in loss._asdict().items()})
        loss.pos_weight = loss.pos_weight[0] if len(loss.pos_weight) == 1 else loss.pos_weight
    return SimpleNamespace(
        network=SimpleNamespace(activations=activations, sizes=tuple(case.sizes)),
        loss=loss,
        params=problem.params,
        inputs=problem.inputs,
        targets=problem.given,
        ct_outputs=problem.given,
        sample_weights=problem.sample_weights,
    )


def _outer_slope(activation: str, kink: str, parameters: dict[str, float]) -> float:
    """The derivative at a kink of which the case says nothing: that of the flat, or the left, or the outer side."""
    if kink == "at_zero":
        return (
            SELU_SCALE * SELU_ALPHA if activation == "selu" else parameters.get("slope", parameters.get("alpha", 0.0))
        )
    return float(activation == "hard_swish" and kink == "at_high")


def _float(number: Any) -> float:
    return int(number.p) / int(number.q)


def _plain(value: Any) -> Any:
    """A field of a loss with floats in place of rational numbers."""
    if isinstance(value, tuple):
        return tuple(map(_float, value))
    return _float(value) if hasattr(value, "p") else value


def solve(case: RefereeCase) -> Answer:
    """The textbook answer to a case of the referee, in float64, p - t where cross-entropy follows its own activation.

    Raises:
        TypeError, ValueError: for malformed cases, as reference.exact.

    Example:
        >>> from reference.exact import Case
        >>> case = Case((1, 1), "sigmoid", [([[3.0]], [0.0])], [[1.0]], {"kind": "squared_error"}, [[0.5]])
        >>> round(solve(case).loss, 8)
        0.20482334
    """
    return gradients(question_of(case), EXACT, fused=True)
