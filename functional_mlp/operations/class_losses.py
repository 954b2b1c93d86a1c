"""The cross-entropy of language models: label smoothing, z-loss, and labels that do not count."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from functional_mlp._checks import floating_array
from functional_mlp._dtypes import working_dtype
from functional_mlp.operations.arguments import integers, not_negative, require_axes, require_shape


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    ignore_index: int | None = None,
) -> Float[Array, ""]:
    """The mean over samples of -(1 - s) log p[label] - s mean(log p) + z_loss (log Σ exp logits)², p = softmax(logits).

    Args:
        logits: (..., classes), float.
        labels: (...) integers from 0 to classes - 1. One out of range gives NaN, so that no result hides it.
        label_smoothing: s in [0, 1].
        z_loss: at least 0.
        ignore_index: the label of samples that do not count, neither in the sum nor in its divisor.

    Returns:
        (), in the working dtype (float32 for 16-bit logits); 0 where no sample counts.

    Raises:
        TypeError: for logits without floats, or labels that are no integers.
        ValueError: for shapes that do not fit, or settings out of range.

    Sources: Szegedy and others, Rethinking the inception architecture, 2015 (smoothing); Chowdhery and others, PaLM,
    2022 (z-loss).

    Example:
        >>> print(cross_entropy(jnp.zeros((2, 4)), jnp.array([1, -100]), ignore_index=-100).round(4))  # log 4
        1.3863
    """
    given, labels = floating_array("logits", logits), integers("labels", labels)
    require_axes("logits", given, 1, "(..., classes)")
    require_shape("labels", labels, given.shape[:-1], "one per row of logits")
    if not_negative("label_smoothing", label_smoothing) > 1:
        raise ValueError(f"expected label_smoothing to be at most 1, got {label_smoothing}")
    given = given.astype(working_dtype(given.dtype))
    counts = jnp.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    logarithm = jax.nn.logsumexp(given, axis=-1)
    log_p = given - logarithm[..., None]
    chosen = labels[..., None] == jnp.arange(given.shape[-1], dtype=labels.dtype).reshape((1,) * labels.ndim + (-1,))
    of_label = jnp.sum(jnp.where(chosen, log_p, 0), axis=-1)
    of_label = jnp.where(jnp.any(chosen, axis=-1), of_label, jnp.nan)
    terms = -(1 - label_smoothing) * of_label - label_smoothing * jnp.mean(log_p, axis=-1)
    terms = terms + not_negative("z_loss", z_loss) * logarithm**2
    number = jnp.maximum(jnp.sum(counts), 1).astype(terms.dtype)
    return jnp.sum(jnp.where(counts, terms, 0)) / number
