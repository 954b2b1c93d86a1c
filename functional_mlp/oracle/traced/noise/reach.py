"""How large the numbers are that another formula for the same function would work with.

A program may compute the variance as E[x^2] - E[x]^2 where the trace has E[(x - E[x])^2], or exp(x) / sum exp(x) as
exp(x - log sum exp(x)): the same function, with roundings of larger numbers. The reach of an array is how large those
may be. It is carried along to first order, and reaches no farther than one contraction. What loops carry may be made of
blocks instead, as a tree of products: of two such numbers the product may be multiplied out.
"""

from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.tracing.primitives import Kind, Operation, Primitive, Value, aligned, is_float

FAR = 2.0  # a reach that is no larger than so many times the number itself is not worth carrying along
MOST_EXPONENT = 1e4


class Reached(NamedTuple):
    """An array with its reach.

    Attributes:
        array: the numbers.
        reach: at least as large as they; None where it is they themselves.
        contracted: the reach of the last contraction before it, which may be done in another order; None without.
        looped: whether a loop carries it, or it is made of what one does.
    """

    array: Array
    reach: Array | None
    contracted: Array | None
    looped: bool = False


def array_of(x: Any) -> Value:
    """The numbers of what may have a reach."""
    return x.array if isinstance(x, Reached) else x


def reach_of(x: Any) -> Value:
    """The reach of a float."""
    if isinstance(x, Reached):
        return np.abs(x.array) if x.reach is None else x.reach
    return np.abs(x)


def contracted_of(x: Any) -> Array | None:
    """The reach of the last contraction before it."""
    return x.contracted if isinstance(x, Reached) else None


def is_looped(x: Any) -> bool:
    """Whether a loop carries it, or it is made of what one does."""
    return isinstance(x, Reached) and x.looped


def reached(y: Array, reach: Array | None, contracted: Array | None = None, *, looped: bool = False) -> Any:
    """An array with its reach, where that is larger than the array."""
    far = reach is not None and bool(np.any(reach > FAR * np.abs(y)))
    if not far and contracted is None and not looped:
        return y
    return Reached(y, np.maximum(reach, np.abs(y)) if far and reach is not None else None, contracted, looped)


def carried(operation: Operation, primitive: Primitive, x: list[Any], y: Array) -> Array | None:
    """The reach of the result of an operation that is no sum; None where it is the result itself."""
    bare, name = [array_of(a) for a in x], operation.name
    reach = [reach_of(a) if is_float(b) else b for a, b in zip(x, bare, strict=True)]
    if name in ("add", "sub", "add_any"):
        return np.broadcast_to(np.hypot(*aligned(operation, tuple(reach))), y.shape)  # squared, as x^2 + y^2 - 2 x y
    if name == "exp":  # exp(x - log(sum)) does not sum to 1 as exp(x) / sum does
        return np.abs(y) * np.minimum(reach[0], MOST_EXPONENT)
    if name in ("square", "integer_pow"):
        power = operation.params.get("y", 2)
        return reach[0] ** power if power > 0 else None
    if not any(isinstance(a, Reached) and a.reach is not None for a in x):
        return None
    if name == "mul" and all(map(is_looped, x)):
        far_a, far_b = aligned(operation, tuple(reach))
        return far_a * far_b
    if name in ("max", "min", "clamp"):
        near, far = aligned(operation, tuple(bare)), aligned(operation, tuple(reach))
        chosen = [np.where(y == a, r, 0.0) for a, r in zip(near, far, strict=True)]
        return np.maximum.reduce(np.broadcast_arrays(*chosen))
    return to_first_order(operation, primitive, bare, reach)


def to_first_order(operation: Operation, primitive: Primitive, x: list[Value], reach: list[Value]) -> Array | None:
    """The reach of the result of an operation that is linear in its operands, or a quotient; None of others."""
    if operation.name == "mul":
        (a, b), (far_a, far_b) = aligned(operation, tuple(x)), aligned(operation, tuple(reach))
        return np.maximum(far_a * np.abs(b), np.abs(a) * far_b)
    if operation.name == "div":
        far, divisor = aligned(operation, (reach[0], x[1]))
        return far / np.abs(divisor)
    if operation.name in ("neg", "abs"):
        return reach[0]
    if operation.name == "select_n" or (primitive.linear and primitive.kind is Kind.EXACT and primitive.decide is None):
        y = primitive.evaluate(operation, *reach)
        return None if isinstance(y, list) else y
    return None
