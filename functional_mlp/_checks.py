"""Sentences for bad input, shared by every module: what was expected, what was got, how to fix it.

Checks here look at shapes and dtypes (known while JAX traces) and, where the array is concrete, at values. Arrays that
are not JAX's become JAX's, by JAX's own rule: NumPy's float64 is float32 where 64-bit types are not enabled.
"""

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from functional_mlp._dtypes import DTYPES, SUPPORTED
from functional_mlp._jax_compat import is_traced


def floating_dtype(what: str, dtype: Any) -> jnp.dtype:
    """`dtype` if it is one of the four supported ones.

    Raises:
        TypeError: if it is not.
    """
    try:
        known = jnp.dtype(dtype)
    except TypeError:
        known = None
    if known not in SUPPORTED:
        names = ", ".join(reversed(DTYPES))
        raise TypeError(f"expected {what} to be one of {names}, got {dtype}")
    return known


def is_key(array: Any) -> bool:
    """Whether an array, or its shape and dtype, is one of JAX's typed random keys."""
    return bool(jnp.issubdtype(array.dtype, jax.dtypes.prng_key))


def random_key(what: str, key: Any, ndim: int = 0) -> jax.Array:
    """`key` if it is a JAX random key, or an array of them with `ndim` axes; old-style uint32 keys are taken too.

    Raises:
        TypeError: if it is none.
        ValueError: for another number of axes, or none at all along one.
    """
    remedy = "jax.random.key(seed)" if ndim == 0 else "jax.random.split(jax.random.key(seed), count)"
    typed = isinstance(key, jax.Array) and is_key(key)
    if not typed and not (isinstance(key, jax.Array) and key.dtype == jnp.uint32):
        raise TypeError(f"expected {what} to be a JAX random key, got {key!r}; make it with {remedy}")
    if key.ndim - (not typed) != ndim or key.size == 0:
        raise ValueError(f"expected {what} with {ndim} axes of at least one key, got shape {key.shape}; use {remedy}")
    return key


def is_concrete(x: Any) -> bool:
    """Whether the values of `x` can be read now, that is, it is not being traced by a JAX transformation."""
    return not is_traced(x)


def known_name(kind: str, name: Any, known: Iterable[str]) -> str:
    """Returns `name` if it is in `known`; else raises ValueError that suggests the nearest known name.

    Raises:
        TypeError: if `name` is not a string.
        ValueError: if it is unknown.
    """
    names = sorted(known)
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a known {kind} as a string, got {name!r}; known: {', '.join(names)}")
    if name in names:
        return name
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {kind} {name!r}: {hint}known: {', '.join(names)}")


def positive_int(what: str, value: Any) -> int:
    """`value` as an int that is at least 1.

    Raises:
        TypeError: if it is not an integer (bool is refused too).
        ValueError: if it is below 1.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"expected {what} to be an integer of at least 1, got {value!r}")
    if value < 1:
        raise ValueError(f"expected {what} to be at least 1, got {value}")
    return int(value)


def finite_float(what: str, value: Any) -> float:
    """`value` as a finite Python float.

    Raises:
        TypeError: if it is not a real number.
        ValueError: if it is NaN or infinite.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real | np.floating):
        raise TypeError(f"expected {what} to be a real number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"expected {what} to be finite, got {float(value)}")
    return float(value)


def floating_array(what: str, value: ArrayLike, ndim: int | None = None, shape_hint: str = "") -> jax.Array:
    """`value` as a JAX array of one of the four supported dtypes, its number of axes checked.

    Raises:
        TypeError: for integers, booleans, objects, strings, complex numbers, or what is no array at all.
        ValueError: for a ragged list or the wrong number of axes.
    """
    if not isinstance(value, jax.Array):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"expected {what} to be a rectangular array, got rows of unequal length") from error
        except Exception as error:  # whatever a stranger's __array__ raises
            raise TypeError(f"expected {what} to be an array of floats, got {type(value).__name__}") from error
    if value.dtype not in SUPPORTED:
        remedy = "convert it, for example with .astype('float32')"
        raise TypeError(f"expected {what} to hold floats of 16, 32 or 64 bits, got dtype {value.dtype}; {remedy}")
    if ndim is not None and value.ndim != ndim:
        hint = f" {shape_hint}" if shape_hint else ""
        raise ValueError(f"expected {what} with {ndim} axes{hint}, got shape {tuple(value.shape)}")
    return jnp.asarray(value)


def finite_values(what: str, value: ArrayLike) -> None:
    """Raises ValueError if the concrete array `value` holds NaN or infinity; says where the first one is."""
    if not is_concrete(value):
        return
    on_host = not isinstance(value, jax.Array) or all(device.platform == "cpu" for device in value.devices())
    if not on_host and bool(jnp.isfinite(value).all()):
        return
    array = np.asarray(value)
    finite = np.isfinite(array)  # on the host NumPy does without a program per shape
    if finite.all():
        return
    index = tuple(int(i) for i in np.argwhere(~finite)[0])
    count = int((~finite).sum())
    raise ValueError(
        f"expected {what} to be finite, got {array[index]} at index {index} ({count} such values in all);"
        " remove or replace them first"
    )


def require_kind(what: str, value: Any, kind: type, remedy: str) -> None:
    """Raises TypeError unless `value` is a `kind`; `remedy` makes one."""
    if not isinstance(value, kind):
        raise TypeError(f"expected {what} to be a {kind.__name__}, got {type(value).__name__}; make it with {remedy}")


def require_optimizer(optimizer: Any) -> None:
    """Raises TypeError unless `optimizer` is an optax transformation; a factory such as optax.sgd is none."""
    if hasattr(optimizer, "init") and hasattr(optimizer, "update"):
        return
    name = getattr(optimizer, "__name__", type(optimizer).__name__)
    hint = f"; call it: {name}(learning_rate)" if callable(optimizer) else ""
    raise TypeError(f"expected optimizer to be an optax transformation, got {name}{hint}")


def require_optimizer_factory(factory: Any) -> None:
    """Raises TypeError unless `factory` is a function of the learning rate; a finished transformation is none."""
    if callable(factory):
        return
    raise TypeError(
        "expected optimizer to be a function that maps a learning rate to an optax transformation, such as optax.sgd"
        f" itself, got {type(factory).__name__}; use lambda rate: ... for other settings"
    )
