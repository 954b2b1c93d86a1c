"""Class labels: integers (n,) in place of one-hot targets (n, K)."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from functional_mlp._checks import is_concrete, positive_int


def is_labels(targets: Any) -> bool:
    """Whether an array holds class labels: integers (n,)."""
    return bool(targets.ndim == 1 and np.issubdtype(targets.dtype, np.integer))


def one_hot(labels: Any, classes: int, ignore_index: int | None = None, dtype: Any = np.float64) -> Any:
    """Targets (n, K) with a single 1 per row, at the sample's class; of JAX's arrays for JAX's labels, else of NumPy's.

    Args:
        labels: (n,) integers, 0..K-1.
        classes: K, the number of outputs.
        ignore_index: a label for samples that do not count: their rows are all 0.
        dtype: of the targets.

    Returns:
        (n, K) of `dtype`. While JAX traces, the row of a label out of range is NaN, so that no result hides it.

    Raises:
        TypeError: for labels that are no integers, or a number of classes that is none.
        ValueError: for another number of axes, or a concrete label out of range; it says where.

    Example:
        >>> one_hot([2, 0, -100], 3, ignore_index=-100).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    classes = positive_int("classes", classes)
    labels = labels if hasattr(labels, "ndim") and hasattr(labels, "dtype") else np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"expected class labels as integers from 0 to {classes - 1}, got dtype {labels.dtype}")
    if labels.ndim != 1:
        raise ValueError(f"expected class labels of shape (n,), one per sample, got shape {tuple(labels.shape)}")
    xp = np if isinstance(labels, np.ndarray) else jnp
    ignored = xp.zeros(labels.shape, bool) if ignore_index is None else labels == ignore_index
    known = ((labels >= 0) & (labels < classes)) | ignored
    if is_concrete(labels) and not np.asarray(known).all():
        sample = int(np.argmin(np.asarray(known)))
        remedy = "" if ignore_index is not None else "; samples that do not count need Loss(..., ignore_index=...)"
        raise ValueError(
            f"expected class labels from 0 to {classes - 1} for {classes} outputs, got {int(labels[sample])} at sample"
            f" {sample}{remedy}"
        )
    rows = ((labels[:, None] == xp.arange(classes)[None, :]) & ~ignored[:, None]).astype(dtype)
    return rows if xp is np else jnp.where(known[:, None], rows, jnp.asarray(jnp.nan, dtype))


def targets_of_labels(kind_of_targets: str, labels: Any, outputs: int, ignore_index: int | None, dtype: Any) -> Any:
    """The targets (n, K) that class labels (n,) stand for, for a loss with targets of a kind of `TARGETS`.

    Class losses want one-hot rows. Losses of single bits take labels 0 and 1 where there is one output, as a column.

    Raises:
        TypeError, ValueError: as `one_hot`, and for losses that take no labels.
    """
    if kind_of_targets == "one_hot":
        return one_hot(labels, outputs, ignore_index, dtype)
    if kind_of_targets == "bits" and outputs == 1:
        return one_hot(labels, 2, None, dtype)[:, 1:]
    raise ValueError(
        f"expected targets of shape ({labels.shape[0]}, {outputs}), got integers of shape {tuple(labels.shape)}: class"
        " labels belong to losses over classes, such as softmax_cross_entropy, or over one bit; for numbers give floats"
        " of the shape of the outputs"
    )
