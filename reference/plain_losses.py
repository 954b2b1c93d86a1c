"""Losses as textbooks write them, in NumPy: terms and derivatives, factors of the samples, penalties.

Nothing guards against cancellation: 1 - p is a difference, and so are |d| - delta / 2 and |d| + ... - log 2.
`loss` has the attributes of a `functional_mlp.Loss`, of which nothing is imported; sums are formed by `total`, of an
array over an axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Total = Callable[[Array, int | None], Array]
OF_LOGITS = {
    "binary_cross_entropy": "sigmoid_cross_entropy",
    "categorical_cross_entropy": "softmax_cross_entropy",
    "kl_divergence": "softmax_kl_divergence",
}
OF_BITS = ("binary_cross_entropy", "sigmoid_cross_entropy")


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without exponentials of positive numbers."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def softmax(z: Array, total: Total) -> Array:
    """exp(z_i) / sum_j exp(z_j) over the last of two axes, the largest subtracted first."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / total(e, 1)[:, None]


def log_softmax(z: Array, total: Total) -> Array:
    """log(softmax(z)), without the probability."""
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(total(np.exp(shifted), 1))[:, None]


def _where_wanted(target: Array, factor: Array) -> Array:
    """target * factor, and 0 where the target is 0: the limit of t log p and of t / p."""
    return np.where(target == 0, np.zeros_like(target), target * factor)


def effective_targets(loss: Any, t: Array) -> Array:
    """Targets with label smoothing and class weights in them; rows of ignored samples stay 0."""
    if loss.label_smoothing:
        share = 0.5 if loss.kind in OF_BITS else 1 / t.shape[1]
        counted = (t != 0).any(axis=1, keepdims=True) | (loss.ignore_index is None)
        t = np.where(counted, t * (1 - loss.label_smoothing) + loss.label_smoothing * share, np.zeros_like(t))
    return t if loss.class_weights is None else t * np.asarray(loss.class_weights, t.dtype)


def terms_of(loss: Any, kind: str, o: Array, t: Array, total: Total) -> tuple[Array, Array]:
    """The terms (n, K) of a loss, and the derivative (n, K) of their sum with respect to the outputs.

    Args:
        loss: as declared.
        kind: as computed: that of the logits where loss and activation are fused.
        o: outputs, or logits (n, K).
        t: targets (n, K), as given.
        total: how sums are formed.
    """
    t = effective_targets(loss, t)
    if kind in _OF_DIFFERENCES:
        return _OF_DIFFERENCES[kind](loss, o - t)
    if kind in ("sigmoid_cross_entropy", "binary_cross_entropy"):
        return (_of_logits if kind == "sigmoid_cross_entropy" else _of_probabilities)(loss, o, t)
    if kind == "hinge":
        return np.maximum(0, 1 - t * o), np.where(t * o < 1, -t, np.zeros_like(t))
    if kind == "multiclass_hinge":
        return _of_margins(o, t, total)
    if kind == "sigmoid_focal":
        return _focal_of_bits(loss, o, t)
    if kind == "softmax_focal":
        return _focal_of_classes(loss, o, t, total)
    entropy = _where_wanted(t, np.log(t)) if "divergence" in kind else np.zeros_like(t)
    if kind in ("softmax_cross_entropy", "softmax_kl_divergence"):
        return entropy - _where_wanted(t, log_softmax(o, total)), softmax(o, total) * total(t, 1)[:, None] - t
    return entropy - _where_wanted(t, np.log(o + loss.epsilon)), -_where_wanted(t, 1 / (o + loss.epsilon))


def _of_logits(loss: Any, o: Array, t: Array) -> tuple[Array, Array]:
    if loss.pos_weight == 1.0:
        return np.logaddexp(0, o) - t * o, sigmoid(o) - t
    # as PyTorch: (1 - t) o + (1 + (w - 1) t) softplus(-o)
    factor = 1 + (np.asarray(loss.pos_weight, t.dtype) - 1) * t
    return (1 - t) * o + factor * np.logaddexp(0, -o), (1 - t) - factor * (1 - sigmoid(o))


def _of_probabilities(loss: Any, p: Array, t: Array) -> tuple[Array, Array]:
    if loss.pos_weight == 1.0 and loss.epsilon == 0:
        return -(_where_wanted(t, np.log(p)) + _where_wanted(1 - t, np.log(1 - p))), (p - t) / (p * (1 - p))
    yes, no = np.asarray(loss.pos_weight, t.dtype) * t, 1 - t
    near_p, near_q = p + loss.epsilon, 1 - p + loss.epsilon
    terms = -(_where_wanted(yes, np.log(near_p)) + _where_wanted(no, np.log(near_q)))
    return terms, _where_wanted(no, 1 / near_q) - _where_wanted(yes, 1 / near_p)


