"""What a sum may round, whatever the order in which it is added up."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.tracing.primitives import Operation, Primitive, Value

TINY = 1e-300
BLOCKS = 12  # of a long sum of products, between which its partial sums are looked at
MOST_LOST = 0.5  # of the sum of the magnitudes of all terms
MOST_LOST_OF_ONE_SIGN = 0.35  # likewise, where they hardly cancel and are not too many
# times 1 / unit terms: of more, whoever adds up equal ones one by one loses more than the noise shows
STANDSTILL = 1.75
ONE_SIGN = 1.25  # of terms whose magnitudes add up to no more than so many times their sum, next to nothing cancels


class Sizes(NamedTuple):
    """Sizes of sums, each an array of their shape.

    Attributes:
        amplitude: what they may round, in units of the format in which they run; 0 of those of one term.
        copies: whether they have one term or none.
        reach: how large they are before anything cancels; 0 of those of one term.
        of_one_sign: whether terms hardly cancel, and are not too many for the format: then a sum may be off by a
            factor, but is neither 0 nor negative.
    """

    amplitude: Array
    copies: NDArray[np.bool_]
    reach: Array
    of_one_sign: NDArray[np.bool_]


def sizes_of(
    operation: Operation,
    primitive: Primitive,
    x: list[Value],
    terms: list[Value] | None,
    evaluate: Callable[[list[Value]], Array],
    unit: float,
) -> Sizes:
    """Sizes of the sums of an operation.

    The mean square of a partial sum over all orders gives k (S^2 / 3 + Q / 6) + Q for the sum of their squares, of k
    terms with sum S and sum of squares Q. Terms that are alike, or too small to be seen by the partial sum that they
    are added to, round the same way: then errors add up, to u k |S| / 2. Terms that are sorted, as samples are by
    class, have larger partial sums in their order than in others: that order is looked at too.

    Args:
        operation: the sum.
        primitive: what is known of its primitive.
        x: its operands.
        terms: its operands with the magnitudes that another formula may have; None where these are the same.
        evaluate: computes it.
        unit: of the format in which it runs.
    """
    moved = range(len(x)) if primitive.moved is None else primitive.moved

    def of(function: Callable[[Array], Array], operands: list[Value]) -> Array:
        return evaluate([function(a) if i in moved else a for i, a in enumerate(operands)])

    total, operands = np.abs(evaluate(x)), x
    without_loss = ONE_SIGN * total
    if terms is not None:
        operands = terms
        total = np.maximum(total, np.abs(evaluate(terms)))
    squares = np.maximum(of(np.square, operands), 0.0)
    absolute = of(np.abs, operands)
    k = np.round(np.maximum(of(lambda a: (a != 0).astype(np.float64), operands), 0.0))
    copies = (k <= 1) & (not primitive.multiplies)
    largest = np.maximum(total, np.sqrt(squares))
    ordered = _in_order(operation, primitive, operands, evaluate)
    if operation.name == "cumsum":  # has but one order
        partial, running = np.maximum(ordered.squares, squares), ordered.absolute
    else:
        partial = np.maximum(k * (total**2 / 3 + squares / 6) + squares, ordered.squares)
        running = np.maximum(k * largest / 2, ordered.absolute)
    spread = np.sqrt(np.maximum(squares / np.maximum(k, 1) - (absolute / np.maximum(k, 1)) ** 2, 0))
    alike = np.where(largest > 0, np.minimum(1.0, 2 * unit * largest / np.where(spread > 0, spread, TINY)), 0.0)
    alike = np.where(np.isfinite(alike), alike, 1.0)
    # however coarse the format is, a sum does not stray much farther than its terms reach
    of_one_sign = (absolute <= without_loss) & (k * unit <= STANDSTILL)
    most = np.where(of_one_sign, MOST_LOST_OF_ONE_SIGN, MOST_LOST) / unit * absolute
    amplitude = np.minimum(np.maximum(np.sqrt(partial), alike * running), most)
    zero: Any = 0.0
    return Sizes(np.where(copies, zero, amplitude), copies, np.where(copies, zero, largest), of_one_sign & ~copies)


class Ordered(NamedTuple):
    """Partial sums of sums, in the order in which their terms are; zeros where no order is known.

    Attributes:
        squares: the sum of their squares.
        absolute: the sum of their magnitudes.
    """

    squares: Any
    absolute: Any


def _in_order(
    operation: Operation, primitive: Primitive, x: list[Value], evaluate: Callable[[list[Value]], Array]
) -> Ordered:
    if operation.name == "cumsum":
        running = evaluate(x)
        return Ordered(evaluate([np.square(running)]), evaluate([np.abs(running)]))
    if operation.name == "reduce_sum":
        axes = operation.params["axes"]
        terms = np.moveaxis(x[0], axes, range(-len(axes), 0)).reshape((*operation.shapes[0], -1))
        sums = np.cumsum(terms, axis=-1)
        return Ordered(np.square(sums).sum(-1), np.abs(sums).sum(-1))
    if primitive.factors is not None:
        a, b, shaped = primitive.factors(operation, *x)
        return Ordered(*map(shaped, _in_blocks(a, b)))
    return Ordered(0.0, 0.0)


def _in_blocks(a: Array, b: Array) -> tuple[Array, Array]:
    """Of the product of (..., rows, inner) and (..., inner, columns); partial sums are looked at between blocks.

    Within a block they are taken to be as large as the larger of those at its ends.
    """
    edges = np.unique(np.linspace(0, a.shape[-1], min(a.shape[-1], BLOCKS) + 1).astype(int))
    sums = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]))
    before, squares, absolute = np.zeros_like(sums), np.zeros_like(sums), np.zeros_like(sums)
    for start, stop in itertools.pairwise(edges):
        sums += a[..., start:stop] @ b[..., start:stop, :]
        size = np.abs(sums)
        np.maximum(before, size, out=before)
        squares += (stop - start) * np.square(before)
        absolute += (stop - start) * before
        before = size
    return squares, absolute
