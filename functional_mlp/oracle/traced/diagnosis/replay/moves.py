"""Operations that only move numbers: which entry of which operand each entry of the results is.

Gathers, paddings, sorts and updates of slices have many parameters. Here they are read off one evaluation, of
operands that number their own entries.
"""

from typing import Any

import numpy as np

from functional_mlp.oracle.traced.diagnosis.replay.linear import Stacked
from functional_mlp.oracle.traced.diagnosis.replay.tape import Step, results_of
from functional_mlp.oracle.traced.tracing.primitives import is_float

MARK = 0.25  # beside whole numbers: what is filled in has it not


def _sources(step: Step, x: list[Any], y: list[Any]) -> tuple[list[Any], int]:
    """For each result the number of the entry that it is, of all floating operands one after the other; -1 if none."""
    if step.name == "sort":
        return _sorted(step, x), sum(a.size for a in x if is_float(a))
    if step.name == "top_k":
        start = np.arange(y[0].size // max(y[0].shape[-1], 1)).reshape(*y[0].shape[:-1], 1) * x[0].shape[-1]
        return [start + y[1], None], x[0].size
    numbered, count = [], 0
    for a in x:
        numbered.append(np.arange(count, count + a.size).reshape(a.shape) + MARK if is_float(a) else a)
        count += a.size if is_float(a) else 0
    where = results_of(step, numbered)[0]
    with np.errstate(all="ignore"):
        known = np.isfinite(where) & (where - np.floor(where) == MARK) & (where >= 0) & (where < count)
    return [np.where(known, where, -1.0).astype(np.int64)], count


def _sorted(step: Step, x: list[Any]) -> list[Any]:
    axis, keys = step.params["dimension"], x[: step.params["num_keys"]]
    order = np.lexsort([np.moveaxis(k, axis, -1) for k in keys[::-1]], axis=-1)
    found: list[Any] = []
    count = 0
    for a in x:
        if not is_float(a):
            found.append(None)
            continue
        numbers = np.moveaxis(np.arange(count, count + a.size).reshape(a.shape), axis, -1)
        found.append(np.moveaxis(np.take_along_axis(numbers, order, -1), -1, axis))
        count += a.size
    return found


def moved(step: Step, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    """Tangents go where the numbers go."""
    k = next(len(t) for t in tangents if t is not None)
    sources, _ = _sources(step, x, y)
    parts = [
        np.zeros((k, a.size)) if t is None else t.reshape(k, -1)
        for a, t in zip(x, tangents, strict=True)
        if is_float(a)
    ]
    flat = np.concatenate([*parts, np.zeros((k, 1))], 1)  # what comes from nowhere is the last, a zero
    return [None if s is None else flat[:, s] for s in sources]


def moved_back(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    """Cotangents go back, and are added where a number was taken several times."""
    k = next(len(ct) for ct in cts if ct is not None)
    sources, count = _sources(step, x, y)
    total = np.zeros((k, count + 1))
    for s, ct in zip(sources, cts, strict=True):
        if s is None or ct is None:
            continue
        where, flat = s.ravel() % (count + 1), ct.reshape(k, -1)
        for row in range(k):
            total[row] += np.bincount(where, flat[row], count + 1)
    out: list[Stacked] = []
    start = 0
    for a in x:
        out.append(total[:, start : start + a.size].reshape(k, *a.shape) if is_float(a) else None)
        start += a.size if is_float(a) else 0
    return out


def written_back(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Stacked:
    """The first operand's, where what comes back to an entry is written, and nothing added: the last counts."""
    (where, *_), count = _sources(step, x, y)
    total = np.zeros((len(cts[0]), count + 1))
    total[:, where.ravel()] = cts[0].reshape(len(cts[0]), -1)
    return total[:, : x[0].size].reshape(-1, *x[0].shape)


MOVES = frozenset({"gather", "pad", "dynamic_update_slice", "sort", "top_k"})
