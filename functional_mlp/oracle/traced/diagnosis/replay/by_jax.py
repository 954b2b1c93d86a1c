"""Operations without a rule of ours: factorisations, solves, rules that a person has written. JAX has theirs."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from functional_mlp import _jax_compat
from functional_mlp.oracle.traced.diagnosis.replay.linear import Stacked
from functional_mlp.oracle.traced.diagnosis.replay.tape import Step
from functional_mlp.oracle.traced.tracing.primitives import is_float

BLOCK = 16  # rows that are run at once: a program is compiled for so many, whatever there are


def pushed_by_jax(step: Step, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    """The tangents of the results."""
    moving = tuple(i for i, a in enumerate(x) if is_float(a))
    rows = next(len(t) for t in tangents if t is not None)
    given = [np.zeros((rows, *x[i].shape)) if tangents[i] is None else np.asarray(tangents[i]) for i in moving]
    made = iter(_in_blocks(_program(step, moving, forward=True), x, given))
    return [next(made) if is_float(r) else None for r in y]


def pulled_by_jax(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    """The cotangents of the operands."""
    moving = tuple(i for i, a in enumerate(x) if is_float(a))
    rows = next(len(ct) for ct in cts if ct is not None)
    results = [i for i, r in enumerate(y) if is_float(r)]
    given = [np.zeros((rows, *y[i].shape)) if cts[i] is None else np.asarray(cts[i]) for i in results]
    made = iter(_in_blocks(_program(step, moving, forward=False), x, given))
    return [next(made) if is_float(a) else None for a in x]


def _in_blocks(program: Callable[..., Any], x: list[Any], rows: list[Any]) -> list[Any]:
    count = len(rows[0])
    rows = [np.concatenate([a, np.zeros((-count % BLOCK, *a.shape[1:]))]) for a in rows]
    parts = [program(x, [a[i : i + BLOCK] for a in rows]) for i in range(0, count, BLOCK)]
    return [np.concatenate([np.asarray(part) for part in column])[:count] for column in zip(*parts, strict=True)]


def _program(step: Step, moving: tuple[int, ...], *, forward: bool) -> Callable[..., Any]:
    try:
        return _compiled(step.equation.primitive, tuple(sorted(step.params.items())), moving, forward)
    except TypeError:  # parameters that have no hash
        return _made(step.equation.primitive, step.params, moving, forward=forward)


@lru_cache(maxsize=64)
def _compiled(primitive: Any, params: tuple[Any, ...], moving: tuple[int, ...], forward: bool) -> Callable[..., Any]:
    return _made(primitive, dict(params), moving, forward=forward)


def _made(primitive: Any, params: dict[str, Any], moving: tuple[int, ...], *, forward: bool) -> Callable[..., Any]:
    """The program that takes the operands, and stacked tangents or cotangents."""

    def one(x: list[Any], given: list[Any]) -> list[Any]:
        def floats_of(*floats: Any) -> list[Any]:
            operands = dict(zip(moving, floats, strict=True))
            results = _jax_compat.results_of(primitive, [operands.get(i, a) for i, a in enumerate(x)], params)
            return [r for r in results if jax.dtypes.issubdtype(r.dtype, np.floating)]

        floats = [x[i] for i in moving]
        if forward:
            return jax.jvp(floats_of, tuple(floats), tuple(given))[1]
        return list(jax.vjp(floats_of, *floats)[1](given))

    return jax.jit(jax.vmap(one, in_axes=(None, 0)))
