"""What a loss is given: arrays that fit each other, weights, factors; one sentence for what does not fit."""

from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import finite_float, floating_array, is_concrete


def as_array(targets: Any) -> np.ndarray | None:
    """What is no array of JAX as one of NumPy's; None where it is no array at all."""
    try:
        return np.asarray(targets)
    except Exception:  # whatever a stranger's __array__ raises; `floating_array` says what
        return None


def factors_of(name: str, given: Any) -> tuple[float, ...]:
    """Numbers that are not negative, and not all 0."""
    factors = tuple(finite_float(name, value) for value in given)
    if not factors or min(factors) < 0 or not any(factors):
        raise ValueError(f"expected {name} to be not negative and not all 0, got {given!r}")
    return factors


def checked_arguments(
    loss: Any, outputs: ArrayLike, targets: ArrayLike, sample_weights: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """The arguments of `Loss.value_and_cotangent` as arrays of JAX that fit; errors as there."""
    outputs = floating_array("outputs", outputs, 2, "(n, K)")
    end: Array = loss.targets_of("targets", targets, outputs.shape[1], outputs.dtype)
    if end.shape != outputs.shape:
        hint = ""
        if end.ndim == 1 and end.shape == outputs.shape[:1]:
            column = (
                "; use targets[:, None]"
                if outputs.shape[1] == 1
                else "; class labels must be integers (n,), or one-hot rows"
            )
            hint = f", which would broadcast to a wrong result{column}"
        raise ValueError(f"expected targets of the shape of the outputs {outputs.shape}, got {end.shape}{hint}")
    if end.dtype != outputs.dtype:
        raise TypeError(f"expected targets of the outputs' dtype {outputs.dtype}, got {end.dtype}; cast one of them")
    if outputs.size == 0:
        raise ValueError(f"expected at least one sample and one output, got outputs of shape {outputs.shape}")
    if sample_weights is None:
        return outputs, end, None
    return outputs, end, check_sample_weights(sample_weights, outputs)


def check_sample_weights(sample_weights: ArrayLike, samples: Array) -> Array:
    """`sample_weights` as an array (n,), fitting `samples` (n, ...) in length and dtype; values checked if concrete.

    Raises:
        TypeError: if it does not hold floats of the samples' dtype.
        ValueError: if its shape differs, or it holds negative or non-finite weights, or only zeros.
    """
    weights = floating_array("sample_weights", sample_weights)
    if weights.shape != samples.shape[:1]:
        raise ValueError(f"expected sample_weights of shape {samples.shape[:1]}, got {weights.shape}")
    if weights.dtype != samples.dtype:
        raise TypeError(f"expected sample_weights of dtype {samples.dtype}, got {weights.dtype}; cast them")
    if is_concrete(weights):
        values = np.asarray(weights, dtype=np.float64)
        if not np.isfinite(values).all() or (values < 0).any() or not values.any():
            raise ValueError("expected sample_weights to be finite, not negative, and not all 0")
    return weights
