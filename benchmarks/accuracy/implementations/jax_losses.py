"""Losses as a user of JAX writes them, for `jax.grad`: terms, means, weights and penalties; no derivative by hand."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp.losses import Loss


def _log_where_wanted(target: Any, p: Any) -> Any:
    # both wheres are needed: the derivative of the branch not taken must be finite too
    absent = target == 0
    return jnp.where(absent, 0, target * jnp.log(jnp.where(absent, 1, p)))


def _effective(loss: Loss, t: Any) -> Any:
    if loss.label_smoothing:
        share = 1 / t.shape[1] if loss.kind.startswith(("softmax", "categorical")) else 0.5
        counted = jnp.any(t != 0, axis=1, keepdims=True) if loss.ignore_index is not None else jnp.ones_like(t[:, :1])
        t = jnp.where(counted, (1 - loss.label_smoothing) * t + loss.label_smoothing * share, 0)
    return t if loss.class_weights is None else t * jnp.asarray(loss.class_weights, t.dtype)[None, :]


def _positive(loss: Loss, t: Any) -> Any:
    return t * jnp.asarray(loss.pos_weight, t.dtype).reshape(1, -1)


def _huber(loss: Loss, o: Any, t: Any) -> Any:
    size = jnp.abs(o - t)
    return jnp.where(size <= loss.delta, 0.5 * size**2, loss.delta * (size - 0.5 * loss.delta))


def _bits(loss: Loss, p: Any, t: Any) -> Any:
    yes, epsilon = _positive(loss, t), loss.epsilon
    return -(_log_where_wanted(yes, p + epsilon) + _log_where_wanted(1 - t, 1 - p + epsilon))


def _focal_bits(loss: Loss, o: Any, t: Any) -> Any:
    p = jax.nn.sigmoid(o)
    entropy = -t * jax.nn.log_sigmoid(o) - (1 - t) * jax.nn.log_sigmoid(-o)
    factor = 1 if loss.alpha is None else loss.alpha * t + (1 - loss.alpha) * (1 - t)
    return factor * (1 - (p * t + (1 - p) * (1 - t))) ** loss.gamma * entropy


TERMS: dict[str, Callable[[Loss, Any, Any], Any]] = {
    "squared_error": lambda loss, o, t: (o - t) ** 2,
    "absolute_error": lambda loss, o, t: jnp.abs(o - t),
    "huber": _huber,
    "log_cosh": lambda loss, o, t: jnp.logaddexp(o - t, t - o) - jnp.log(2.0).astype(o.dtype),
    "hinge": lambda loss, o, t: jnp.maximum(0, 1 - t * o),
    "multiclass_hinge": lambda loss, o, t: (1 - t) * jax.nn.relu(1 + o - jnp.sum(t * o, axis=1, keepdims=True)),
    "binary_cross_entropy": _bits,
    "categorical_cross_entropy": lambda loss, o, t: -_log_where_wanted(t, o + loss.epsilon),
    "kl_divergence": lambda loss, o, t: _log_where_wanted(t, t) - _log_where_wanted(t, o),
    "sigmoid_cross_entropy": lambda loss, o, t: (
        -_positive(loss, t) * jax.nn.log_sigmoid(o) - (1 - t) * jax.nn.log_sigmoid(-o)
    ),
    "softmax_cross_entropy": lambda loss, o, t: -t * jax.nn.log_softmax(o),
    "softmax_kl_divergence": lambda loss, o, t: _log_where_wanted(t, t) - t * jax.nn.log_softmax(o),
    "sigmoid_focal": _focal_bits,
    "softmax_focal": lambda loss, o, t: -t * (1 - jax.nn.softmax(o)) ** loss.gamma * jax.nn.log_softmax(o),
}


def jax_loss(loss: Loss, kind: str, end: Any, targets: Any, weights: Any, params: Any) -> Any:
    """The loss, penalties included, computed as the one of `kind` of `end`."""
    terms = TERMS[kind](loss, end, _effective(loss, targets))
    rows = jnp.mean(terms, axis=1) if loss.over_outputs == "mean" else jnp.sum(terms, axis=1)
    if weights is not None or loss.class_weights is not None or loss.ignore_index is not None:
        weights = jnp.ones_like(rows) if weights is None else weights
        if loss.ignore_index is not None:
            weights = jnp.where(jnp.any(targets != 0, axis=1), weights, 0)
        total = jnp.sum(rows * weights) / _divisor(loss, targets, weights)
    else:
        total = jnp.sum(rows) if loss.over_samples == "sum" else jnp.mean(rows)
    return loss.scale * total + penalty(loss, params, jnp.zeros((), total.dtype))


def _divisor(loss: Loss, targets: Any, weights: Any) -> Any:
    if loss.over_samples == "batch_mean":
        return jnp.sum(weights != 0).astype(weights.dtype)
    if loss.over_samples == "sum":
        return 1
    return jnp.sum(weights if loss.class_weights is None else weights * (targets @ np.asarray(loss.class_weights)))


def penalty(loss: Loss, params: Any, zero: Any) -> Any:
    """The penalties; `params` may be tensors of PyTorch, and `zero` is theirs."""
    covered = [x for w, b in params for x in (w, b if loss.l2_on_bias else None) if x is not None]
    total = zero
    if loss.l2:
        total = total + 0.5 * loss.l2 * sum(((x**2).sum() for x in covered), zero)
    return total + loss.l1 * sum((abs(x).sum() for x in covered), zero) if loss.l1 else total
