"""How much the operations of softmax and of losses may round: the tables that `perturbed.py` draws from.

An *amplitude* is the standard deviation that the noise model gives to one operation, in units of the roundoff of the
format that it rounds to. The tables cover every usual way to write a formula, so the amplitude of a derivative is that
of its worst textbook form: 1 - a^2 for tanh loses what a stable form keeps, and both are correct programs.

Dimension letters: n samples, K outputs, k terms of a sum. Everything is NumPy float64.
"""

from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.losses import KINDS, Loss
from functional_mlp.oracle.noise.elementary import logistic
from functional_mlp.oracle.noise.precision import Format

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
            ct, parts = logistic(z) - t, _of_bits(z, t, of_probabilities, unit, tiny)
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
    p, q = logistic(z), logistic(-z)
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
