"""How tangents go forward and cotangents back through one operation, many at once: they are stacked along a first axis.

`push` and `pull` of a step are each other's transpose. Most operations are here, in NumPy; for the others stand JAX's.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from functional_mlp.oracle.traced.diagnosis.replay.slopes import slopes_of
from functional_mlp.oracle.traced.diagnosis.replay.tape import Step, is_float

Stacked = Any  # an array with a first axis more than the value that it belongs to, or None: all zeros


def push(step: Step, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    """The tangents of the results, of those of the operands."""
    if all(t is None for t in tangents):
        return [None] * len(y)
    slopes = slopes_of(step)
    if slopes is not None:
        pairs = zip(slopes, tangents, strict=True)
        return [_total([_full(t * s(step.params, y[0], *x), y[0]) for s, t in pairs if s and t is not None])]
    if step.name == "dot_general":
        return [_total([_dot_pushed(step.params, t, x, j) for j, t in enumerate(tangents) if t is not None])]
    if step.name in LINEAR:
        return LINEAR[step.name][0](step.params, x, y, tangents)
    return _by_jax(step, x)[0](tangents)


def pull(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    """The cotangents of the operands, of those of the results."""
    if all(ct is None for ct in cts):
        return [None] * len(x)
    slopes = slopes_of(step)
    if slopes is not None:
        pairs = zip(slopes, x, strict=True)
        return [
            as_shaped(cts[0] * s(step.params, y[0], *x), a) if s is not None and is_float(a) else None for s, a in pairs
        ]
    if step.name == "dot_general":
        return [dot_pulled(step.params, cts[0], x, j) for j in (0, 1)]
    if step.name in LINEAR:
        return LINEAR[step.name][1](step.params, x, y, cts)
    return _by_jax(step, x)[1](cts)


def _total(parts: list[Any]) -> Stacked:
    return sum(parts[1:], parts[0]) if parts else None


def _full(t: Any, y: Any) -> Any:
    """What was broadcast, as large as the result: numbers, and axes of length 1."""
    t = t.reshape(len(t), *(1,) * y.ndim) if t.ndim == 1 else t
    return np.broadcast_to(t, (len(t), *y.shape))


def as_shaped(ct: Any, x: Any) -> Any:
    """The cotangent of what was broadcast is the sum."""
    if ct.shape[1:] == x.shape:
        return ct
    if not x.ndim:
        return ct.sum(tuple(range(1, ct.ndim)))
    return ct.sum(tuple(a + 1 for a, n in enumerate(x.shape) if n == 1), keepdims=True)


# products


def _dot_axes(p: Any, ndims: tuple[int, int]) -> tuple[Any, Any, list[list[int]]]:
    inner, batch = p["dimension_numbers"]
    free = [[i for i in range(n) if i not in (*inner[j], *batch[j])] for j, n in enumerate(ndims)]
    return inner, batch, free


def dot(a: Any, b: Any, inner: Any, batch: Any) -> Any:
    """The product of two arrays, contracted along `inner`; the axes `batch` come first, then what is free."""
    free = [[i for i in range(n) if i not in (*inner[j], *batch[j])] for j, n in enumerate((a.ndim, b.ndim))]
    size = [a.shape[i] for i in batch[0]]
    rows, columns = [a.shape[i] for i in free[0]], [b.shape[i] for i in free[1]]
    depth = math.prod(a.shape[i] for i in inner[0])
    left = a.transpose(*batch[0], *free[0], *inner[0]).reshape(*size, math.prod(rows), depth)
    right = b.transpose(*batch[1], *inner[1], *free[1]).reshape(*size, depth, math.prod(columns))
    return np.matmul(left, right).reshape(*size, *rows, *columns)


def _dot_pushed(p: Any, t: Any, x: list[Any], j: int) -> Any:
    """The product with operand j replaced by each of a stack."""
    inner, batch, _ = _dot_axes(p, (x[0].ndim, x[1].ndim))
    later = lambda axes: tuple(a + 1 for a in axes)  # noqa: E731
    if j == 0:
        y = dot(t, x[1], (later(inner[0]), inner[1]), (later(batch[0]), batch[1]))
        return np.moveaxis(y, len(batch[0]), 0)
    y = dot(x[0], t, (inner[0], later(inner[1])), (batch[0], later(batch[1])))
    return np.moveaxis(y, x[0].ndim - len(inner[0]), 0)


def dot_pulled(p: Any, ct: Any, x: list[Any], j: int) -> Any:
    """The cotangent of operand j; only the other operand is read."""
    inner, batch, free = _dot_axes(p, (x[0].ndim, x[1].ndim))
    nb, rows = len(batch[0]), len(free[0])
    of_batch = tuple(range(1, nb + 1))
    of_rows = tuple(range(1 + nb, 1 + nb + rows))
    of_columns = tuple(range(1 + nb + rows, ct.ndim))
    other, theirs = x[1 - j], of_columns if j == 0 else of_rows
    y = dot(ct, other, (theirs, tuple(free[1 - j])), (of_batch, tuple(batch[1 - j])))
    # y has the axes (batch, stack, free of j, contracted ones of the other in their order)
    y = np.moveaxis(y, nb, 0)
    remaining = sorted(range(len(inner[0])), key=lambda k: inner[1 - j][k])
    order = [*batch[j], *free[j], *(inner[j][k] for k in remaining)]
    return y.transpose(0, *(1 + order.index(axis) for axis in range(x[j].ndim)))


# operations that are linear in all that moves: name -> (push, pull), functions of (params, operands, results, stacked)

Rule = Callable[[Any, list[Any], list[Any], list[Stacked]], list[Stacked]]


def _one(forward: Callable[[Any, Any, Any, Any], Any], back: Callable[[Any, Any, Any, Any], Any]) -> tuple[Rule, Rule]:
    """The rules of an operation on its first operand: functions of (params, stacked, x, y)."""

    def pushed(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
        return [None if tangents[0] is None else forward(p, tangents[0], x[0], y[0])]

    def pulled(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
        return [back(p, cts[0], x[0], y[0]), *[None] * (len(x) - 1)]

    return pushed, pulled


def _later(axes: Any) -> tuple[int, ...]:
    return tuple(a + 1 for a in axes)


def _reshaped(p: Any, t: Any, x: Any, y: Any) -> Any:
    return t.reshape(len(t), *y.shape)


def _shaped_back(p: Any, ct: Any, x: Any, y: Any) -> Any:
    return ct.reshape(len(ct), *x.shape)


def _broadcast(p: Any, t: Any, x: Any, y: Any) -> Any:
    sizes = [1] * y.ndim
    for axis, n in zip(p["broadcast_dimensions"], x.shape, strict=True):
        sizes[axis] = n
    return np.broadcast_to(t.reshape(len(t), *sizes), (len(t), *y.shape))


def broadcast_axes(p: Any, x: Any, y: Any) -> tuple[int, ...]:
    """The axes of the result along which one number of the operand stands again and again."""
    there = dict(zip(p["broadcast_dimensions"], x.shape, strict=True))
    return tuple(a for a in range(y.ndim) if (there.get(a, 1) == 1 and y.shape[a] != 1) or a not in there)


def _broadcast_back(p: Any, ct: Any, x: Any, y: Any) -> Any:
    return ct.sum(_later(broadcast_axes(p, x, y))).reshape(len(ct), *x.shape)


def _reduced(p: Any, t: Any, x: Any, y: Any) -> Any:
    return t.sum(_later(p["axes"]))


def spread(p: Any, ct: Any, x: Any, y: Any) -> Any:
    """A number for each sum, beside each of its terms."""
    return np.broadcast_to(np.expand_dims(ct, _later(p["axes"])), (len(ct), *x.shape))


def _extreme_share(p: Any, x: Any, y: Any) -> Any:
    chosen = x == np.expand_dims(y, tuple(p["axes"]))
    return chosen / chosen.sum(tuple(p["axes"]), keepdims=True)


def _slice_of(p: Any, x: Any) -> tuple[slice, ...]:
    return tuple(map(slice, p["start_indices"], p["limit_indices"], p["strides"] or (1,) * x.ndim))


def _placed(ct: Any, x: Any, where: Any) -> Any:
    out = np.zeros((len(ct), *x.shape))
    out[(slice(None), *where)] = ct
    return out


def _running(p: Any, t: Any, *, reverse: bool) -> Any:
    axis = p["axis"] + 1
    return np.flip(np.cumsum(np.flip(t, axis), axis), axis) if reverse else np.cumsum(t, axis)


def _rolled_back(p: Any, ct: Any, x: Any, y: Any) -> Any:
    return ct.transpose(0, *(1 + int(a) for a in np.argsort(p["permutation"])))


def _select(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    parts = [np.where(x[0] == j, t, 0.0) for j, t in enumerate(tangents[1:]) if t is not None]
    return [_total(parts)]


def _select_back(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    return [None, *(np.where(x[0] == j, cts[0], 0.0) for j in range(len(x) - 1))]


def _joined(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    k = next(len(t) for t in tangents if t is not None)
    parts = [np.zeros((k, *a.shape)) if t is None else t for a, t in zip(x, tangents, strict=True)]
    return [np.concatenate(parts, p["dimension"] + 1)]


def _split_back_of_join(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    ends = np.cumsum([a.shape[p["dimension"]] for a in x])[:-1]
    return list(np.split(cts[0], ends, p["dimension"] + 1))


def _split(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    return list(np.split(tangents[0], np.cumsum(p["sizes"])[:-1], p["axis"] + 1))


def _join_back_of_split(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    k = next(len(ct) for ct in cts if ct is not None)
    parts = [np.zeros((k, *a.shape)) if ct is None else ct for a, ct in zip(y, cts, strict=True)]
    return [np.concatenate(parts, p["axis"] + 1)]


def _stacked(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    k = next(len(t) for t in tangents if t is not None)
    parts = [np.zeros((k, *a.shape)) if t is None else t for a, t in zip(x, tangents, strict=True)]
    return [np.stack(parts, 1)]


def _rows_back(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    return [cts[0][:, t] for t in range(len(x))]


def _dynamic_slice(x: list[Any], sizes: Any) -> tuple[slice, ...]:
    starts = [int(np.clip(i, 0, n - m)) for i, n, m in zip(x[1:], x[0].shape, sizes, strict=True)]
    return tuple(slice(i, i + m) for i, m in zip(starts, sizes, strict=True))


def _dynamic(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    t = tangents[0]
    return [None if t is None else t[(slice(None), *_dynamic_slice(x, p["slice_sizes"]))]]


def _dynamic_back(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    return [_placed(cts[0], x[0], _dynamic_slice(x, p["slice_sizes"])), *[None] * (len(x) - 1)]


LINEAR: dict[str, tuple[Rule, Rule]] = {
    "reshape": _one(_reshaped, _shaped_back),
    "squeeze": _one(_reshaped, _shaped_back),
    "expand_dims": _one(_reshaped, _shaped_back),
    "broadcast_in_dim": _one(_broadcast, _broadcast_back),
    "reduce_sum": _one(_reduced, spread),
    "reduce_max": _one(
        lambda p, t, x, y: (t * _extreme_share(p, x, y)).sum(_later(p["axes"])),
        lambda p, ct, x, y: spread(p, ct, x, y) * _extreme_share(p, x, y),
    ),
    "transpose": _one(lambda p, t, x, y: t.transpose(0, *_later(p["permutation"])), _rolled_back),
    "rev": _one(
        lambda p, t, x, y: np.flip(t, _later(p["dimensions"])), lambda p, ct, x, y: np.flip(ct, _later(p["dimensions"]))
    ),
    "slice": _one(
        lambda p, t, x, y: t[(slice(None), *_slice_of(p, x))], lambda p, ct, x, y: _placed(ct, x, _slice_of(p, x))
    ),
    "row": _one(lambda p, t, x, y: t[:, p["index"]], lambda p, ct, x, y: _placed(ct, x, (p["index"],))),
    "cumsum": _one(
        lambda p, t, x, y: _running(p, t, reverse=p["reverse"]),
        lambda p, ct, x, y: _running(p, ct, reverse=not p["reverse"]),
    ),
    "select_n": (_select, _select_back),
    "concatenate": (_joined, _split_back_of_join),
    "split": (_split, _join_back_of_split),
    "stack": (_stacked, _rows_back),
    "dynamic_slice": (_dynamic, _dynamic_back),
}
LINEAR["reduce_min"] = LINEAR["reduce_max"]


# all others


def bound(equation: Any, x: list[Any]) -> list[Any]:
    """The results of an operation, by JAX."""
    results = equation.primitive.bind(*x, **equation.primitive.get_bind_params(equation.params))
    return list(results) if equation.primitive.multiple_results else [results]


def _by_jax(step: Step, x: list[Any]) -> tuple[Callable[[list[Stacked]], list[Stacked]], ...]:
    """`push` and `pull` of an operation that has no rule here."""
    moving = [i for i, a in enumerate(x) if is_float(a)]
    made = partial(_floats_of, step, x, moving)
    floats = tuple(x[i] for i in moving)
    y, pullback = jax.vjp(made, *floats)

    def pushed(tangents: list[Stacked]) -> list[Stacked]:
        k = next(len(t) for t in tangents if t is not None)
        given = [np.zeros((k, *x[i].shape)) if tangents[i] is None else np.asarray(tangents[i]) for i in moving]
        results = jax.vmap(lambda *t: jax.jvp(made, floats, t)[1])(*given)
        return [None if r is None else np.asarray(r) for r in results]

    def pulled(cts: list[Stacked]) -> list[Stacked]:
        k = next(len(ct) for ct in cts if ct is not None)
        given = [
            None if y[i] is None else np.zeros((k, *y[i].shape)) if cts[i] is None else np.asarray(cts[i])
            for i in range(len(y))
        ]
        results = jax.vmap(pullback)(given)
        out: list[Stacked] = [None] * len(x)
        for i, ct in zip(moving, results, strict=True):
            out[i] = np.asarray(ct)
        return out

    return pushed, pulled


def _floats_of(step: Step, x: list[Any], moving: list[int], *floats: Any) -> list[Any]:
    """The floating results of an operation, as a function of its floating operands; None stands for the others."""
    given = dict(zip(moving, floats, strict=True))
    results = bound(step.equation, [given.get(i, a) for i, a in enumerate(x)])
    return [r if np.issubdtype(r.dtype, np.floating) else None for r in results]
