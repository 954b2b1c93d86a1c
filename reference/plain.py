"""The NumPy reference: a multilayer perceptron as textbooks write it, in plain float64.

Derivatives are the usual ones, written with the activation itself: a (1 − a), 1 − a², p − t for sigmoid with binary
cross-entropy and for softmax with categorical cross-entropy. Nothing guards against cancellation or saturation beyond
what every textbook does (the largest logit is subtracted in softmax), so this is also a measure of what that costs:
docs/measured/certification.md compares it with the truth of reference/exact.py. It takes the same cases.

Samples are rows; ct_v is dLoss/dv.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from flint import fmpq

from reference._problem import PROBABILITY_LOSSES, Array, Case, LossSpec, Problem, Unit, checked

__all__ = ["Case", "Solution", "solve"]

_erf = np.vectorize(math.erf, otypes=[np.float64])


class Solution(NamedTuple):
    """Attributes as in reference.exact.Solution, without the balls; entries may be infinite or NaN."""

    loss: float | None
    outputs: Array
    deltas: tuple[Array, ...]
    grads: tuple[tuple[Array, Array | None], ...]
    ct_inputs: Array


def _float(number: fmpq) -> float:
    return int(number.p) / int(number.q)


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _normal_distribution(z: Array) -> Array:
    return 0.5 * (1 + _erf(z / math.sqrt(2)))


def _normal_density(z: Array) -> Array:
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _at_kink(z: Array, derivative: Array, at_zero: float) -> Array:
    return np.where(z == 0, at_zero, derivative)


# name: (z, parameter) -> a
VALUES: dict[str, Callable[[Array, float], Array]] = {
    "identity": lambda z, p: z,
    "sigmoid": lambda z, p: _sigmoid(z),
    "tanh": lambda z, p: np.tanh(z),
    "relu": lambda z, p: np.maximum(z, 0),
    "leaky_relu": lambda z, p: np.where(z > 0, z, p * z),
    "elu": lambda z, p: np.where(z > 0, z, p * np.expm1(np.minimum(z, 0))),
    "softplus": lambda z, p: np.logaddexp(0, z),
    "silu": lambda z, p: z * _sigmoid(z),
    "gelu": lambda z, p: z * _normal_distribution(z),
    "softmax": lambda z, p: _softmax(z),
}


def _silu_derivative(z: Array) -> Array:
    s = _sigmoid(z)
    return s + z * s * (1 - s)


# name: (z, a, parameter) -> da/dz; softmax, which mixes units, stands in `_through_activation`
DERIVATIVES: dict[str, Callable[[Array, Array, float], Array]] = {
    "identity": lambda z, a, p: np.ones_like(z),
    "sigmoid": lambda z, a, p: a * (1 - a),
    "tanh": lambda z, a, p: 1 - a**2,
    "relu": lambda z, a, p: (z > 0).astype(np.float64),
    "leaky_relu": lambda z, a, p: np.where(z > 0, 1.0, p),
    "elu": lambda z, a, p: np.where(z > 0, 1.0, p * np.exp(np.minimum(z, 0))),
    "softplus": lambda z, a, p: _sigmoid(z),
    "silu": lambda z, a, p: _silu_derivative(z),
    "gelu": lambda z, a, p: _normal_distribution(z) + z * _normal_density(z),
}


def _through_activation(unit: Unit, z: Array, a: Array, ct_a: Array) -> Array:
    if unit.name == "softmax":
        return a * (ct_a - (ct_a * a).sum(axis=1, keepdims=True))
    derivative = DERIVATIVES[unit.name](z, a, _float(unit.parameter))
    if unit.name in ("relu", "leaky_relu", "elu"):
        derivative = _at_kink(z, derivative, _float(unit.at_zero))
    return ct_a * derivative


def _times(target: Array, factor: Array) -> Array:
    """target · factor, and 0 where the target is 0: the limit of t ln p."""
    return np.where(target == 0, 0.0, target * factor)


def _terms(kind: str, o: Array, t: Array) -> tuple[Array, Array]:
    """The terms (n, K), and the derivative (n, K) of their sum by the outputs."""
    if kind == "squared_error":
        return (o - t) ** 2, 2 * (o - t)
    if kind == "binary_cross_entropy":
        return -(_times(t, np.log(o)) + _times(1 - t, np.log(1 - o))), _times(1 - t, 1 / (1 - o)) - _times(t, 1 / o)
    if kind == "categorical_cross_entropy":
        return -_times(t, np.log(o)), -_times(t, 1 / o)
    if kind == "sigmoid_cross_entropy":
        return np.logaddexp(0, o) - t * o, _sigmoid(o) - t
    top = o.max(axis=1, keepdims=True)
    log_total = top + np.log(np.exp(o - top).sum(axis=1, keepdims=True))
    return _times(t, log_total - o), _softmax(o) * t.sum(axis=1, keepdims=True) - t


def coefficients(problem: Problem, loss: LossSpec) -> Array:
    """What the terms of each sample are multiplied by, (n, 1)."""
    n, outputs = problem.given.shape
    weights = np.ones(n) if problem.sample_weights is None else problem.sample_weights
    divisor = (weights.sum() if loss.over_samples == "mean" else 1) * (outputs if loss.over_outputs == "mean" else 1)
    return (_float(loss.scale) * weights / divisor)[:, None]


def solve(case: Case) -> Solution:
    """Returns loss, outputs, deltas, gradients and input gradients; errors for malformed cases as reference.exact.

    Example:
        >>> case = Case((1, 1), "sigmoid", [([[3.0]], [0.0])], [[1.0]], {"kind": "squared_error"}, [[0.5]])
        >>> round(solve(case).loss, 8)
        0.20482334
    """
    with np.errstate(all="ignore"):  # what overflows shows in the result
        return _solved(checked(case))


def _solved(problem: Problem) -> Solution:
    units, params, loss = problem.units, problem.params, problem.loss
    pre_activations, activations = [], [problem.inputs]
    for unit, (w, b) in zip(units, params, strict=True):
        z = activations[-1] @ w
        if b is not None:
            z = z + b
        a = VALUES[unit.name](z, _float(unit.parameter))
        pre_activations.append(z)
        activations.append(a)
    outputs = activations[-1]
    value, ct, fused = (None, problem.given, False) if loss is None else _ended(problem, loss, outputs)
    decay = 0.0 if loss is None else _float(loss.l2)
    bias_decay = decay if loss is not None and loss.l2_on_bias else 0.0
    deltas: list[Array] = []
    grads: list[tuple[Array, Array | None]] = []
    for layer in reversed(range(len(params))):
        unit, (w, b) = units[layer], params[layer]
        a_prev, z, a = activations[layer], pre_activations[layer], activations[layer + 1]
        is_last = layer == len(params) - 1
        ct_z = ct if fused and is_last else _through_activation(unit, z, a, ct)
        ct_w = a_prev.T @ ct_z
        ct_b = ct_z.sum(axis=0)
        deltas.append(ct_z)
        grads.append((ct_w + decay * w, None if b is None else ct_b + bias_decay * b))
        ct = ct_z @ w.T
    return Solution(value, outputs, tuple(deltas[::-1]), tuple(grads[::-1]), ct)


def _ended(problem: Problem, loss: LossSpec, outputs: Array) -> tuple[float, Array, bool]:
    """The loss; its cotangent (n, K), of the logits where loss and output activation are fused; whether they are."""
    terms, derivatives = _terms(loss.kind, outputs, problem.given)
    last = problem.units[-1].name
    fused = loss.kind in PROBABILITY_LOSSES and (last == "sigmoid") == (loss.kind == "binary_cross_entropy")
    if fused:  # p − t; for targets that do not sum to 1, p Σt − t
        total = problem.given.sum(axis=1, keepdims=True) if last == "softmax" else 1.0
        derivatives = outputs * total - problem.given
    factors = coefficients(problem, loss)
    value = float((factors * terms).sum() + _penalty(problem, loss))
    return value, factors * derivatives, fused


def _penalty(problem: Problem, loss: LossSpec) -> float:
    penalised = [w for w, _ in problem.params]
    if loss.l2_on_bias:
        penalised += [b for _, b in problem.params if b is not None]
    return _float(loss.l2) / 2 * sum(float((x**2).sum()) for x in penalised)
