"""What picks numbers by computed places, or puts them there: all of it by the flat places of single entries."""

import math
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.traced.tracing.primitives.operation import (
    Kind,
    Operation,
    Primitive,
    Value,
    by_rows,
    passes_of,
)


class Windows(NamedTuple):
    """How windows of an array are laid out in an array of many of them, in XLA's terms.

    Attributes:
        offsets: the axes of the result that run inside of a window.
        collapsed: the axes of the array that windows have, but the result has not.
        starts: the axes of the array that the last axis of the indices goes through.
        batched: pairs of an axis of the array and the axis of the indices that it runs along with.
    """

    offsets: tuple[int, ...]
    collapsed: tuple[int, ...]
    starts: tuple[int, ...]
    batched: tuple[tuple[int, int], ...]


def places_in(shape: tuple[int, ...], indices: Value, sizes: tuple[int, ...], windows: Windows, clip: bool) -> Any:
    """The flat places of all entries of all windows, in the order of the result; -1 for windows that are not inside.

    Args:
        shape: of the array.
        indices: (..., axes): where windows start.
        sizes: of a window.
        windows: how they are laid out.
        clip: whether windows that are not inside are moved inside.
    """
    many = indices.shape[:-1]
    starts: list[Any] = [np.zeros((1,) * len(many), np.int64)] * len(shape)
    for k, axis in enumerate(windows.starts):
        starts[axis] = indices[..., k].astype(np.int64)
    for axis, along in windows.batched:
        starts[axis] = np.arange(many[along]).reshape([-1 if i == along else 1 for i in range(len(many))])
    inside, flat = np.ones(many, bool), np.zeros((*many, *(1 for _ in windows.offsets)), np.int64)
    kept = [a for a in range(len(shape)) if a not in windows.collapsed and a not in [b for b, _ in windows.batched]]
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        last, stride = shape[axis] - size, math.prod(shape[axis + 1 :])
        inside &= (start >= 0) & (start <= last)
        start = np.clip(start, 0, max(last, 0)) * stride
        flat = flat + start.reshape(start.shape + (1,) * len(kept))
        if axis in kept:
            run = [size if a == axis else 1 for a in kept]
            flat = flat + np.arange(size).reshape(run) * stride
    flat = np.broadcast_to(flat, (*many, *(sizes[a] for a in kept)))
    if not clip and not inside.all():
        flat = np.where(inside.reshape(inside.shape + (1,) * len(kept)), flat, -1)
    others = [a for a in range(flat.ndim) if a not in windows.offsets]
    order = dict(zip((*others, *windows.offsets), range(flat.ndim), strict=True))
    return np.transpose(flat, [order[a] for a in range(flat.ndim)])


def _is_whole(x: Value) -> bool:
    return x.dtype.kind in "iub"


def _taken(x: Value, rank: int, flat: Any, fill: Any = None) -> Value:
    """Entries at flat places, of arrays with passes in front."""
    passes = passes_of(x, rank)
    y = np.take(x.reshape((*passes, -1)), np.maximum(flat, 0), axis=-1)
    if (flat < 0).any():
        y = np.where(flat < 0, _filling(x.dtype) if fill is None else fill, y)
    return y


def _filling(dtype: Any) -> Any:
    """What JAX puts where an index is outside."""
    if dtype.kind == "f":
        return np.nan
    return dtype.type(1) if dtype.kind == "b" else np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max


def _gather(operation: Operation, x: Value, indices: Value) -> Value:
    p, shape = operation.params, x.shape[x.ndim - operation.ranks[0] :]
    d = p["dimension_numbers"]
    batched = tuple(zip(d.operand_batching_dims, d.start_indices_batching_dims, strict=True))
    windows = Windows(d.offset_dims, d.collapsed_slice_dims, d.start_index_map, batched)
    flat = places_in(shape, indices, p["slice_sizes"], windows, clip="FILL" not in str(p["mode"]))
    return _taken(x, operation.ranks[0], flat, p["fill_value"])


def _targets(operation: Operation, x: Value, indices: Value, updates: Value) -> Any:
    """The flat place of every entry of the updates of a scatter."""
    p, shape = operation.params, x.shape[x.ndim - operation.ranks[0] :]
    d = p["dimension_numbers"]
    batched = tuple(zip(d.operand_batching_dims, d.scatter_indices_batching_dims, strict=True))
    windows = Windows(d.update_window_dims, d.inserted_window_dims, d.scatter_dims_to_operand_dims, batched)
    given = iter(updates.shape[updates.ndim - operation.ranks[2] :][axis] for axis in d.update_window_dims)
    single = (*d.inserted_window_dims, *d.operand_batching_dims)
    sizes = tuple(1 if axis in single else next(given) for axis in range(len(shape)))
    # of places outside, one that is read is moved inside, but nothing is written there, unless that was asked for
    return places_in(shape, indices, sizes, windows, clip="CLIP" in str(p["mode"]))


