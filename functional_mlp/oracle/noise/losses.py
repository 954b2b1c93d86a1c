"""What every kind of loss rounds: the amplitudes of its cotangent and its terms, its kinks, and how steep it is.

One table, `NOISE`, holds all that the noise model knows of a kind. As in `operations.py` an amplitude is in units of
the roundoff and covers every usual way to write a formula. Targets are the effective ones: label smoothing and class
weights are in them.

Dimension letters: n samples, K outputs. Everything is NumPy float64, without the coefficients of the loss.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.losses import KINDS, Loss
from functional_mlp.oracle.noise.elementary import logistic
from functional_mlp.oracle.noise.operations import exponential, softmax_of
from functional_mlp.oracle.noise.precision import Format


class End(NamedTuple):
    """What a loss rounds, in units; coefficients included.

    Attributes:
        ct: the cotangent itself (n, K), to a few digits.
        cotangent: amplitude (n, K) of the error of the cotangent that the loss hands to the backward pass.
        terms: amplitude (n, K) of the error of each term of the value.
        size: |term| (n, K).
        lost: (n, K): how far a program may be off that works with probabilities which the format rounds to 0 or 1.
    """

    ct: Array
    cotangent: Array
    terms: Array
    size: Array
    lost: Array


class Ending(NamedTuple):
    """The end of a network as a loss sees it.

    Attributes:
        loss: as it is computed: the loss of the logits where the declared one is fused with its activation.
        of_probabilities: whether the declared one is of probabilities.
        z: what `loss` sees (n, K): logits, or outputs.
        t: effective targets (n, K).
        unit: roundoff of the stored results.
        tiny: a probability below this rounds to 0, or its reciprocal overflows.
    """

    loss: Loss
    of_probabilities: bool
    z: Array
    t: Array
    unit: float
    tiny: float


Parts = tuple[Array, Array, Array, Array, Array]  # as `End`, without coefficients


class LossNoise(NamedTuple):
    """What the noise model knows of one kind of loss.

    Attributes:
        parts: the fields of `End`, without coefficients.
        bound: the most that the cotangent changes, (n, K), from the ending and the errors of z and t; infinite where
            nothing is proved.
        flips: how far the cotangent jumps, (n, K), where the kinks of the loss are nearer than the noise: from the
            ending and how far the noise may move z and t. None without kinks.
    """

    parts: Callable[[Ending], Parts]
    bound: Callable[[Ending, Array, Any], Array]
    flips: Callable[[Ending, Array, Any], Array] | None = None


def ending_of(loss: Loss, computed: Loss, z: Array, targets: Array, scale: float, storage: Format) -> Ending:
    """The end of a network, from the loss as declared and as computed, what that sees, and the largest coefficient."""
    tiny = max(storage.smallest, 2 * max(1.0, scale) / storage.largest)
    of_probabilities = KINDS[loss.kind].of_probabilities
    return Ending(computed, of_probabilities, z, loss.effective_targets(targets), storage.unit, tiny)


def loss_end(ending: Ending, coefficients: Array) -> End:
    """What the loss rounds at the end of the network.

    Args:
        ending: as the loss sees it.
        coefficients: (n, 1): scale, divisors, sample weights.
    """
    c, loss = np.abs(coefficients), ending.loss
    with np.errstate(all="ignore"):
        ct, cotangent, terms, size, lost = NOISE[loss.kind].parts(ending)
        if loss.label_smoothing or loss.class_weights is not None or loss.pos_weight != 1.0:
            # targets and weights are products and sums, which are rounded before the formula
            cotangent, terms = cotangent + 4 * np.abs(ct) + 4 * np.abs(ending.t), terms + 4 * size
    return End(coefficients * ct, c * cotangent, c * terms, c * size, c * lost)


def flipped(ending: Ending, coefficients: Array, moved: Array, targets_moved: Any) -> Array:
    """How far the cotangent (n, K) jumps where a kink of the loss is nearer than the noise; 0 elsewhere.

    Args:
        ending, coefficients: as in `loss_end`.
        moved: how far the noise may move what the loss sees, (n, K).
        targets_moved: the same of the targets.
    """
    flips = NOISE[ending.loss.kind].flips
    if flips is None:
        return np.zeros_like(ending.z)
    return np.abs(coefficients) * flips(ending, moved, targets_moved)


def cotangent_bound(ending: Ending, coefficients: Array, moved: Array, targets_moved: Any) -> Array:
    """The most that errors of this size change the cotangent by, rounding of its own apart; arguments as `flipped`."""
    if ending.loss.class_weights is not None:
        targets_moved = targets_moved * max(ending.loss.class_weights)
    return np.abs(coefficients) * NOISE[ending.loss.kind].bound(ending, moved, targets_moved)


# of the difference of outputs and targets


def _of_squares(end: Ending) -> Parts:
    d = end.z - end.t
    return 2 * d, 6 * np.abs(d), 3 * d**2, d**2, 0 * d


def _of_sizes(end: Ending) -> Parts:
    d = end.z - end.t
    return np.sign(d), 2 * np.abs(np.sign(d)), 3 * np.abs(d), np.abs(d), 0 * d


def _of_huber(end: Ending) -> Parts:
    """d^2 / 2, or delta (|d| - delta / 2), whose difference may cancel."""
    d, delta = end.z - end.t, end.loss.delta
    clipped = np.clip(d, -delta, delta)
    size = np.abs(clipped * (d - clipped / 2))
    return clipped, 4 * np.abs(clipped), 4 * size + 3 * np.abs(clipped * d), size, 0 * d


def _of_log_cosh(end: Ending) -> Parts:
    """log of a cosh that rounds to 1, or |d| + log(1 + exp(-2 |d|)) - log 2; tanh as in the table of activations."""
    d = end.z - end.t
    slope, size = np.tanh(d), np.logaddexp(d, -d) - np.log(2)
    steep = np.abs(d) * (1 - slope**2)  # the difference is rounded
    return slope, 3 * np.abs(slope) + 2 + steep, 3 * np.abs(size) + 3 * np.abs(d) + 3, np.abs(size), 0 * d


# of margins


def _of_hinge(end: Ending) -> Parts:
    reached = end.t * end.z
    inside = reached < 1
    ct = np.where(inside, -end.t, 0.0)
    size = np.where(inside, 1 - reached, 0.0)
    return ct, 3 * np.abs(ct), 3 * size + 2 * (1 + np.abs(reached)), size, 0 * ct


def _shortfalls(end: Ending) -> tuple[Array, Array]:
    """By how much each score (n, K) comes too near to that of the right class, and the size of what that is made of."""
    score, spread = ((x * y).sum(axis=-1, keepdims=True) for x, y in ((end.t, end.z), (np.abs(end.t), np.abs(end.z))))
    return 1 + end.z - score, 1 + np.abs(end.z) + spread


def _of_margins(end: Ending) -> Parts:
    short, made_of = _shortfalls(end)
    no = 1 - end.t
    counted = np.where(short > 0, no, 0.0)
    ct = counted - end.t * counted.sum(axis=-1, keepdims=True)
    rounded = np.abs(counted) + np.abs(end.t) * np.abs(counted).sum(axis=-1, keepdims=True)
    size = np.abs(counted * short)
    return ct, 3 * rounded, 3 * size + 3 * np.abs(no) * made_of, size, 0 * ct


def _flips_of_sizes(end: Ending, moved: Array, targets_moved: Any) -> Array:
    d = end.z - end.t
    return np.where(np.abs(d) <= moved + targets_moved, np.where(d == 0, 1.0, 2.0), 0.0)


def _flips_of_hinge(end: Ending, moved: Array, targets_moved: Any) -> Array:
    near = np.abs(end.t) * moved + np.abs(end.z) * targets_moved
    return np.where(np.abs(1 - end.t * end.z) <= near, np.abs(end.t), 0.0)


def _flips_of_margins(end: Ending, moved: Array, targets_moved: Any) -> Array:
    short, made_of = _shortfalls(end)
    far = np.abs(end.t) * moved + np.abs(end.z) * targets_moved
    near = moved + far.sum(axis=-1, keepdims=True) + 3 * end.unit * made_of
    jumps = np.where(np.abs(short) <= near, np.abs(1 - end.t), 0.0)
    return jumps + np.abs(end.t) * jumps.sum(axis=-1, keepdims=True)


# of probabilities and logits


def _positive_part(end: Ending) -> Array:
    """The targets times the weight of the positive class."""
    return end.t * np.asarray(end.loss.pos_weight)


def _of_bits(end: Ending) -> Parts:
    """Binary cross-entropy of sigmoid(z); p (1 - p) (p - t) / (p (1 - p)), p - t, or what is like them."""
    z, t, unit = end.z, end.t, end.unit
    p, q = logistic(z), logistic(-z)
    weighted = _positive_part(end)
    yes, no = np.abs(weighted), np.abs(1 - t)
    minus_log_p, minus_log_q = np.logaddexp(0, -z), np.logaddexp(0, z)
    cotangent = (4 * p + 1) * (yes + no) + yes
    size = yes * minus_log_p + no * minus_log_q
    terms = 3 * size + np.abs(z) * (1 + yes) + 1
    lost = np.zeros_like(z)
    if end.of_probabilities:
        terms = terms + 2 * no * p / np.maximum(q, unit) + 3 * yes
        # (1 - t) / (1 - p) loses digits to the subtraction, and p^2 exp(-z) does not lose the same ones
        cotangent = cotangent + np.where(q > 8 * unit, 2 * no * p / np.maximum(q, unit), 0.0)
        # 1 - p or p rounds to 0: the quotient is infinite, and the factor that should cancel it is 0
        lost = no * p * (q <= 8 * unit) + yes * q * (p <= end.tiny) + (yes + no) * (q <= 8 * unit) * q
    return (1 - t) * p - weighted * q if end.loss.pos_weight != 1.0 else p - t, cotangent, terms, size, lost


def _of_classes(end: Ending) -> Parts:
    """Categorical cross-entropy of softmax(z)."""
    z, t = end.z, end.t
    p, relative = softmax_of(z), exponential(z)
    top = z.max(axis=-1, keepdims=True)
    minus_log_p = np.log(np.exp(z - top).sum(axis=-1, keepdims=True)) - (z - top)
    whole = np.abs(t).sum(axis=-1, keepdims=True)
    cotangent = p * whole * (3 + relative) + 3 * np.abs(t)
    size = np.abs(t) * minus_log_p
    terms = 3 * size + np.abs(t) * (relative + 1)
    lost = np.zeros_like(z)
    if end.of_probabilities:
        gone = (np.abs(t) * (p <= end.tiny)).sum(axis=-1, keepdims=True)
        lost = p * gone + np.abs(t) * (p <= end.tiny)
    return p * t.sum(axis=-1, keepdims=True) - t, cotangent, terms, size, lost


def _of_foreign_probabilities(end: Ending) -> Parts:
    """A cross-entropy of probabilities, not fused with its own activation: quotients that nothing cancels."""
    o, unit, tiny, epsilon = end.z, end.unit, end.tiny, end.loss.epsilon
    binary = end.loss.kind == "binary_cross_entropy"
    weighted = _positive_part(end)
    yes, no = np.abs(weighted), np.abs(1 - end.t) * binary
    p, q = o + epsilon, np.maximum(1 - o, 0) + epsilon
    by_p, by_q = yes / np.maximum(p, tiny), no / np.maximum(q, unit)
    gone = ((p <= 8 * tiny) & (yes > 0)) | ((q <= 8 * unit) & (no > 0))
    size = -yes * np.log(np.maximum(p, tiny)) - no * np.log(np.maximum(q, unit))
    terms = 3 * np.abs(size) + 3 * yes + no * (1 + 2 * o / np.maximum(q, unit))
    ct = -weighted / np.maximum(p, tiny) + binary * (1 - end.t) / np.maximum(q, unit)
    return ct, 4 * (by_p + by_q), terms, size, (by_p + by_q) * gone


def _and_entropy(parts: Callable[[Ending], Parts]) -> Callable[[Ending], Parts]:
    """A cross-entropy with t log t added to its terms: t log(t / p), or t (log t - log p)."""

    def of_divergence(end: Ending) -> Parts:
        ct, cotangent, terms, size, lost = parts(end)
        t = np.maximum(np.abs(end.t), np.finfo(np.float64).tiny)
        entropy = np.abs(t * np.log(t))
        return ct, cotangent, terms + 3 * entropy + 3 * t, size + entropy, lost

    return of_divergence


# focal losses: what p and 1 - p round is magnified by the powers


def _of_focal_bits(end: Ending) -> Parts:
    """a m^gamma CE of sigmoid(z), m = 1 - p_t a difference, CE of logits or -log of a probability."""
    z, t, gamma, unit = end.z, end.t, end.loss.gamma, end.unit
    p, q = logistic(z), logistic(-z)
    yes, no = np.abs(t), np.abs(1 - t)
    alpha = 0.5 if end.loss.alpha is None else end.loss.alpha
    factor = np.abs(alpha * t + (1 - alpha) * (1 - t)) * (2.0 if end.loss.alpha is None else 1.0)
    entropy = t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)
    missing = np.abs(t * q + (1 - t) * p)
    off = (3 * p + 2) * (yes + no)  # of m, in units
    reached = missing + unit * off
    power, steep = reached**gamma, gamma * reached ** (gamma - 1)
    log_off = 3 * np.abs(entropy) + np.abs(z) + 2 + yes / np.maximum(p, unit) + no * (2 * p + 1) / np.maximum(q, unit)
    through, bent = p * q * np.abs(1 - 2 * t), gamma * abs(gamma - 1) * reached ** (gamma - 2)
    slope = (1 - t) * p - t * q
    ct = factor * (gamma * missing ** (gamma - 1) * (1 - 2 * t) * p * q * entropy + missing**gamma * slope)
    cotangent = (
        steep * np.abs(entropy) * (4 * p + 1) * np.abs(1 - 2 * t)
        + bent * off * through * np.abs(entropy)
        + steep * through * log_off
        + steep * off * np.abs(slope)
        + power * (4 * p + 1) * (yes + no)
    )
    size = factor * missing**gamma * np.abs(entropy)
    terms = 3 * size + factor * (steep * off * np.abs(entropy) + power * log_off)
    return ct, factor * cotangent + 4 * np.abs(ct), terms, size, 0 * z


def _of_focal_classes(end: Ending) -> Parts:
    """-t (1 - p)^gamma log p of softmax(z), through the Jacobian of softmax or not."""
    z, t, gamma, unit = end.z, end.t, end.loss.gamma, end.unit
    p, relative = softmax_of(z), exponential(z)
    top = z.max(axis=-1, keepdims=True)
    minus_log = np.log(np.exp(z - top).sum(axis=-1, keepdims=True)) - (z - top)
    q, off = np.where(z == top, -np.expm1(-minus_log), 1 - p), p * relative + 1
    reached = q + unit * off
    power, steep = reached**gamma, gamma * reached ** (gamma - 1)
    bent = gamma * abs(gamma - 1) * reached ** (gamma - 2)
    log_off, steeped = 3 * minus_log + relative + 1, steep * p * minus_log
    growth = -t * (power + steeped)
    rounded = np.abs(t) * (
        steeped * (2 + relative) + bent * off * p * minus_log + steep * (off + p * log_off) + 2 * power
    )
    rounded = rounded + (2 + relative) * np.abs(growth)
    ct = growth * q - p * (growth.sum(axis=-1, keepdims=True) - growth)
    size = np.abs(t) * q**gamma * minus_log
    terms = 3 * size + np.abs(t) * (steep * off * minus_log + power * log_off)
    return ct, rounded + p * rounded.sum(axis=-1, keepdims=True) + 3 * np.abs(ct), terms, size, 0 * z


# bounds


def _lipschitz(constant: float) -> Callable[[Ending, Array, Any], Array]:
    return lambda end, moved, targets_moved: constant * (moved + targets_moved)


def _bound_of_bits(end: Ending, moved: Array, targets_moved: Any) -> Array:
    """(1 - t) s(z) - w t s(-z); the slope of s is at most 1/4."""
    heavy = np.asarray(end.loss.pos_weight)
    t = np.abs(end.t)
    return 0.25 * moved * (1 + (1 + heavy) * t + heavy * targets_moved) + np.maximum(heavy, 1) * targets_moved


def _bound_of_classes(end: Ending, moved: Array, targets_moved: Any) -> Array:
    whole = (np.abs(end.t) + targets_moved).sum(axis=-1, keepdims=True)
    return np.expm1(2 * moved.max(axis=-1, keepdims=True)) * whole + 2 * targets_moved


def _unproved(end: Ending, moved: Array, targets_moved: Any) -> Array:
    return np.full_like(end.z, np.inf)


NOISE: Mapping[str, LossNoise] = {
    "squared_error": LossNoise(_of_squares, _lipschitz(2.0)),
    "absolute_error": LossNoise(_of_sizes, _flips_of_sizes, _flips_of_sizes),
    "huber": LossNoise(_of_huber, _lipschitz(1.0)),
    "log_cosh": LossNoise(_of_log_cosh, _lipschitz(1.0)),
    "hinge": LossNoise(_of_hinge, lambda end, moved, more: _flips_of_hinge(end, moved, more) + more, _flips_of_hinge),
    "multiclass_hinge": LossNoise(_of_margins, _unproved, _flips_of_margins),
    "binary_cross_entropy": LossNoise(_of_foreign_probabilities, _unproved),
    "categorical_cross_entropy": LossNoise(_of_foreign_probabilities, _unproved),
    "kl_divergence": LossNoise(_and_entropy(_of_foreign_probabilities), _unproved),
    "sigmoid_cross_entropy": LossNoise(_of_bits, _bound_of_bits),
    "softmax_cross_entropy": LossNoise(_of_classes, _bound_of_classes),
    "softmax_kl_divergence": LossNoise(_and_entropy(_of_classes), _bound_of_classes),
    "sigmoid_focal": LossNoise(_of_focal_bits, _unproved),
    "softmax_focal": LossNoise(_of_focal_classes, _unproved),
}
