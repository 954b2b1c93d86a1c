"""One operation of a trace, and what is known of its primitive; how operands with passes in front are lined up.

Every array may have one axis more than the trace says, in front: of passes that are computed side by side. Evaluators
therefore count axes from the end. They compute exactly, which is to say in float64, and never in place.
"""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from functional_mlp import _jax_compat

Value = Any  # an array of NumPy (floats are float64), or keys of JAX's random numbers


class Operation(NamedTuple):
    """One equation of a trace, as evaluators read it.

    Attributes:
        name: of its primitive.
        params: of its primitive.
        ranks: the number of axes of each operand, passes not counted.
        shapes: of the results, passes not counted.
        equation: JAX's own.
    """

    name: str
    params: dict[str, Any]
    ranks: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    equation: Any


class Kind(enum.Enum):
    """How the operations of a primitive round.

    EXACT: not at all: what moves numbers, chooses between them, or changes signs.
    ROUNDED: by units relative to the result, and absolute ones.
    SUM: as a sum of many terms, in any order.
    DECIDED: no number at all comes out, but a decision: comparisons, places of the largest, whole numbers.
    BACKWARD: as the exact result for operands a little off: factorisations.
    """

    EXACT = "exact"
    ROUNDED = "rounded"
    SUM = "sum"
    DECIDED = "decided"
    BACKWARD = "backward"


class Primitive(NamedTuple):
    """What is known of a primitive.

    Attributes:
        evaluate: of (operation, *operands): the result, or a list of several. Of what decides, of (operation, decision,
            *operands): what comes of that decision.
        kind: how it rounds.
        relative: units that it may err by, relative to its result.
        absolute: of (result, *operands): further units that it may err by, since it may be computed in another way. Of
            a factorisation, of an operand, which `relative` and this are about there.
        decide: of what decides, of (operation, *operands): the decision, an array.
        moved: of a sum, the places of the operands whose numbers are added up; all, if None.
        multiplies: whether a sum is one of products, whose factors may be rounded before.
        factors: of a sum of products, of (operation, *operands): the two matrices whose product it is, and what brings
            that product into the shape of the result.
        added: of a sum in which some terms are subtracted: the evaluator that adds them.
        pole: the operand at whose zero the result is infinite, or not a number; None without.
        linear: whether the result is linear in each operand that is a float.
    """

    evaluate: Callable[..., Any]
    kind: Kind = Kind.EXACT
    relative: float | Callable[[Operation], float] = 0.0
    absolute: Callable[..., Any] | None = None
    decide: Callable[..., Any] | None = None
    moved: tuple[int, ...] | None = None
    multiplies: bool = False
    factors: Callable[..., tuple[Value, Value, Callable[[Value], Value]]] | None = None
    added: Callable[..., Any] | None = None
    pole: int | None = None
    linear: bool = False


def prepared(equation: Any) -> Operation:
    """An equation of JAX as evaluators read it."""
    ranks = tuple(len(_jax_compat.shape_of(v)) for v in equation.invars)
    shapes = tuple(_jax_compat.shape_of(v) for v in equation.outvars)
    return Operation(equation.primitive.name, equation.params, ranks, shapes, equation)


def as_value(x: Any) -> Value:
    """An array as evaluators take it: every float is a float64, keys stay JAX's."""
    dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    if jax.dtypes.issubdtype(dtype, jax.dtypes.extended):
        return x
    array = np.asarray(x)
    return array.astype(np.float64, copy=False) if jax.dtypes.issubdtype(dtype, np.floating) else array


def is_float(x: Value) -> bool:
    """Whether these are numbers that round."""
    return isinstance(x, np.ndarray) and x.dtype == np.float64


def passes_of(x: Value, rank: int) -> tuple[int, ...]:
    """The shape of what is in front: () or (passes,)."""
    return np.shape(x)[: np.ndim(x) - rank]


def trailing(axes: Any, rank: int) -> tuple[int, ...]:
    """Axes counted from the end."""
    return tuple(axis - rank for axis in axes)


def aligned(operation: Operation, x: tuple[Value, ...]) -> tuple[Value, ...]:
    """Operands that NumPy broadcasts as JAX does: numbers without axes beside arrays get theirs after the passes."""
    rank = max(operation.ranks)
    return tuple(
        a.reshape(a.shape + (1,) * (rank - r)) if a.ndim > r and r < rank else a
        for a, r in zip(x, operation.ranks, strict=True)
    )


def with_passes(operation: Operation, x: tuple[Value, ...]) -> tuple[Value, ...]:
    """Operands that all have passes in front if one has."""
    most = max((passes_of(a, r) for a, r in zip(x, operation.ranks, strict=True)), key=len, default=())
    if not most:
        return x
    return tuple(
        a if a.ndim > r else np.broadcast_to(a, most + a.shape) for a, r in zip(x, operation.ranks, strict=True)
    )


def elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """The evaluator of a function of NumPy that computes every entry by itself."""

    def evaluate(operation: Operation, *x: Value) -> Any:
        return function(*aligned(operation, x))

    return evaluate


def by_rows(evaluate: Callable[..., Any], which: Callable[[Value], bool] = lambda _: True) -> Callable[..., Any]:
    """An evaluator that computes one pass after the other where one of certain operands has passes in front."""

    def rows(operation: Operation, *x: Value) -> Any:
        has = [np.ndim(a) > r for a, r in zip(x, operation.ranks, strict=True)]
        if not any(h and which(a) for h, a in zip(has, x, strict=True)):
            return evaluate(operation, *x)
        count = next(len(a) for a, h in zip(x, has, strict=True) if h)
        found = [evaluate(operation, *(a[i] if h else a for a, h in zip(x, has, strict=True))) for i in range(count)]
        if isinstance(found[0], list):
            return [np.stack([np.asarray(part) for part in column]) for column in zip(*found, strict=True)]
        return np.stack([np.asarray(part) for part in found])

    return rows


def _by_jax(operation: Operation, *x: Value) -> Any:
    """What JAX itself computes, in float64 whatever float the trace names."""
    floating = {
        name: np.dtype(np.float64)
        for name in ("preferred_element_type", "dtype", "out_dtype")
        if operation.params.get(name) is not None and jax.dtypes.issubdtype(operation.params[name], np.floating)
    }
    primitive = operation.equation.primitive
    y = list(map(as_value, _jax_compat.results_of(primitive, x, operation.params | floating)))
    return y if primitive.multiple_results else y[0]


by_jax = by_rows(_by_jax)


def exact(function: Callable[..., Any]) -> Primitive:
    """What does not round, entry by entry."""
    return Primitive(elementwise(function))


def product(factors: Callable[..., tuple[Value, Value, Callable[[Value], Value]]]) -> Primitive:
    """A sum of products that is a product of matrices."""

    def evaluate(operation: Operation, left: Value, right: Value) -> Value:
        a, b, shaped = factors(operation, left, right)
        return shaped(np.matmul(a, b))

    return Primitive(evaluate, Kind.SUM, multiplies=True, factors=factors, linear=True)
