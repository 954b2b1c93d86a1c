"""What a sum may round, whatever the order in which it is added up."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.tracing.primitives import Operation, Primitive, Value

TINY = 1e-300


class Sizes(NamedTuple):
    """Sizes of sums, each an array of their shape.

    Attributes:
        amplitude: what they may round, in units of the format in which they run; 0 of those of one term.
        copies: whether they have one term or none.
        reach: how large they are before anything cancels; 0 of those of one term.
        terms: the root of the sum of the squares of the terms.
    """

    amplitude: Array
    copies: NDArray[np.bool_]
    reach: Array
    terms: Array


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
    are added to, round the same way: then errors add up, to u k |S| / 2.

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
    if terms is not None:
        operands = terms
        total = np.maximum(total, np.abs(evaluate(terms)))
    squares = np.maximum(of(np.square, operands), 0.0)
    absolute = of(np.abs, operands)
    k = np.round(np.maximum(of(lambda a: (a != 0).astype(np.float64), operands), 0.0))
    copies = (k <= 1) & (not primitive.multiplies)
    partial = k * (total**2 / 3 + squares / 6) + squares
    largest, together = np.maximum(total, np.sqrt(squares)), k / 2
    if operation.name == "cumsum":
        sums = evaluate(operands)
        partial, absolute_sums = of(np.square, [sums]), of(np.abs, [sums])
        partial = np.maximum(partial, squares)
        with np.errstate(all="ignore"):
            together = np.where(largest > 0, absolute_sums / largest, 0.0)
    spread = np.sqrt(np.maximum(squares / np.maximum(k, 1) - (absolute / np.maximum(k, 1)) ** 2, 0))
    alike = np.where(largest > 0, np.minimum(1.0, 2 * unit * largest / np.where(spread > 0, spread, TINY)), 0.0)
    alike = np.where(np.isfinite(alike), alike, 1.0)
    amplitude = np.maximum(np.sqrt(partial), alike * together * largest)
    zero: Any = 0.0
    return Sizes(np.where(copies, zero, amplitude), copies, np.where(copies, zero, largest), np.sqrt(squares))
