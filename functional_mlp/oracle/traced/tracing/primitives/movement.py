"""What moves numbers: shapes, orders, pieces. Nothing rounds."""

import math
from typing import Any

import numpy as np

from functional_mlp import _jax_compat
from functional_mlp.oracle.traced.tracing.primitives.operation import (
    Operation,
    Primitive,
    Value,
    as_value,
    passes_of,
    trailing,
    with_passes,
)


def _broadcast(operation: Operation, x: Value, *_: Value) -> Value:
    shape, places, rank = operation.params["shape"], operation.params["broadcast_dimensions"], operation.ranks[0]
    passes, sizes = passes_of(x, rank), [1] * len(shape)
    for place, size in zip(places, x.shape[x.ndim - rank :], strict=True):
        sizes[place] = size
    return np.broadcast_to(x.reshape((*passes, *sizes)), (*passes, *shape))


def _reshape(operation: Operation, x: Value, *_: Value) -> Value:
    rank, order = operation.ranks[0], operation.params.get("dimensions")
    if order is not None:
        x = np.transpose(x, (*range(x.ndim - rank), *(x.ndim - rank + axis for axis in order)))
    return x.reshape((*passes_of(x, rank), *operation.shapes[0]))


def _transpose(operation: Operation, x: Value) -> Value:
    front = x.ndim - operation.ranks[0]
    return np.transpose(x, (*range(front), *(front + axis for axis in operation.params["permutation"])))


def _concatenate(operation: Operation, *x: Value) -> Value:
    return np.concatenate(with_passes(operation, x), axis=operation.params["dimension"] - operation.ranks[0])


def _stack(operation: Operation, *x: Value) -> Value:
    return np.stack(with_passes(operation, x), axis=operation.params["axis"] - operation.ranks[0] - 1)


def _unstack(operation: Operation, x: Value) -> list[Value]:
    axis = operation.params["axis"] - operation.ranks[0]
    return [np.take(x, i, axis=axis) for i in range(x.shape[axis])]


def _slice(operation: Operation, x: Value) -> Value:
    p = operation.params
    steps = p["strides"] or (1,) * operation.ranks[0]
    return x[(..., *map(slice, p["start_indices"], p["limit_indices"], steps))]


def _split(operation: Operation, x: Value) -> list[Value]:
    axis = operation.params["axis"] - operation.ranks[0]
    return list(np.split(x, np.cumsum(operation.params["sizes"])[:-1], axis=axis))


def padded(x: Value, value: Any, config: Any) -> Value:
    """An array with numbers between and around its entries, or with some cut off, along its last axes.

    Args:
        x: an array with at least as many axes as `config` is long.
        value: what is put in, without axes or one per pass.
        config: (low, high, interior) of every axis; negative ones cut off.
    """
    front = x.ndim - len(config)
    sizes = x.shape[front:]
    spans = [n + max(0, n - 1) * gap for n, (_, _, gap) in zip(sizes, config, strict=True)]
    wide = [max(low, 0) + span + max(high, 0) for span, (low, high, _) in zip(spans, config, strict=True)]
    value = np.asarray(value)
    passes = np.broadcast_shapes(x.shape[:front], value.shape)
    out = np.empty((*passes, *wide), x.dtype)
    out[...] = value.reshape(value.shape + (1,) * len(config))
    inside: list[Any] = [
        slice(max(low, 0), max(low, 0) + span, gap + 1) for span, (low, _, gap) in zip(spans, config, strict=True)
    ]
    out[(..., *inside)] = x
    cut: list[Any] = [slice(max(-low, 0), n - max(-high, 0)) for n, (low, high, _) in zip(wide, config, strict=True)]
    return out[(..., *cut)]


def _pad(operation: Operation, x: Value, value: Value) -> Value:
    return padded(x, value, operation.params["padding_config"])


def _squeeze(operation: Operation, x: Value) -> Value:
    return np.squeeze(x, trailing(operation.params["dimensions"], operation.ranks[0]))


def _reverse(operation: Operation, x: Value) -> Value:
    return np.flip(x, trailing(operation.params["dimensions"], operation.ranks[0]))


def _tile(operation: Operation, x: Value) -> Value:
    passes = passes_of(x, operation.ranks[0])
    return np.tile(x, (*(1 for _ in passes), *operation.params["reps"]))


def _iota(operation: Operation, *_: Value) -> Value:
    p = operation.params
    sizes = [1] * len(p["shape"])
    sizes[p["dimension"]] = p["shape"][p["dimension"]]
    dtype = p["dtype"] if np.dtype(p["dtype"]).kind in "iu" else np.float64
    return np.broadcast_to(np.arange(math.prod(sizes), dtype=dtype).reshape(sizes), p["shape"])


def _zeros(operation: Operation, *_: Value) -> Value:
    [variable] = operation.equation.outvars
    return as_value(np.zeros(operation.shapes[0], _jax_compat.dtype_of(variable)))


def _same(operation: Operation, x: Value, *_: Value) -> Value:
    return x


def _all_the_same(operation: Operation, *x: Value) -> list[Value]:
    return list(x)


MOVEMENT: dict[str, Primitive] = {
    "broadcast_in_dim": Primitive(_broadcast, linear=True),
    "reshape": Primitive(_reshape, linear=True),
    "transpose": Primitive(_transpose, linear=True),
    "concatenate": Primitive(_concatenate, linear=True),
    "stack": Primitive(_stack, linear=True),
    "unstack": Primitive(_unstack, linear=True),
    "slice": Primitive(_slice, linear=True),
    "split": Primitive(_split, linear=True),
    "pad": Primitive(_pad, linear=True),
    "squeeze": Primitive(_squeeze, linear=True),
    "rev": Primitive(_reverse, linear=True),
    "tile": Primitive(_tile, linear=True),
    "iota": Primitive(_iota),
    **dict.fromkeys(("empty", "empty2"), Primitive(_zeros)),  # whose numbers nobody reads
    # reduce_precision: everything is in the declared format anyway
    **{
        name: Primitive(_same, linear=True)
        for name in (
            *("copy", "copy_p", "stop_gradient", "reduce_precision", "name", "sharding_constraint"),
            *("layout_constraint", "pvary", "reshard"),
        )
    },
    **{name: Primitive(_all_the_same, linear=True) for name in ("optimization_barrier", "device_put", "tie")},
}
