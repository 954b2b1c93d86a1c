"""What decides: comparisons, orders, places of the largest, whole numbers."""

from typing import Any

import numpy as np

from functional_mlp import _jax_compat
from functional_mlp.oracle.traced.tracing.primitives.operation import (
    Kind,
    Operation,
    Primitive,
    Value,
    elementwise,
    trailing,
)


def _outcome(operation: Operation, decision: Value, *x: Value) -> Value:
    """What decides and does nothing else."""
    return decision


def _compared(function: Any) -> Primitive:
    return Primitive(_outcome, Kind.DECIDED, decide=elementwise(function))


def _rounded(operation: Operation, x: Value) -> Value:
    if int(operation.params["rounding_method"]) == 1:
        return np.rint(x)
    return np.trunc(x + np.copysign(0.5, x))


def _whole(operation: Operation, x: Value) -> Value:
    return x.astype(operation.params["new_dtype"])


def _bits(operation: Operation, x: Value) -> Value:
    [variable] = operation.equation.invars
    return x.astype(_jax_compat.dtype_of(variable)).view(operation.params["new_dtype"])


def _place(function: Any) -> Primitive:
    def decide(operation: Operation, x: Value) -> Value:
        [axis] = trailing(operation.params["axes"], operation.ranks[0])
        return function(x, axis=axis).astype(operation.params["index_dtype"])

    return Primitive(_outcome, Kind.DECIDED, decide=decide)


def _along(x: Value, order: Value, axis: int) -> Value:
    """Entries in another order along an axis counted from the end; either may have passes in front."""
    if order.ndim < x.ndim:
        order = order[None]
    elif x.ndim < order.ndim:
        x = x[None]
    return np.take_along_axis(x, order, axis)


def _order(operation: Operation, *x: Value) -> Value:
    axis, keys = operation.params["dimension"] - operation.ranks[0], x[: operation.params["num_keys"]]
    keys = np.broadcast_arrays(*keys)
    last = [np.moveaxis(key, axis, -1) for key in keys[::-1]]
    return np.moveaxis(np.lexsort(last, axis=-1), -1, axis)


def _sorted(operation: Operation, order: Value, *x: Value) -> list[Value]:
    axis = operation.params["dimension"] - operation.ranks[0]
    return [_along(a, order, axis) for a in x]


def _axis_of_top(operation: Operation) -> int:
    axis = operation.params.get("axis", operation.params.get("reduction_dimension", -1))
    return axis if axis < 0 else axis - operation.ranks[0]


def _places_of_top(operation: Operation, x: Value) -> Value:
    axis, sign = _axis_of_top(operation), -1 if operation.params.get("is_max_k", True) else 1
    order = np.argsort(sign * x, axis=axis, kind="stable")
    return np.take(order, np.arange(operation.params["k"]), axis=axis)


def _top(operation: Operation, places: Value, x: Value) -> list[Value]:
    return [_along(x, places, _axis_of_top(operation)), places.astype(np.int32)]


DECISIONS: dict[str, Primitive] = {
    "eq": _compared(np.equal),
    "ne": _compared(np.not_equal),
    "lt": _compared(np.less),
    "le": _compared(np.less_equal),
    "gt": _compared(np.greater),
    "ge": _compared(np.greater_equal),
    **{
        f"{name}_to": _compared(compare) for name, compare in [("eq", np.equal), ("lt", np.less), ("le", np.less_equal)]
    },
    "is_finite": _compared(np.isfinite),
    "sign": _compared(np.sign),
    "floor": _compared(np.floor),
    "ceil": _compared(np.ceil),
    "round": Primitive(_outcome, Kind.DECIDED, decide=_rounded),
    "argmax": _place(np.argmax),
    "argmin": _place(np.argmin),
    "sort": Primitive(_sorted, Kind.DECIDED, decide=_order),
    "top_k": Primitive(_top, Kind.DECIDED, decide=_places_of_top),
    "approx_top_k": Primitive(_top, Kind.DECIDED, decide=_places_of_top),
}
BITS = Primitive(_outcome, Kind.DECIDED, decide=_bits)  # of a float, such as its sign
TO_WHOLE_NUMBERS = Primitive(_outcome, Kind.DECIDED, decide=_whole)
FOUND_AGAIN = frozenset({"max", "min", "reduce_max", "reduce_min"})  # on the way back, by an equality: unrounded
EQUALITIES = frozenset({"eq", "ne"})  # what equals another number must do so after the noise too, or nothing does
