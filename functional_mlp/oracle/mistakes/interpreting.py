"""Running a JAX function with NumPy: once each on many shapes, where compiling would take seconds for every new shape.

`trace` does what any transformation does, and `evaluate` runs the trace operation by operation, in the dtypes
that JAX would use, with NumPy's own functions for the common primitives. Whatever it does not know, JAX itself runs.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Literal

from functional_mlp._dtypes import SUPPORTED, working_dtype


class Trace(NamedTuple):
    """A function as JAX sees it: what it does to arrays of certain shapes and dtypes.

    Attributes:
        jaxpr: the operations.
        structure: of the tree that it returns.
    """

    jaxpr: Any
    structure: Any


def trace(function: Callable[..., Any], *arguments: Any) -> Trace:
    """The trace of `function`, for trees of arrays, or of `jax.ShapeDtypeStruct`, of these shapes and dtypes."""
    jaxpr, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    return Trace(jaxpr, jax.tree.structure(shape))


def evaluate(traced: Trace, *arguments: Any, wanted: Callable[[Any], Any] | None = None) -> Any:
    """What a traced function returns for trees of NumPy arrays, as one; overflow and 0/0 are silent.

    Args:
        traced: the function.
        arguments: what it is given.
        wanted: picks from the tree that it returns what is to be computed; None for everything.
    """
    jaxpr = traced.jaxpr.jaxpr
    tree = jax.tree.unflatten(traced.structure, jaxpr.outvars)
    leaves, structure = jax.tree.flatten(tree if wanted is None else wanted(tree))
    with np.errstate(all="ignore"):
        given = [np.asarray(leaf) for leaf in jax.tree.leaves(arguments)]
        results = _evaluate(jaxpr, traced.jaxpr.consts, given, leaves)
    return jax.tree.unflatten(structure, [np.array(result) for result in results])


def interpret(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, for trees of NumPy arrays, as a tree of NumPy arrays."""
    return evaluate(trace(function, *arguments), *arguments)


def _evaluate(jaxpr: Any, consts: Any, arguments: Any, wanted: list[Any]) -> list[Any]:
    """The values of the variables `wanted`."""
    known = dict(zip(jaxpr.constvars, consts, strict=True)) | dict(zip(jaxpr.invars, arguments, strict=True))
    for equation in _needed(jaxpr, wanted):
        values = [known[x] if not isinstance(x, Literal) else _literal(x) for x in equation.invars]
        name, parameters = equation.primitive.name, equation.params
        if name in _ELEMENTWISE:
            results = [_ELEMENTWISE[name](*values)]
        elif name in _SHAPED:
            results = [_SHAPED[name](parameters, *values)]
        elif name in _CALLS:
            inner = parameters.get("jaxpr", parameters.get("call_jaxpr"))
            results = _evaluate(inner.jaxpr, inner.consts, values, inner.jaxpr.outvars)
        else:
            results = _by_jax(equation, values)
        known |= zip(equation.outvars, results, strict=True)
    return [known[x] if not isinstance(x, Literal) else _literal(x) for x in wanted]


def _needed(jaxpr: Any, wanted: list[Any]) -> list[Any]:
    """The operations that these variables depend on."""
    variables, needed = {x for x in wanted if not isinstance(x, Literal)}, []
    for equation in reversed(jaxpr.eqns):
        if not variables.isdisjoint(equation.outvars):
            variables.update(x for x in equation.invars if not isinstance(x, Literal))
            needed.append(equation)
    return needed[::-1]


def _literal(x: Any) -> Any:
    return np.asarray(x.val, x.aval.dtype)


def _by_jax(equation: Any, values: list[Any]) -> list[Any]:
    if equation.primitive.name == "pure_callback":  # as it is: JAX would compile a program around each
        results = equation.params["callback"](*values)
    else:
        results = equation.primitive.bind(*values, **equation.params)
    results = results if equation.primitive.multiple_results else [results]
    return [np.asarray(result) for result in results]


