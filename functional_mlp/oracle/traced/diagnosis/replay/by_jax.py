"""Operations without a rule of ours: factorisations, solves, rules that a person has written. JAX has theirs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from functional_mlp.oracle.traced.diagnosis.replay.linear import Stacked
from functional_mlp.oracle.traced.diagnosis.replay.tape import Step
from functional_mlp.oracle.traced.tracing.primitives import is_float

BLOCK = 16  # rows that are run at once: programs are compiled for so many, whatever there are


def pushed_by_jax(step: Step, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    """The tangents of the results."""
    moving = [i for i, a in enumerate(x) if is_float(a)]
    floats = tuple(x[i] for i in moving)
    rows = next(len(t) for t in tangents if t is not None)
    given = [np.zeros((rows, *x[i].shape)) if tangents[i] is None else np.asarray(tangents[i]) for i in moving]
    function = partial(_floats_of, step, x, moving)
    one = lambda *t: jax.jvp(function, floats, t)[1]  # noqa: E731
    made = iter(_in_blocks(jax.jit(jax.vmap(one)), given))
    return [next(made) if is_float(r) else None for r in y]


def pulled_by_jax(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    """The cotangents of the operands."""
    moving = [i for i, a in enumerate(x) if is_float(a)]
    floats = tuple(x[i] for i in moving)
    rows = next(len(ct) for ct in cts if ct is not None)
    results = [i for i, r in enumerate(y) if is_float(r)]
    given = [np.zeros((rows, *y[i].shape)) if cts[i] is None else np.asarray(cts[i]) for i in results]
    function = partial(_floats_of, step, x, moving)
    one = lambda *ct: jax.vjp(function, *floats)[1](list(ct))  # noqa: E731
    made = iter(_in_blocks(jax.jit(jax.vmap(one)), given))
    return [next(made) if is_float(a) else None for a in x]


def _in_blocks(function: Callable[..., Any], rows: list[Any]) -> list[Any]:
    count = len(rows[0])
    size = BLOCK if count > 1 else 1
    more = -count % size
    rows = [np.concatenate([a, np.zeros((more, *a.shape[1:]))]) for a in rows]
    parts = [function(*(a[i : i + size] for a in rows)) for i in range(0, count, size)]
    return [np.concatenate([np.asarray(part) for part in column])[:count] for column in zip(*parts, strict=True)]


def _floats_of(step: Step, x: list[Any], moving: list[int], *floats: Any) -> list[Any]:
    """The floating results of an operation, as a function of its floating operands."""
    given = dict(zip(moving, floats, strict=True))
    results = step.equation.primitive.bind(*(given.get(i, a) for i, a in enumerate(x)), **step.params)
    results = results if step.equation.primitive.multiple_results else [results]
    return [r for r in results if np.issubdtype(r.dtype, np.floating)]