def added_at(x: Value, flat: Any, updates: Value) -> Value:
    """Flat (passes, n) with updates (passes, m) added at places (m,); where a place is -1, nothing is."""
    inside = flat >= 0
    if not inside.all():
        flat, updates = flat[inside], updates[..., inside]
    rows = np.broadcast_shapes(x.shape[:-1], updates.shape[:-1])
    x, updates = np.broadcast_to(x, (*rows, x.shape[-1])), np.broadcast_to(updates, (*rows, flat.size))
    if not rows:
        return x + np.bincount(flat, updates, x.size)
    return np.stack([a + np.bincount(flat, u, a.size) for a, u in zip(x, updates, strict=True)])


def _scatter(ufunc: Any) -> Any:
    """An evaluator of scatter, which combines what is there with what comes by a function of NumPy."""

    def evaluate(operation: Operation, x: Value, indices: Value, updates: Value) -> Value:
        flat = _targets(operation, x, indices, updates).ravel()
        passes = passes_of(x, operation.ranks[0]) or passes_of(updates, operation.ranks[2])
        x = np.broadcast_to(x, (*passes, *operation.shapes[0]))
        updates = np.broadcast_to(updates, (*passes, *updates.shape[updates.ndim - operation.ranks[2] :]))
        y, u = x.reshape((*passes, -1)), updates.reshape((*passes, -1))
        if ufunc is np.add and y.dtype.kind == "f":
            return added_at(y, flat, u).reshape(x.shape)
        inside = flat >= 0
        y = np.moveaxis(y, -1, 0).copy()
        u = np.moveaxis(u, -1, 0)[inside]
        if ufunc is None:
            y[flat[inside]] = u
        else:
            ufunc.at(y, flat[inside], u)
        return np.moveaxis(y, 0, -1).reshape(x.shape)

    return by_rows(evaluate, _is_whole)


def _window_at(operation: Operation, x: Value, sizes: tuple[int, ...], starts: tuple[Value, ...]) -> Any:
    shape, axes = x.shape[x.ndim - operation.ranks[0] :], tuple(range(operation.ranks[0]))
    return places_in(shape, np.array([int(s) for s in starts]), sizes, Windows(axes, (), axes, ()), clip=True)


def _dynamic_slice(operation: Operation, x: Value, *starts: Value) -> Value:
    flat = _window_at(operation, x, operation.params["slice_sizes"], starts)
    return _taken(x, operation.ranks[0], flat)


def _dynamic_update_slice(operation: Operation, x: Value, update: Value, *starts: Value) -> Value:
    sizes = update.shape[update.ndim - operation.ranks[1] :]
    flat = _window_at(operation, x, sizes, starts).ravel()
    passes = np.broadcast_shapes(passes_of(x, operation.ranks[0]), passes_of(update, operation.ranks[1]))
    shape = x.shape[x.ndim - operation.ranks[0] :]
    y = np.broadcast_to(x, (*passes, *shape)).reshape((*passes, -1)).copy()
    y[..., flat] = update.reshape((*passes_of(update, operation.ranks[1]), -1))
    return y.reshape((*passes, *shape))


INDEXING: dict[str, Primitive] = {
    "gather": Primitive(by_rows(_gather, _is_whole), linear=True),
    "dynamic_slice": Primitive(by_rows(_dynamic_slice, _is_whole), linear=True),
    "dynamic_update_slice": Primitive(by_rows(_dynamic_update_slice, _is_whole), linear=True),
    "scatter": Primitive(_scatter(None), linear=True),
    "scatter-min": Primitive(_scatter(np.minimum)),
    "scatter-max": Primitive(_scatter(np.maximum)),
    "scatter-add": Primitive(_scatter(np.add), Kind.SUM, moved=(0, 2), linear=True),
    "scatter-sub": Primitive(_scatter(np.subtract), Kind.SUM, moved=(0, 2), added=_scatter(np.add)),
    "scatter-mul": Primitive(_scatter(np.multiply), Kind.ROUNDED, relative=4.0),
}
