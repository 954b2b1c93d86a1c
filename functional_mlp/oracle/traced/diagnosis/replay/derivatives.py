"""How tangents go forward and cotangents back through one operation, many at once: they are stacked along a first axis.

`push` and `pull` of a step are each other's transpose. Most operations are here, in NumPy; for the others stand JAX's.
"""

from typing import Any

import numpy as np

from functional_mlp.oracle.traced.diagnosis.replay.by_jax import pulled_by_jax, pushed_by_jax
from functional_mlp.oracle.traced.diagnosis.replay.linear import LINEAR, Stacked
from functional_mlp.oracle.traced.diagnosis.replay.moves import MOVES, moved, moved_back
from functional_mlp.oracle.traced.diagnosis.replay.slopes import slopes_of
from functional_mlp.oracle.traced.diagnosis.replay.tape import Step
from functional_mlp.oracle.traced.diagnosis.replay.windows import (
    POOLINGS,
    convolved,
    convolved_back,
    pooled,
    pooled_back,
)
from functional_mlp.oracle.traced.tracing.primitives import as_matrices, is_float


def push(step: Step, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    """The tangents of the results, of those of the operands."""
    if all(t is None for t in tangents):
        return [None] * len(y)
    slopes = slopes_of(step)
    if slopes is not None:
        pairs = zip(slopes, tangents, strict=True)
        return [_total([full(t, y[0]) * s(step.params, y[0], *x) for s, t in pairs if s and t is not None])]
    if step.name == "dot_general":
        return [_total([_dot_pushed(step.params, t, x, j) for j, t in enumerate(tangents) if t is not None])]
    if step.name in LINEAR:
        return LINEAR[step.name][0](step.params, x, y, tangents)
    if step.name in MOVES:
        return moved(step, x, y, tangents)
    if _is_convolution(step):
        return [convolved(step, x, tangents)]
    if step.name in POOLINGS and tangents[0] is not None:
        return [pooled(step, x, y, tangents[0])]
    if step.name == "reduce_prod":
        return [(tangents[0] * _others(step, x[0])).sum(tuple(a + 1 for a in step.params["axes"]))]
    return pushed_by_jax(step, x, y, tangents)


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
    if step.name in MOVES:
        return moved_back(step, x, y, cts)
    if _is_convolution(step):
        return convolved_back(step, x, cts[0])
    if step.name in POOLINGS:
        return [pooled_back(step, x, cts[0]), *[None] * (len(x) - 1)]
    if step.name == "reduce_prod":
        return [np.expand_dims(cts[0], tuple(a + 1 for a in step.params["axes"])) * _others(step, x[0])]
    return pulled_by_jax(step, x, y, cts)


def _is_convolution(step: Step) -> bool:
    return step.name == "conv_general_dilated" and step.params["batch_group_count"] == 1


def _others(step: Step, x: Any) -> Any:
    """The product of all others, for each entry of a product."""
    axes = tuple(step.params["axes"])
    kept = [a for a in range(x.ndim) if a not in axes]
    rows = x.transpose(*kept, *axes).reshape(*(x.shape[a] for a in kept), -1)
    one = np.ones((*rows.shape[:-1], 1))
    before = np.cumprod(np.concatenate([one, rows[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([one, rows[..., :0:-1]], -1), -1)[..., ::-1]
    out = (before * after).reshape(*(x.shape[a] for a in kept), *(x.shape[a] for a in axes))
    return out.transpose(np.argsort([*kept, *axes]))


def _total(parts: list[Any]) -> Stacked:
    return sum(parts[1:], parts[0]) if parts else None


def full(t: Any, y: Any) -> Any:
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
    left = as_matrices(a, a.ndim, batch[0], inner[0], inner_last=True)
    right = as_matrices(b, b.ndim, batch[1], inner[1], inner_last=False)
    free = [[i for i in range(x.ndim) if i not in (*inner[j], *batch[j])] for j, x in enumerate((a, b))]
    sizes = (*(a.shape[i] for i in (*batch[0], *free[0])), *(b.shape[i] for i in free[1]))
    return np.matmul(left, right).reshape(sizes)


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
