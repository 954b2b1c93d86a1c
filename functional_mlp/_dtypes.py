"""Formats of floating-point numbers, and which of the two libraries computes with an array."""

from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]  # what the oracle computes with
EitherArray = TypeVar("EitherArray", jax.Array, np.ndarray)

DTYPES: dict[str, np.dtype] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}
SUPPORTED = frozenset(DTYPES.values())  # looked up by hash: NumPy takes None for equal to float64
SAFETENSORS_NAMES = {"float64": "F64", "float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def working_dtype(dtype: object) -> np.dtype:
    """The dtype that elementary functions and sums over `dtype` are computed in: float32 for the 16-bit formats."""
    known = np.dtype(dtype)  # type: ignore[call-overload]
    return DTYPES["float32"] if known.itemsize == 2 else known


def with_dtype(dtype: object) -> AbstractContextManager[Any]:
    """The scope in which a dtype exists in JAX: 64-bit types are enabled for float64, and only for it."""
    return jax.enable_x64(True) if dtype == "float64" else nullcontext()


def namespace(*arrays: Any) -> ModuleType:
    """NumPy where all are NumPy's arrays, else jax.numpy: a formula is written once for both."""
    return np if all(isinstance(array, np.ndarray) for array in arrays) else jnp
