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
    expm1,
    hull,
    is_zero,
    log,
    log1p,
    normal_density,
    normal_distribution,
    over,
    power,
    sech_squared,
    sign,
    sin,
    tanh,
    times,
    total,
)
from reference.pieces import celu, celu_slope, magnitude, piecewise_slope, piecewise_value
from reference.problem import BINARY_LOSSES, PROBABILITY_LOSSES, LossSpec, Unit

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


Terms = tuple[list[Real], list[Real]]


def _selected(z: Real, right: Real, left: Real, at_zero: Real) -> Real:
    """Return what belongs to the sign of z, or a ball around all three if the sign is open."""
    which = sign(z)
    return hull(right, left, at_zero) if which is None else (at_zero, right, left)[which]  # [-1] is the left


def _of_differences(loss: LossSpec, outputs: Sequence[Real], targets: Sequence[Real]) -> Terms:
    pairs = [_DIFFERENCES[loss.kind](o - t, loss.delta) for o, t in zip(outputs, targets, strict=True)]
    return [term for term, _ in pairs], [slope for _, slope in pairs]


def _huber(d: Real, delta: fmpq) -> tuple[Real, Real]:
    """Return d²/2 and d up to |d| = δ, from there δ(|d| − δ/2) and ±δ; c(d − c/2) and c with c = d clipped."""
    above, below = sign(d - delta), sign(d + delta)
    if above == 1 or below == -1:
        clipped: Real = delta if above == 1 else -delta
    else:
        clipped = d if above in (0, -1) and below in (0, 1) else hull(d, delta if above is None else -delta)
    return clipped * (d - clipped / 2), clipped


def _log_cosh(d: Real) -> Real:
    """Return ln cosh d = ln(1 + (eˣ − 1)²/(2eˣ)), x = |d|."""
    size = _selected(d, d, -d, ZERO)
    grown = expm1(size)
    return log1p(grown * grown / (2 * (1 + grown)))


_DIFFERENCES: dict[str, Callable[[Real, fmpq], tuple[Real, Real]]] = {
    "squared_error": lambda d, delta: (d * d, 2 * d),
    "absolute_error": lambda d, delta: (_selected(d, d, -d, ZERO), _selected(d, ONE, -ONE, ZERO)),
    "huber": _huber,
    "log_cosh": lambda d, delta: (_log_cosh(d), tanh(d)),
}


def _hinge(outputs: Sequence[Real], targets: Sequence[Real]) -> Terms:
    short = [1 - t * o for o, t in zip(outputs, targets, strict=True)]
    return [_selected(x, x, ZERO, ZERO) for x in short], [
        _selected(x, -t, ZERO, ZERO) for x, t in zip(short, targets, strict=True)
    ]


def _multiclass_hinge(outputs: Sequence[Real], targets: Sequence[Real]) -> Terms:
    """Return (1 − t_k) max(0, 1 + o_k − s), s = Σ_j t_j o_j, and the derivatives of their sum."""
    score = total(t * o for o, t in zip(outputs, targets, strict=True))
    terms, counted = [], []
    for o, t in zip(outputs, targets, strict=True):
        short = 1 + o - score
        terms.append(times(1 - t, _selected(short, short, ZERO, ZERO)) if not is_zero(1 - t) else ZERO)
        counted.append(_selected(short, 1 - t, ZERO, ZERO) if not is_zero(1 - t) else ZERO)
    return terms, [c - times(t, total(counted)) for c, t in zip(counted, targets, strict=True)]


def _minus_log(p: Real, minus_log: Real, epsilon: fmpq) -> Real:
    """Return −ln(p + ε), given −ln p."""
    return minus_log if epsilon == 0 else -log(p + epsilon)


def _cross_entropy(loss: LossSpec, rows: _Probabilities, targets: Sequence[Real]) -> Terms:
    """Return terms and derivatives by the probabilities, or by the logits for the losses of logits."""
    p, q, epsilon = rows.p, rows.q, loss.epsilon
    logs = [_minus_log(x, y, epsilon) for x, y in zip(p, rows.minus_log_p, strict=True)]
    if loss.kind in BINARY_LOSSES:
        factors = loss.pos_weight if len(loss.pos_weight) > 1 else loss.pos_weight * len(targets)
        yes, no = [f * t for f, t in zip(factors, targets, strict=True)], [1 - t for t in targets]
        no_logs = [_minus_log(x, y, epsilon) for x, y in zip(q, rows.minus_log_q, strict=True)]
        terms = [times(t, x) + times(s, y) for t, s, x, y in zip(yes, no, logs, no_logs, strict=True)]
        if loss.kind == "binary_cross_entropy":
            return terms, [
                over(s, y + epsilon) - over(t, x + epsilon) for t, s, x, y in zip(yes, no, p, q, strict=True)
            ]
        return terms, [times(s, x) - times(t, y) for t, s, x, y in zip(yes, no, p, q, strict=True)]
    terms = [times(t, x) for t, x in zip(targets, logs, strict=True)]
    if "divergence" in loss.kind:
        terms = [x if is_zero(t) else x + t * log(t) for t, x in zip(targets, terms, strict=True)]
    if loss.kind in PROBABILITY_LOSSES:
        return terms, [-over(t, x + epsilon) for t, x in zip(targets, p, strict=True)]
    # dp_k/do_i = p_k (δ_ik − p_i): by o_i the sum changes by −t_i (1 − p_i) + Σ_{k≠i} t_k p_i
    return terms, _through_softmax([-t for t in targets], rows)


