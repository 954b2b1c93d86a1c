"""Formats of floating-point numbers, and which of the two libraries computes with an array."""

from types import ModuleType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]  # what the oracle computes with
EitherArray = TypeVar("EitherArray", jax.Array, np.ndarray)


def namespace(array: Any) -> ModuleType:
    """NumPy for NumPy's arrays, jax.numpy for JAX's, traced or not: a formula is written once for both."""
    return np if isinstance(array, np.ndarray) else jnp
