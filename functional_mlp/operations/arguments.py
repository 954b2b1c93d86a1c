"""What all operations do with their arguments: floats are computed in the working dtype, and misfits refused."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from functional_mlp._checks import finite_float, floating_array
from functional_mlp._dtypes import working_dtype

R = TypeVar("R")


def in_working_dtype(*others: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """A decorator: the function computes in the widest working dtype of its arrays, and returns that of the first.

    Arrays are the positional parameters; those named in `others` (labels, masks) are handed on as they are, and so is
    None. Settings are keyword-only.
    """

    def decorated(function: Callable[..., R]) -> Callable[..., R]:
        signature = inspect.signature(function)
        arrays = [
            name
            for name, parameter in signature.parameters.items()
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and name not in others
        ]

        @functools.wraps(function)
        def computed(*args: Any, **kwargs: Any) -> R:
            bound = signature.bind(*args, **kwargs)
            given = {
                name: floating_array(name, bound.arguments[name])
                for name in arrays
                if bound.arguments.get(name) is not None
            }
            work = max((working_dtype(array.dtype) for array in given.values()), key=lambda dtype: dtype.itemsize)
            bound.arguments.update({name: array.astype(work) for name, array in given.items()})
            result = function(*bound.args, **bound.kwargs)
            [first, *_] = given.values()
            return jax.tree.map(lambda y: y.astype(first.dtype), result)  # type: ignore[no-any-return]

        return computed

    return decorated


def wide(array: Array, *others: Array | None) -> Array:
    """An array in the working dtype, the widest of its own and those of others."""
    dtypes = [working_dtype(each.dtype) for each in (array, *others) if each is not None]
    return array.astype(max(dtypes, key=lambda dtype: dtype.itemsize))


def along(vector: Array, axis: int, ndim: int) -> Array:
    """A vector as an array of `ndim` axes that varies along one of them: nothing is left to broadcasting by rank."""
    shape = [1] * ndim
    shape[axis] = vector.shape[0]
    return vector.reshape(shape)


def scaled_and_shifted(x: Array, weight: Array | None, bias: Array | None, axis: int = -1) -> Array:
    """x weight + bias, one number of each per index of an axis; None leaves them out."""
    x = x if weight is None else x * along(weight, axis, x.ndim)
    return x if bias is None else x + along(bias, axis, x.ndim)


def require_size(what: str, array: Array | None, size: int, of: str) -> None:
    """Raises ValueError unless an array is None or of shape (size,)."""
    if array is not None and array.shape != (size,):
        raise ValueError(f"expected {what} of shape ({size},), one number per {of}, got {tuple(array.shape)}")


def require_axes(what: str, array: Any, least: int, shape: str) -> None:
    """Raises ValueError for fewer axes."""
    if array.ndim < least:
        raise ValueError(f"expected {what} of shape {shape}, got shape {tuple(array.shape)}")


def require_shape(what: str, array: Any, shape: tuple[int, ...], of: str) -> None:
    """Raises ValueError for another shape."""
    if tuple(array.shape) != shape:
        raise ValueError(f"expected {what} of shape {shape}, {of}, got {tuple(array.shape)}")


def not_negative(what: str, value: Any) -> float:
    """A finite number of at least 0.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is negative or not finite.
    """
    number = finite_float(what, value)
    if number < 0:
        raise ValueError(f"expected {what} to be at least 0, got {number}")
    return number


def integers(what: str, value: Any) -> Array:
    """An array of integers, as JAX's.

    Raises:
        TypeError: for another dtype.
    """
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"expected {what} to hold integers, got dtype {array.dtype}")
    return jnp.asarray(array)