def _through_softmax(growth: Sequence[Real], rows: _Probabilities) -> list[Real]:
    """Return Σ_k g_k (δ_ik − p_i) of g_k = p_k ∂/∂p_k: what the logits change."""
    others = [total(g for k, g in enumerate(growth) if k != i) for i in range(len(growth))]
    return [times(g, y) - times(rest, x) for g, rest, x, y in zip(growth, others, rows.p, rows.q, strict=True)]


def _sigmoid_focal(loss: LossSpec, rows: _Probabilities, targets: Sequence[Real]) -> Terms:
    """Return a mᵞ CE with m = t(1 − p) + (1 − t)p, and by the logit a (γ mᵞ⁻¹ m′ CE + mᵞ CE′)."""
    terms, slopes = [], []
    for t, p, q, yes, no in zip(targets, rows.p, rows.q, rows.minus_log_p, rows.minus_log_q, strict=True):
        entropy = times(t, yes) + times(1 - t, no)
        missing = times(t, q) + times(1 - t, p)
        weight: Real = ONE if loss.alpha is None else loss.alpha * t + (1 - loss.alpha) * (1 - t)
        modulated = power(missing, loss.gamma)
        growing = times(loss.gamma, over(modulated * (1 - 2 * t) * p * q, missing)) * entropy
        terms.append(times(weight, modulated * entropy))
        slopes.append(times(weight, growing + modulated * (times(1 - t, p) - times(t, q))))
    return terms, slopes


def _softmax_focal(loss: LossSpec, rows: _Probabilities, targets: Sequence[Real]) -> Terms:
    """Return −t (1 − p)ᵞ ln p, and by the logits what g = p ∂/∂p makes of it."""
    terms, growth = [], []
    for t, p, q, minus_log in zip(targets, rows.p, rows.q, rows.minus_log_p, strict=True):
        modulated = power(q, loss.gamma)
        steeper = times(loss.gamma, over(modulated * p * minus_log, q))
        terms.append(times(t, modulated * minus_log))
        growth.append(-times(t, modulated + steeper))
    return terms, _through_softmax(growth, rows)


def effective_targets(loss: LossSpec, targets: Sequence[Real]) -> list[Real]:
    """Return the targets (K,) of one sample with label smoothing and class weights in them."""
    smoothing = loss.label_smoothing
    if smoothing != 0 and not (loss.ignore_index is not None and all(is_zero(t) for t in targets)):
        share = fmpq(1, 2) if loss.kind in BINARY_LOSSES else fmpq(1, len(targets))
        targets = [(1 - smoothing) * t + smoothing * share for t in targets]
    if loss.class_weights is None:
        return list(targets)
    return [w * t for w, t in zip(loss.class_weights, targets, strict=True)]


def loss_row(loss: LossSpec, last: Unit, z: Sequence[Real], outputs: Sequence[Real], targets: Sequence[Real]) -> Terms:
    """Return terms (K,) and the derivatives (K,) of their sum by the outputs (K,), of one sample; no coefficients.

    A loss of probabilities takes them, with 1 − p and the logarithms, from z of the last layer; its derivative is
    that by the probabilities nevertheless.
    """
    kind, targets = loss.kind, effective_targets(loss, targets)
    if kind in _DIFFERENCES:
        return _of_differences(loss, outputs, targets)
    if kind in ("hinge", "multiclass_hinge"):
        return (_hinge if kind == "hinge" else _multiclass_hinge)(outputs, targets)
    of_probabilities = kind in PROBABILITY_LOSSES
    softmax = last.name == "softmax" if of_probabilities else kind.startswith("softmax")
    rows = (_softmax_row if softmax else _sigmoid_row)(z if of_probabilities else outputs)
    if kind in ("sigmoid_focal", "softmax_focal"):
        return (_sigmoid_focal if kind == "sigmoid_focal" else _softmax_focal)(loss, rows, targets)
    return _cross_entropy(loss, rows, targets)
