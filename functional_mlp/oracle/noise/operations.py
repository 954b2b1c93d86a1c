"""How much every elementary operation of a correct program may round: the tables that `perturbed.py` draws from.

An *amplitude* is the standard deviation that the noise model gives to one operation, in units of the roundoff of the
format that it rounds to. The tables cover every usual way to write a formula, so the amplitude of a derivative is that
of its worst textbook form: 1 - a^2 for tanh loses what a stable form keeps, and both are correct programs.

Dimension letters: n samples, K outputs, k terms of a sum. Everything is NumPy float64.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.activations import FACTORIES, Activation
from functional_mlp.losses import KINDS, Loss
from functional_mlp.oracle.noise.precision import Format
from functional_mlp.oracle.truth import float64_on_cpu

# activations: the value is rounded by value(z, a) units, the derivative f'(z) by derivative(z, a) units


class Elementary(NamedTuple):
    """What an activation f rounds, and how steep it is.

    Attributes:
        value: amplitude of the error of a = f(z), from (z, a, parameters).
        derivative: amplitude of the error of f'(z), likewise.
        slope: |f'(z)|, likewise, to a few digits.
        curvature: the largest |f''| anywhere, kinks apart, from the parameters.
    """

    value: Callable[..., Any]
    derivative: Callable[..., Any]
    slope: Callable[..., Any]
    curvature: Callable[..., float]


def _density(z: Array) -> Array:
    return np.exp(-0.5 * np.minimum(np.abs(z), 40.0) ** 2) / 2.5066282746310002


def _distribution(z: Array, a: Array) -> Array:
    return np.where(z == 0, 0.5, a / np.where(z == 0, 1.0, z))


def _logistic(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return np.where(z > 0, 1.0, e) / (1 + e)


def _silu_slope(z: Array, a: Array) -> Array:
    s = _logistic(z)
    return np.abs(s + z * s * _logistic(-z))


ELEMENTARY: Mapping[str, Elementary] = {
    "identity": Elementary(
        value=lambda z, a: 0 * z, derivative=lambda z, a: 0 * z, slope=lambda z, a: 0 * z + 1, curvature=lambda: 0.0
    ),
    # (1 + tanh(z / 2)) / 2 rounds to 1; a (1 - a) inherits the error of a
    "sigmoid": Elementary(
        value=lambda z, a: 2 * a + 1,
        derivative=lambda z, a: 4 * a + 1,
        slope=lambda z, a: a * _logistic(-z),
        curvature=lambda: 0.0963,
    ),
    # (exp(z) - exp(-z)) / (exp(z) + exp(-z)) rounds to 1; 1 - a^2: the error of a counts twice, and the square and the
    # subtraction round to a^2 and 1
    "tanh": Elementary(
        value=lambda z, a: 2 * np.abs(a) + 1,
        derivative=lambda z, a: 1 + 2 * np.abs(a) + 5 * a * a,
        slope=lambda z, a: np.abs(1 - a * a),
        curvature=lambda: 0.770,
    ),
    "relu": Elementary(
        value=lambda z, a, at_zero: 0 * z,
        derivative=lambda z, a, at_zero: 0 * z,
        slope=lambda z, a, at_zero: np.where(z > 0, 1.0, np.where(z < 0, 0.0, abs(at_zero))),
        curvature=lambda at_zero: 0.0,
    ),
    # the slope itself is rounded, and then the product
    "leaky_relu": Elementary(
        value=lambda z, a, slope, at_zero: np.where(z < 0, 2 * np.abs(a), 0.0),
        derivative=lambda z, a, slope, at_zero: np.where(z < 0, 2 * abs(slope), 0.0),
        slope=lambda z, a, slope, at_zero: np.where(z > 0, 1.0, np.where(z < 0, abs(slope), abs(at_zero))),
        curvature=lambda slope, at_zero: 0.0,
    ),
    # exp(z) - 1 rounds to 1 where expm1 rounds to itself; the derivative may be had as a + alpha
    "elu": Elementary(
        value=lambda z, a, alpha, at_zero: np.where(z < 0, 2 * np.abs(a) + abs(alpha), 0.0),
        derivative=lambda z, a, alpha, at_zero: np.where(z < 0, 3.0 * abs(alpha), 0.0),
        slope=lambda z, a, alpha, at_zero: np.where(
            z > 0, 1.0, np.where(z < 0, abs(alpha) * np.exp(np.minimum(z, 0)), abs(at_zero))
        ),
        curvature=lambda alpha, at_zero: abs(alpha),
    ),
    # log(1 + exp(z)) rounds to 1; the derivative may be had as exp(z - a), whose argument is rounded
    "softplus": Elementary(
        value=lambda z, a: 2 * a + 1,
        derivative=lambda z, a: 1 + _logistic(z) * (3 + np.abs(z)),
        slope=lambda z, a: _logistic(z),
        curvature=lambda: 0.25,
    ),
    # z s and s + z s (1 - s): s and 1 - s round to 1
    "silu": Elementary(
        value=lambda z, a: 3 * np.abs(a) + np.abs(z),
        derivative=lambda z, a: 1 + np.abs(z) + _logistic(z) * (3 + 4 * np.abs(z)),
        slope=_silu_slope,
        curvature=lambda: 0.5,
    ),
    # z (1 + erf(z / sqrt 2)) / 2: 1 + erf rounds to 1; the density's argument z^2 / 2 is rounded
    "gelu": Elementary(
        value=lambda z, a: 3 * np.abs(a) + 2 * np.abs(z),
        derivative=lambda z, a: 2 + np.abs(z) * _density(z) * (4 + z * z),
        slope=lambda z, a: np.abs(_distribution(z, a) + z * _density(z)),
        curvature=lambda: 0.798,
    ),
}


def kind(activation: Activation) -> str:
    """The name of one of the package's own activations; "" for one of your own, whatever its name."""
    factory = FACTORIES.get(activation.name)
    return activation.name if factory is not None and factory().value_fn is activation.value_fn else ""