def _huber(loss: Any, d: Array) -> tuple[Array, Array]:
    inside, delta = np.abs(d) <= loss.delta, loss.delta
    return np.where(inside, d * d / 2, delta * (np.abs(d) - delta / 2)), np.where(inside, d, delta * np.sign(d))


def _log_cosh(loss: Any, d: Array) -> tuple[Array, Array]:
    return np.abs(d) + np.log1p(np.exp(-2 * np.abs(d))) - math.log(2), np.tanh(d)


_OF_DIFFERENCES: dict[str, Callable[[Any, Array], tuple[Array, Array]]] = {
    "squared_error": lambda loss, d: (d**2, 2 * d),
    "absolute_error": lambda loss, d: (np.abs(d), np.sign(d)),
    "huber": _huber,
    "log_cosh": _log_cosh,
}


def _of_margins(o: Array, t: Array, total: Total) -> tuple[Array, Array]:
    short = np.maximum(0, 1 + o - total(t * o, 1)[:, None])
    counted = (1 - t) * (short > 0)
    return (1 - t) * short, counted - t * total(counted, 1)[:, None]


def _focal_of_bits(loss: Any, o: Array, t: Array) -> tuple[Array, Array]:
    """a (1 - p_t)^gamma CE, CE of logits; 1 - p_t as a difference."""
    p, gamma = sigmoid(o), loss.gamma
    entropy = np.logaddexp(0, o) - t * o
    missing = 1 - (p * t + (1 - p) * (1 - t))
    factor = 1.0 if loss.alpha is None else loss.alpha * t + (1 - loss.alpha) * (1 - t)
    power = missing**gamma
    steep = np.zeros_like(power) if gamma == 0 else gamma * missing ** (gamma - 1)
    slope = steep * (1 - 2 * t) * (p * (1 - p)) * entropy + power * (p - t)
    return factor * power * entropy, factor * slope


def _focal_of_classes(loss: Any, o: Array, t: Array, total: Total) -> tuple[Array, Array]:
    """-t (1 - p)^gamma log p, through the Jacobian of softmax."""
    p, log_p, gamma = softmax(o, total), log_softmax(o, total), loss.gamma
    power = (1 - p) ** gamma
    steep = np.zeros_like(power) if gamma == 0 else gamma * (1 - p) ** (gamma - 1)
    ct_p = _where_wanted(t, steep * log_p - power / p)
    return -_where_wanted(t, power * log_p), p * (ct_p - total(ct_p * p, 1)[:, None])


def coefficients(case: Any, dtype: np.dtype[Any]) -> Array:
    """What the terms of each sample are multiplied by, (n, 1); the divisors are formed by Python, in float64."""
    loss = case.loss
    assert loss is not None
    samples, outputs = len(case.inputs), case.network.sizes[-1]
    factor = loss.scale / (outputs if loss.over_outputs == "mean" else 1)
    if case.sample_weights is None and loss.class_weights is None and loss.ignore_index is None:
        return np.full((samples, 1), factor / (1 if loss.over_samples == "sum" else samples)).astype(dtype)
    weights = np.ones(samples) if case.sample_weights is None else case.sample_weights
    if loss.ignore_index is not None:
        weights = weights * (case.targets != 0).any(axis=1)
    by_class = 1.0 if loss.class_weights is None else case.targets @ np.asarray(loss.class_weights)
    divisors = {"sum": 1.0, "mean": (weights * by_class).sum(), "batch_mean": np.count_nonzero(weights)}
    return (weights.astype(dtype) * (factor / float(divisors[loss.over_samples])))[:, None]


def penalised(loss: Any, params: Any) -> list[Array]:
    """The arrays that the penalties cover."""
    return [x for w, b in params for x in (w, b if loss.l2_on_bias else None) if x is not None]


def penalty(loss: Any, params: Any, total: Total) -> Any:
    """l2 / 2 sum w^2 + l1 sum |w|; 0 without."""
    value: Any = 0.0
    for factor, size in ((loss.l2 / 2, np.square), (loss.l1, np.abs)):
        if factor:
            sums = [total(size(x), None) for x in penalised(loss, params)]
            value = value + factor * sum(sums[1:], sums[0])
    return value


def decayed(loss: Any, ct: Array, x: Array) -> Array:
    """The gradient of a parameter that the penalties cover, with theirs added."""
    if loss is None:
        return ct
    ct = ct + loss.l2 * x if loss.l2 else ct
    return ct + loss.l1 * np.sign(x) if loss.l1 else ct
