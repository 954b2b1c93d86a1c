"""Sums, products and extremes along axes and in windows, and products of matrices."""

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from functional_mlp.oracle.traced.tracing.primitives.indexing import added_at
from functional_mlp.oracle.traced.tracing.primitives.movement import padded
from functional_mlp.oracle.traced.tracing.primitives.operation import (
    Kind,
    Operation,
    Primitive,
    Value,
    by_jax,
    by_rows,
    passes_of,
    product,
    trailing,
)


def _along(function: Any) -> Any:
    def evaluate(operation: Operation, x: Value) -> Value:
        return function(x, axis=trailing(operation.params["axes"], operation.ranks[0]))

    return evaluate


def running(function: Any) -> Any:
    """The evaluator of a running sum, product or extreme, from either end."""

    def evaluate(operation: Operation, x: Value) -> Value:
        axis = operation.params["axis"] - operation.ranks[0]
        if operation.params["reverse"]:
            return np.flip(function(np.flip(x, axis), axis=axis), axis)
        return function(x, axis=axis)

    return evaluate


def terms_of(operation: Operation) -> float:
    """The number of factors of a product along axes, less one."""
    shape, axes = operation.equation.invars[0].aval.shape, operation.params.get("axes", (operation.params.get("axis"),))
    return max(1.0, float(math.prod(shape[axis] for axis in axes)) - 1)


def _dot(operation: Operation, left: Value, right: Value) -> tuple[Value, Value, Any]:
    """The matrices (passes, batch, rows, inner) and (passes, batch, inner, columns)."""
    (left_inner, right_inner), (left_batch, right_batch) = operation.params["dimension_numbers"]
    a = as_matrices(left, operation.ranks[0], left_batch, left_inner, inner_last=True)
    b = as_matrices(right, operation.ranks[1], right_batch, right_inner, inner_last=False)
    return a, b, lambda y: y.reshape((*y.shape[: y.ndim - 3], *operation.shapes[0]))


def as_matrices(x: Value, rank: int, batch: tuple[int, ...], inner: tuple[int, ...], inner_last: bool) -> Value:
    """(passes, batch, rows, inner), or (passes, batch, inner, columns)."""
    front, outer = x.ndim - rank, [i for i in range(rank) if i not in (*inner, *batch)]
    sizes = x.shape[front:]
    order = (*batch, *outer, *inner) if inner_last else (*batch, *inner, *outer)
    size = [math.prod(sizes[i] for i in axes) for axes in (batch, outer, inner)]
    shape = (size[0], size[1], size[2]) if inner_last else (size[0], size[2], size[1])
    return x.transpose(*range(front), *(front + i for i in order)).reshape((*x.shape[:front], *shape))


def windows_of(x: Value, rank: int, fill: Any, p: Any) -> Value:
    """(passes, *windows, *inside of a window) of a windowed reduction with the parameters `p`."""
    around = p.get("base_dilation") or (1,) * rank
    apart = p.get("window_dilation") or (1,) * rank
    config = [(low, high, gap - 1) for (low, high), gap in zip(p["padding"], around, strict=True)]
    spans = [(size - 1) * gap + 1 for size, gap in zip(p["window_dimensions"], apart, strict=True)]
    wide = sliding_window_view(padded(x, fill, config), spans, axis=tuple(range(-rank, 0)))
    steps: list[Any] = [
        *(slice(None, None, step) for step in p["window_strides"]),
        *(slice(None, None, gap) for gap in apart),
    ]
    return wide[(..., *steps)]


def _in_windows(ufunc: Any, fill: float) -> Any:
    def evaluate(operation: Operation, x: Value) -> Value:
        rank = operation.ranks[0]
        return ufunc.reduce(windows_of(x, rank, fill, operation.params), axis=tuple(range(-rank, 0)))

    return evaluate


def _chosen(operation: Operation, source: Value, operand: Value) -> Value:
    """The flat place in the operand of the largest or smallest number of every window: the first, where several are."""
    rank, p = operation.ranks[1], operation.params
    sign = 1.0 if str(p["select_prim"]) == "ge" else -1.0
    inside = windows_of(sign * operand, rank, -np.inf, p)
    inside = inside.reshape((*inside.shape[: inside.ndim - rank], -1))
    shape = operand.shape[operand.ndim - rank :]
    flat = windows_of(np.arange(math.prod(shape)).reshape(shape), rank, -1, p)
    flat = np.broadcast_to(flat.reshape((*flat.shape[:rank], -1)), inside.shape)
    return np.take_along_axis(flat, inside.argmax(-1)[..., None], -1)[..., 0]


def _scattered_to_chosen(operation: Operation, chosen: Value, source: Value, operand: Value) -> Value:
    passes = passes_of(source, operation.ranks[0])
    zeros, size = np.zeros(math.prod(operation.shapes[0])), source.shape[len(passes) :]
    y = added_at(zeros, chosen.ravel(), source.reshape((*passes, math.prod(size))))
    return y.reshape((*y.shape[:-1], *operation.shapes[0]))


def _gathered_from_chosen(operation: Operation, chosen: Value, tangent: Value, operand: Value) -> Value:
    passes = passes_of(tangent, operation.ranks[0])
    return np.take(tangent.reshape((*passes, -1)), chosen, axis=-1)


def _by_decision(follow: Any) -> Any:
    """An evaluator that follows its decision pass by pass, if that has passes in front."""

    def evaluate(operation: Operation, decision: Value, *x: Value) -> Any:
        rank = len(operation.shapes[0]) if operation.name == "select_and_gather_add" else operation.ranks[0]
        wider = operation._replace(ranks=(rank, *operation.ranks))
        rows = by_rows(lambda _, d, *x: follow(operation, d, *x), lambda a: a is decision)
        return rows(wider, decision, *x)

    return evaluate


def _logarithm_of_sum(x: Value, axis: int) -> Value:
    return np.logaddexp.accumulate(x, axis=axis)


SUMS: dict[str, Primitive] = {
    "reduce_sum": Primitive(_along(np.sum), Kind.SUM, linear=True),
    "cumsum": Primitive(running(np.cumsum), Kind.SUM, linear=True),
    "dot_general": product(_dot),
    "ragged_dot_general": Primitive(by_jax, Kind.SUM, moved=(0, 1), multiplies=True, linear=True),
    "reduce_window_sum": Primitive(_in_windows(np.add, 0.0), Kind.SUM, linear=True),
    "select_and_scatter_add": Primitive(
        _by_decision(_scattered_to_chosen), Kind.SUM, decide=_chosen, moved=(0,), linear=True
    ),
    "select_and_gather_add": Primitive(_by_decision(_gathered_from_chosen), decide=_chosen, linear=True),
    "reduce_prod": Primitive(_along(np.prod), Kind.ROUNDED, terms_of),
    "cumprod": Primitive(running(np.cumprod), Kind.ROUNDED, terms_of),
    "cumlogsumexp": Primitive(running(_logarithm_of_sum), Kind.ROUNDED, terms_of, lambda y, x: 2.0),
}
REDUCTIONS: dict[str, Primitive] = {
    "reduce_max": Primitive(_along(np.max)),
    "reduce_min": Primitive(_along(np.min)),
    "reduce_and": Primitive(_along(np.all)),
    "reduce_or": Primitive(_along(np.any)),
    "reduce_window_max": Primitive(_in_windows(np.maximum, -np.inf)),
    "reduce_window_min": Primitive(_in_windows(np.minimum, np.inf)),
    "cummax": Primitive(running(np.maximum.accumulate)),
    "cummin": Primitive(running(np.minimum.accumulate)),
}
