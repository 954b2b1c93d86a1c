"""The operations by JAX in a dtype: the reference, compiled and operation by operation, and what jax.nn has."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.operations import Operation, Question
from benchmarks.accuracy.anything.operations.registry import DTYPES


def pulled_back(function: Callable[..., Any], question: Question, dtype: str, *, compiled: bool) -> list[Any]:
    """The gradients that `jax.vjp` gives of a function in a dtype."""
    with jax.enable_x64(dtype == "float64"), jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        floats = [jnp.asarray(x.astype(DTYPES[dtype])) for x in question.floats]
        pull = (_compiled if compiled else _pull)(function)
        found = pull(floats, list(question.constants), question.ct.astype(DTYPES[dtype]))
        return [np.asarray(x).astype(np.float64) for x in found]


def _pull(function: Callable[..., Any]) -> Callable[..., Any]:
    def pull(floats: Any, constants: Any, ct: Any) -> Any:
        y, back = jax.vjp(lambda *x: function(*x, *constants), *floats)
        return back(jnp.asarray(ct, y.dtype))

    return pull


@functools.lru_cache(maxsize=32)
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(_pull(function))


def by_jax_nn(operation: Operation, question: Question, dtype: str) -> list[Any] | None:
    """By the function of jax.nn (or jax.scipy), whose rules are its own; None if it has none."""
    function = functions().get(operation.name)
    if function is None or ("attention" in operation.name and dtype not in ATTENTION):
        return None
    return pulled_back(function, question, dtype, compiled=True)


# in float64 jax.nn.dot_product_attention computes its scores in float32; of float16 the CPU cannot make its products
ATTENTION = ("float32", "bfloat16")


@functools.cache
def functions() -> Mapping[str, Callable[..., Any]]:
    """What JAX has under a name, by operation."""

    def standardised(axis: Any) -> Callable[..., Any]:
        def function(x: Any, weight: Any, bias: Any) -> Any:
            return jax.nn.standardize(x, axis=axis) * weight + bias

        return function

    def attention(q: Any, k: Any, v: Any, **options: Any) -> Any:
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
        return jax.nn.dot_product_attention(q, k, v, **options).swapaxes(1, 2)

    def padded(q: Any, k: Any, v: Any, padding: Any) -> Any:
        return attention(q, k, v, mask=padding[:, None, None, :])

    def grouped(q: Any, k: Any, v: Any) -> Any:
        b, h, g, t, d = q.shape
        return attention(q.reshape(b, h * g, t, d), k, v).reshape(b, h, g, t, d)

    return {
        "gelu": functools.partial(jax.nn.gelu, approximate=False),
        "gelu_tanh": jax.nn.gelu,
        "silu": jax.nn.silu,
        "mish": jax.nn.mish,
        "softplus": jax.nn.softplus,
        "log_sigmoid": jax.nn.log_sigmoid,
        "sigmoid": jax.nn.sigmoid,
        "tanh": jax.nn.tanh,
        "elu": jax.nn.elu,
        "selu": jax.nn.selu,
        "relu": jax.nn.relu,
        "leaky_relu": jax.nn.leaky_relu,
        "hardswish": jax.nn.hard_swish,
        "hardtanh": jax.nn.hard_tanh,
        "softsign": jax.nn.soft_sign,
        "glu": jax.nn.glu,
        "layer_norm": standardised(-1),
        "layer_norm_of_sequence": standardised(-1),
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "causal_attention": functools.partial(attention, is_causal=True),
        "padded_attention": padded,
        "grouped_query_attention": grouped,
        "logsumexp": functools.partial(jax.nn.logsumexp, axis=-1),
        "euclidean_norm": functools.partial(jnp.linalg.norm, axis=-1),
        "standard_deviation": functools.partial(jnp.std, axis=-1, ddof=1),
        "cross_entropy_with_z_loss": _z_loss,
        "solve": lambda a, b: jax.scipy.linalg.lu_solve(jax.scipy.linalg.lu_factor(a), b),
        "cumulative_product": lambda x: jax.lax.associative_scan(jnp.multiply, x, axis=-1),
        "linear_recurrence": _associative_recurrence,
        "product": lambda x: jnp.cumprod(x, -1)[:, -1],
        "embedding": lambda weight, indices: jax.nn.one_hot(indices, len(weight), dtype=weight.dtype) @ weight,
    }


def _z_loss(x: Any, labels: Any) -> Any:
    log_probabilities = jax.nn.log_softmax(x)
    picked = jnp.take_along_axis(log_probabilities, labels[:, None], 1)[:, 0]
    return (1e-2 * jax.nn.logsumexp(x, -1) ** 2 - picked).mean()


def _associative_recurrence(x: Any, decay: Any) -> Any:
    def joined(early: Any, late: Any) -> Any:
        return early[0] * late[0], late[0] * early[1] + late[1]

    return jax.lax.associative_scan(joined, (decay, x))[1]
