"""Functions that are written in pieces, such as a maximum: which piece is taken, and how it goes on elsewhere.

A difference across a kink is no derivative. So what moves numbers a little keeps to the pieces that they are on: where
two are equal, to both in the shares in which JAX's derivative takes them.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.tracing.primitives import Operation, Value, aligned, is_float, trailing, windows_of


class Pieces(NamedTuple):
    """How an operation in pieces is followed.

    Attributes:
        shares: of (operation, *operands): how much each operand, or each entry of the only one, counts; an array each.
        follow: of (operation, shares, *operands): the result with these shares.
    """

    shares: Callable[..., Sequence[Array]]
    follow: Callable[..., Array]


def shares_of(operation: Operation, x: Sequence[Value]) -> Sequence[Array] | None:
    """The pieces that an operation is on; None if it is not in pieces, or of whole numbers."""
    if operation.name not in PIECES or not all(map(is_float, x)):
        return None
    return PIECES[operation.name].shares(operation, *aligned(operation, tuple(x)))


def followed(operation: Operation, shares: Sequence[Array], x: Sequence[Value]) -> Array:
    """The result on the pieces that were taken elsewhere."""
    return PIECES[operation.name].follow(operation, shares, *aligned(operation, tuple(x)))


def _weighed(share: Array, x: Array) -> Any:
    return np.where(share == 0, 0.0, share * x)  # what does not count may be infinite


def _of_two(larger: bool) -> Pieces:
    def shares(operation: Operation, a: Array, b: Array) -> tuple[Array, Array]:
        first = np.where(a == b, 0.5, np.where((a > b) == larger, 1.0, 0.0))
        return first, 1.0 - first

    def follow(operation: Operation, own: Sequence[Array], a: Array, b: Array) -> Array:
        y: Array = _weighed(own[0], a) + _weighed(own[1], b)
        return y

    return Pieces(shares, follow)


def _along(extreme: Callable[..., Any]) -> Pieces:
    def shares(operation: Operation, x: Array) -> tuple[Array]:
        axes = trailing(operation.params["axes"], operation.ranks[0])
        chosen = x == extreme(x, axis=axes, keepdims=True)
        return (chosen / chosen.sum(axis=axes, keepdims=True),)

    def follow(operation: Operation, own: Sequence[Array], x: Array) -> Array:
        y: Array = _weighed(own[0], x).sum(axis=trailing(operation.params["axes"], operation.ranks[0]))
        return y

    return Pieces(shares, follow)


def _windows(operation: Operation, x: Array) -> tuple[Array, tuple[int, ...]]:
    rank = operation.ranks[0]
    return windows_of(x, rank, -np.inf, operation.params), tuple(range(-rank, 0))


def _largest_in_windows(operation: Operation, x: Array) -> tuple[Array]:
    windows, inside = _windows(operation, x)
    chosen = windows == windows.max(axis=inside, keepdims=True)
    return (chosen / chosen.sum(axis=inside, keepdims=True),)


def _in_windows(operation: Operation, own: Sequence[Array], x: Array) -> Array:
    windows, inside = _windows(operation, x)
    y: Array = _weighed(own[0], windows).sum(axis=inside)
    return y


def _within(operation: Operation, low: Array, x: Array, high: Array) -> tuple[Array, Array, Array]:
    inside = ((x > low) & (x < high)).astype(np.float64)
    below = (x <= low) & (inside == 0)
    return below.astype(np.float64), inside, 1.0 - inside - below


def _bounded(operation: Operation, own: Sequence[Array], low: Array, x: Array, high: Array) -> Array:
    y: Array = _weighed(own[0], low) + _weighed(own[1], x) + _weighed(own[2], high)
    return y


PIECES: dict[str, Pieces] = {
    "abs": Pieces(lambda operation, x: (np.sign(x),), lambda operation, own, x: _weighed(own[0], x)),
    "max": _of_two(larger=True),
    "min": _of_two(larger=False),
    "clamp": Pieces(_within, _bounded),
    "reduce_max": _along(np.max),
    "reduce_min": _along(np.min),
    "reduce_window_max": Pieces(_largest_in_windows, _in_windows),
}