def elementary(activation: Activation) -> Elementary:
    """The entry of `ELEMENTARY` for an activation, its parameters filled in; for one of your own, a cautious guess."""
    if not kind(activation):
        return _own(activation)
    return Elementary(*(partial(part, **dict(activation.parameters)) for part in ELEMENTARY[kind(activation)]))


def _own(activation: Activation) -> Elementary:
    """Of an activation of one's own only its values and its VJP are known, in the cases at hand."""

    def slope(z: Array, a: Array) -> Array:
        with float64_on_cpu():
            return np.abs(np.asarray(activation.vjp(*map(jnp.asarray, (z, a, np.ones_like(z))))))

    return Elementary(
        value=lambda z, a: 4 * np.abs(a) + np.abs(z) + np.abs(z) * slope(z, a),
        derivative=lambda z, a: 4 * max(1.0, slope(z, a).max(), np.abs(a).max()) + 0 * z,
        slope=slope,
        curvature=lambda: np.inf,
    )


def left_slope(activation: Activation) -> float:
    """f' on the left side of the kink at z = 0 of relu, leaky_relu and elu."""
    parameters = dict(activation.parameters)
    return parameters.get("slope", parameters.get("alpha", 0.0))


def jump(activation: Activation, steepest: float = 1.0) -> float:
    """By how much f' jumps at z = 0: |f'(0+) - f'(0-)|, or more if the derivative chosen there lies outside.

    An activation of one's own may have a kink there too, as from -`steepest` to `steepest`.
    """
    if not kind(activation):
        return 2 * steepest
    parameters = dict(activation.parameters)
    if "at_zero" not in parameters:
        return 0.0
    sides = (left_slope(activation), 1.0, parameters["at_zero"])
    return max(sides) - min(sides)


# softmax: the units of a row act together


def exponential(z: Array) -> Array:
    """Relative amplitude (n, K) of exp(z_i) / sum_j exp(z_j): the argument z - max z is rounded, and the sum."""
    return 3 + np.sqrt(z.shape[-1]) + z.max(axis=-1, keepdims=True) - z


