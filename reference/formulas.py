"""The formulas of the referee (reference/exact.py), each from its definition: activations, their derivatives, losses.

All take and return `Real` numbers or rows of them, one sample at a time, at the precision of `flint.ctx`. They avoid
differences of nearly equal numbers where a definition offers another way, which saves bits and decides nothing: a ball
is right however it was computed. `VALUES` and `DERIVATIVES` hold what acts on every unit alone; softmax stands apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flint import arb, fmpq

from reference.balls import (
    ONE,
    ZERO,
    Real,
    ball,
    cos,
    exp,
    is_zero,
    log,
    log1p,
    normal_density,
    normal_distribution,
    over,
    sech_squared,
    sign,
    sin,
    tanh,
    times,
    total,
)
from reference.pieces import celu, celu_slope, magnitude, piecewise_slope, piecewise_value
from reference.problem import PROBABILITY_LOSSES, Unit

PIECEWISE = ("relu", "leaky_relu", "prelu", "elu", "selu", "relu6", "hardtanh", "hard_sigmoid", "hard_swish")


def _logistic(z: Real) -> tuple[Real, Real]:
    """Return σ(z) and 1 − σ(z) = σ(−z), from the exponential that does not grow."""
    small = exp(-z) if sign(z) == 1 else exp(z)
    near_one, near_zero = 1 / (1 + small), small / (1 + small)
    return (near_one, near_zero) if sign(z) == 1 else (near_zero, near_one)


def _softplus(z: Real) -> Real:
    """Return ln(1 + eᶻ)."""
    return z + log1p(exp(-z)) if sign(z) == 1 else log1p(exp(z))


QUICK_RATE = fmpq(*(1.702).as_integer_ratio())


def _gelu_argument(z: Real) -> Real:
    """Return 2 sqrt(2/pi) (z + 0.044715 z^3), so that the gelu by tanh is z sigmoid of it."""
    return times(z, 2 * (2 / arb.pi()).sqrt() * (1 + fmpq(44715, 10**6) * z * z))


def _gelu_argument_slope(z: Real) -> Real:
    return 2 * (2 / arb.pi()).sqrt() * (1 + 3 * fmpq(44715, 10**6) * z * z)


def _gate(z: Real) -> Real:
    """Return tanh(ln(1 + e^z)) = n / (n + 2) with n = e (e + 2), or with e^-z where that is below 1."""
    if sign(z) == 1:
        g = exp(-z)
        return (1 + 2 * g) / (1 + 2 * g + 2 * g * g)
    n = exp(z) * (exp(z) + 2)
    return n / (n + 2)


def _gate_slope(z: Real) -> Real:
    """Return its derivative 4 e (e + 1) / (n + 2)^2."""
    if sign(z) == 1:
        g = exp(-z)
        whole = 1 + 2 * g + 2 * g * g
        return 4 * g * g * (1 + g) / (whole * whole)
    e = exp(z)
    whole = e * (e + 2) + 2
    return 4 * e * (e + 1) / (whole * whole)


def _softsign_slope(z: Real) -> Real:
    whole = 1 + magnitude(z)
    return 1 / (whole * whole)


def _scaled_tanh_slope(z: Real, unit: Unit) -> Real:
    scale, rate = unit.parameters["scale"], unit.parameters["rate"]
    return scale * rate * sech_squared(rate * z)


def _gelu_tanh_slope(z: Real) -> Real:
    p, q = _logistic(_gelu_argument(z))
    return p * (1 + times(z, q * _gelu_argument_slope(z)))


def _silu_slope(z: Real, rate: Real = ONE) -> Real:
    p, q = _logistic(rate * z)
    return p * (1 + rate * z * q)


VALUES: dict[str, Callable[[Real, Unit], Real]] = {
    "identity": lambda z, unit: z,
    "sigmoid": lambda z, unit: _logistic(z)[0],
    "tanh": lambda z, unit: tanh(z),
    "softplus": lambda z, unit: _softplus(unit.parameters["beta"] * z) / unit.parameters["beta"],
    "silu": lambda z, unit: times(z, _logistic(z)[0]),
    "gelu": lambda z, unit: times(z, normal_distribution(z)),
    "gelu_tanh": lambda z, unit: times(z, _logistic(_gelu_argument(z))[0]),
    "quick_gelu": lambda z, unit: times(z, _logistic(QUICK_RATE * z)[0]),
    "mish": lambda z, unit: times(z, _gate(z)),
    "celu": celu,
    "scaled_tanh": lambda z, unit: unit.parameters["scale"] * tanh(unit.parameters["rate"] * z),
    "softsign": lambda z, unit: z / (1 + magnitude(z)),
    "sin": lambda z, unit: sin(z),
    "cos": lambda z, unit: cos(z),
    "gaussian": lambda z, unit: exp(-z * z),
    **dict.fromkeys(PIECEWISE, piecewise_value),
}
DERIVATIVES: dict[str, Callable[[Real, Unit], Real]] = {
    "identity": lambda z, unit: ONE,
    "sigmoid": lambda z, unit: _logistic(z)[0] * _logistic(z)[1],
    "tanh": lambda z, unit: sech_squared(z),
    "softplus": lambda z, unit: _logistic(unit.parameters["beta"] * z)[0],
    "silu": lambda z, unit: _silu_slope(z),
    "gelu": lambda z, unit: normal_distribution(z) + times(z, normal_density(z)),
    "gelu_tanh": lambda z, unit: _gelu_tanh_slope(z),
    "quick_gelu": lambda z, unit: _silu_slope(z, QUICK_RATE),
    "mish": lambda z, unit: _gate(z) + times(z, _gate_slope(z)),
    "celu": celu_slope,
    "scaled_tanh": _scaled_tanh_slope,
    "softsign": lambda z, unit: _softsign_slope(z),
    "sin": lambda z, unit: cos(z),
    "cos": lambda z, unit: -sin(z),
    "gaussian": lambda z, unit: times(z, -2 * exp(-z * z)),
    **dict.fromkeys(PIECEWISE, piecewise_slope),
}


class _Probabilities(NamedTuple):
    """Of one row: p, q = 1 − p, −ln p and −ln q, none of them by a difference of nearly equal numbers."""

    p: list[Real]
    q: list[Real]
    minus_log_p: list[Real]
    minus_log_q: list[Real]


def _sigmoid_row(z: Sequence[Real]) -> _Probabilities:
    pairs = [_logistic(x) for x in z]
    return _Probabilities(
        [p for p, _ in pairs], [q for _, q in pairs], [_softplus(-x) for x in z], list(map(_softplus, z))
    )


def _softmax_row(z: Sequence[Real]) -> _Probabilities:
    # Any unit may serve as the reference; the largest midpoint keeps the exponentials from growing.
    reference = 0
    for i in range(1, len(z)):
        if ball(z[i]).mid() > ball(z[reference]).mid():
            reference = i
    powers: list[Real] = [ONE if i == reference else exp(x - z[reference]) for i, x in enumerate(z)]
    # What is left when one is taken out, as sums of positive numbers from both sides: a difference would cancel.
    before: list[Real] = [ZERO]
    after: list[Real] = [ZERO]
    for forward, backward in zip(powers, reversed(powers), strict=True):
        before.append(before[-1] + forward)
        after.append(after[-1] + backward)
    others = [before[i] + after[len(z) - 1 - i] for i in range(len(z))]
    everything = before[-1]
    p, q = [e / everything for e in powers], [rest / everything for rest in others]
    log_everything = log1p(others[reference])
    minus_log_p = [z[reference] - x + log_everything if i != reference else log_everything for i, x in enumerate(z)]
    # ln 0 is never wanted but for a single unit, whose q is 0 and whose factor 1 − t has been checked to be 0
    minus_log_q = [
        ZERO if is_zero(x) else -log1p(-y) if sign(x - y) == 1 else -log(x) for x, y in zip(q, p, strict=True)
    ]
    return _Probabilities(p, q, minus_log_p, minus_log_q)


def activated(unit: Unit, z: Sequence[Real]) -> list[Real]:
    """Return a (n_l,) of z (n_l,)."""
    if unit.name == "softmax":
        return _softmax_row(z).p
    return [VALUES[unit.name](x, unit) for x in z]


def through_activation(unit: Unit, z: Sequence[Real], ct_a: Sequence[Real]) -> list[Real]:
    """Return ct_z (n_l,) of z (n_l,) and ct_a (n_l,)."""
    if unit.name == "softmax":
        # ct_z_i = a_i (ct_i − Σ_j a_j ct_j) = a_i Σ_j a_j (ct_i − ct_j) because the a_j sum to 1
        a = _softmax_row(z).p
        return [
            a_i * total(times(ct_i - ct_j, a_j) for j, (a_j, ct_j) in enumerate(zip(a, ct_a, strict=True)) if j != i)
            for i, (a_i, ct_i) in enumerate(zip(a, ct_a, strict=True))
        ]
    return [times(ct, DERIVATIVES[unit.name](x, unit)) for x, ct in zip(z, ct_a, strict=True)]


def loss_row(
    kind: str, last: Unit, z: Sequence[Real], outputs: Sequence[Real], targets: Sequence[Real]
) -> tuple[list[Real], list[Real]]:
    """Return terms (K,) and the derivatives (K,) of their sum by the outputs (K,), of one sample; no coefficients.

    A loss of probabilities takes them, with 1 − p and the logarithms, from z of the last layer; its derivative is
    that by the probabilities nevertheless.
    """
    if kind == "squared_error":
        return [(o - t) * (o - t) for o, t in zip(outputs, targets, strict=True)], [
            2 * (o - t) for o, t in zip(outputs, targets, strict=True)
        ]
    of_probabilities = kind in PROBABILITY_LOSSES
    softmax = last.name == "softmax" if of_probabilities else kind == "softmax_cross_entropy"
    rows = (_softmax_row if softmax else _sigmoid_row)(z if of_probabilities else outputs)
    p, q = rows.p, rows.q
    if kind in ("categorical_cross_entropy", "softmax_cross_entropy"):
        terms = [times(t, x) for t, x in zip(targets, rows.minus_log_p, strict=True)]
    else:
        terms = [
            times(t, x) + times(1 - t, y) for t, x, y in zip(targets, rows.minus_log_p, rows.minus_log_q, strict=True)
        ]
    if kind == "binary_cross_entropy":
        ct = [over(1 - t, y) - over(t, x) for t, x, y in zip(targets, p, q, strict=True)]
    elif kind == "categorical_cross_entropy":
        ct = [-over(t, x) for t, x in zip(targets, p, strict=True)]
    elif kind == "sigmoid_cross_entropy":
        ct = [times(1 - t, x) - times(t, y) for t, x, y in zip(targets, p, q, strict=True)]
    else:  # dp_k/do_i = p_k (δ_ik − p_i): by o_i the sum changes by −t_i (1 − p_i) + Σ_{k≠i} t_k p_i
        others = [total(t for k, t in enumerate(targets) if k != i) for i in range(len(targets))]
        ct = [times(rest, x) - times(t, y) for rest, t, x, y in zip(others, targets, p, q, strict=True)]
    return terms, ct