def _broadcast(p: Any, x: Any) -> Any:
    sizes = [1] * len(p["shape"])
    for place, size in zip(p["broadcast_dimensions"], x.shape, strict=True):
        sizes[place] = size
    return np.broadcast_to(x.reshape(sizes), p["shape"])


def _dot(p: Any, left: Any, right: Any) -> Any:
    """Contracted and batched axes anywhere, as (batch…, rows, inner) @ (batch…, inner, columns)."""
    (left_inner, right_inner), (left_batch, right_batch) = p["dimension_numbers"]
    dtype = p["preferred_element_type"] or left.dtype
    work = working_dtype(dtype) if np.dtype(dtype) in SUPPORTED else dtype
    rows = [i for i in range(left.ndim) if i not in (*left_inner, *left_batch)]
    columns = [i for i in range(right.ndim) if i not in (*right_inner, *right_batch)]
    batch, height = [left.shape[i] for i in left_batch], [left.shape[i] for i in rows]
    inner, width = [left.shape[i] for i in left_inner], [right.shape[i] for i in columns]

    rows_first = left.transpose(*left_batch, *rows, *left_inner).astype(work)
    columns_last = right.transpose(*right_batch, *right_inner, *columns).astype(work)
    shape, many = (*batch, math.prod(height), math.prod(inner)), (*batch, math.prod(inner), math.prod(width))
    product = np.matmul(rows_first.reshape(shape), columns_last.reshape(many))
    return product.reshape(*batch, *height, *width).astype(dtype)


def _iota(p: Any) -> Any:
    count = np.arange(p["shape"][p["dimension"]]).astype(p["dtype"])
    return _broadcast({"shape": p["shape"], "broadcast_dimensions": (p["dimension"],)}, count)


def _slice(p: Any, x: Any) -> Any:
    strides = p["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, p["start_indices"], p["limit_indices"], strides))]


def _quotient(x: Any, y: Any) -> Any:
    return x // y if np.issubdtype(x.dtype, np.integer) else x / y  # only indices are integers, and not negative


_CALLS = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call"}
_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _quotient,
    "neg": np.negative,
    "pow": np.power,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "abs": np.abs,
    "sign": np.sign,
    "max": np.maximum,
    "min": np.minimum,
    "square": np.square,
    "copy": np.asarray,
    "stop_gradient": np.asarray,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "not": np.bitwise_not,
    "is_finite": np.isfinite,
    "add_any": np.add,
}
_SHAPED: dict[str, Callable[..., Any]] = {
    "argmax": lambda p, x: np.argmax(x, axis=p["axes"][0]).astype(p["index_dtype"]),
    "broadcast_in_dim": _broadcast,
    "clamp": lambda p, low, x, high: np.minimum(np.maximum(x, low), high),
    "concatenate": lambda p, *x: np.concatenate(x, axis=p["dimension"]),
    "convert_element_type": lambda p, x: x.astype(p["new_dtype"]),
    "dot_general": _dot,
    "integer_pow": lambda p, x: x ** np.asarray(p["y"], x.dtype),
    "iota": _iota,
    "reduce_and": lambda p, x: np.all(x, axis=tuple(p["axes"])),
    "reduce_max": lambda p, x: np.max(x, axis=tuple(p["axes"])),
    "reduce_or": lambda p, x: np.any(x, axis=tuple(p["axes"])),
    "reduce_sum": lambda p, x: np.sum(x, axis=tuple(p["axes"]), dtype=x.dtype),
    "reshape": lambda p, x: x.reshape(p["new_sizes"]),
    "rev": lambda p, x: np.flip(x, p["dimensions"]),
    "select_n": lambda p, which, *cases: np.where(which, *reversed(cases)) if len(cases) == 2 else cases[0],
    "slice": _slice,
    "squeeze": lambda p, x: np.squeeze(x, tuple(p["dimensions"])),
    "transpose": lambda p, x: np.transpose(x, p["permutation"]),
}