def softmax_of(z: Array) -> Array:
    """softmax over the last axis, to a few digits."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_pulled(a: Array, relative: Array, ct_a: Array) -> Array:
    """Amplitude (n, K) of the error of a_i (ct_i - sum_j a_j ct_j), where a has the `relative` amplitude."""
    size = (1 + relative) * a * np.abs(ct_a)
    return size + a * (size.sum(axis=-1, keepdims=True) + relative * np.abs((a * ct_a).sum(axis=-1, keepdims=True)))


# losses


class End(NamedTuple):
    """What a loss rounds, in units.

    Attributes:
        ct: the cotangent itself (n, K), to a few digits.
        cotangent: amplitude (n, K) of the error of the cotangent that the loss hands to the backward pass.
        terms: amplitude (n, K) of the error of each term of the value, its coefficient included.
        size: |term| (n, K), its coefficient included.
        lost: (n, K): how far a program may be off that works with probabilities which the format rounds to 0 or 1.
    """

    ct: Array
    cotangent: Array
    terms: Array
    size: Array
    lost: Array


def loss_end(loss: Loss, kind: str, z: Array, o: Array, t: Array, coefficients: Array, storage: Format) -> End:
    """What the loss rounds at the end of the network.

    Args:
        loss: as declared.
        kind: the kind that the cotangent is computed by: that of the logits where loss and activation are fused.
        z: the logits (n, K): pre-activations of the output layer where the two are fused, else the outputs.
        o: outputs (n, K).
        t: targets (n, K).
        coefficients: (n, 1): scale, divisors, sample weights.
        storage: the format of stored results.
    """
    c = np.abs(coefficients)
    # a probability below this rounds to 0, or its reciprocal overflows
    unit, tiny = storage.unit, max(storage.smallest, 2 * max(1.0, float(c.max())) / storage.largest)
    of_probabilities = KINDS[loss.kind].of_probabilities
    parts: tuple[Array, ...]
    with np.errstate(all="ignore"):
        if kind == "squared_error":
            ct, parts = 2 * (o - t), (6 * np.abs(o - t), 3 * (o - t) ** 2, (o - t) ** 2, 0 * o)
        elif kind == "sigmoid_cross_entropy":
            ct, parts = _logistic(z) - t, _of_bits(z, t, of_probabilities, unit, tiny)
        elif kind == "softmax_cross_entropy":
            ct = softmax_of(z) * t.sum(axis=-1, keepdims=True) - t
            parts = _of_classes(z, t, of_probabilities, unit, tiny)
        else:
            ct = -t / np.maximum(o, tiny)
            if kind == "binary_cross_entropy":
                ct = ct + (1 - t) / np.maximum(1 - o, unit)
            parts = _of_foreign_probabilities(kind, o, t, unit, tiny)
    return End(coefficients * ct, *(c * part for part in parts))


def _of_bits(z: Array, t: Array, of_probabilities: bool, unit: float, tiny: float) -> tuple[Array, ...]:
    """Binary cross-entropy of sigmoid(z); p (1 - p) (p - t) / (p (1 - p)), p - t, or what is like them."""
    p, q = _logistic(z), _logistic(-z)
    yes, no = np.abs(t), np.abs(1 - t)
    minus_log_p, minus_log_q = np.logaddexp(0, -z), np.logaddexp(0, z)
    cotangent = (4 * p + 1) * (yes + no) + yes
    size = yes * minus_log_p + no * minus_log_q
    terms = 3 * size + np.abs(z) * (1 + yes) + 1
    lost = np.zeros_like(z)
    if of_probabilities:
        terms = terms + 2 * no * p / np.maximum(q, unit) + 3 * yes
        # (1 - t) / (1 - p) loses digits to the subtraction, and p^2 exp(-z) does not lose the same ones
        cotangent = cotangent + np.where(q > 8 * unit, 2 * no * p / np.maximum(q, unit), 0.0)
        # 1 - p or p rounds to 0: the quotient is infinite, and the factor that should cancel it is 0
        lost = no * p * (q <= 8 * unit) + yes * q * (p <= tiny) + (yes + no) * (q <= 8 * unit) * q
    return cotangent, terms, size, lost


def _of_classes(z: Array, t: Array, of_probabilities: bool, unit: float, tiny: float) -> tuple[Array, ...]:
    """Categorical cross-entropy of softmax(z)."""
    p, relative = softmax_of(z), exponential(z)
    top = z.max(axis=-1, keepdims=True)
    minus_log_p = np.log(np.exp(z - top).sum(axis=-1, keepdims=True)) - (z - top)
    whole = np.abs(t).sum(axis=-1, keepdims=True)
    cotangent = p * whole * (3 + relative) + 3 * np.abs(t)
    size = np.abs(t) * minus_log_p
    terms = 3 * size + np.abs(t) * (relative + 1)
    lost = np.zeros_like(z)
    if of_probabilities:
        gone = (np.abs(t) * (p <= tiny)).sum(axis=-1, keepdims=True)
        lost = p * gone + np.abs(t) * (p <= tiny)
    return cotangent, terms, size, lost


def _of_foreign_probabilities(kind: str, o: Array, t: Array, unit: float, tiny: float) -> tuple[Array, ...]:
    """A cross-entropy of probabilities after the other activation: quotients that nothing cancels."""
    yes, no = np.abs(t), np.abs(1 - t) * (kind == "binary_cross_entropy")
    q = np.maximum(1 - o, 0)
    by_p, by_q = yes / np.maximum(o, tiny), no / np.maximum(q, unit)
    gone = ((o <= 8 * tiny) & (yes > 0)) | ((q <= 8 * unit) & (no > 0))
    size = -yes * np.log(np.maximum(o, tiny)) - no * np.log(np.maximum(q, unit))
    return 4 * (by_p + by_q), 3 * size + 3 * yes + no * (1 + 2 * o / np.maximum(q, unit)), size, (by_p + by_q) * gone
