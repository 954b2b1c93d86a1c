"""Numbers that round in every operation, as those of a program do, in several runs side by side.

What an operation errs by is its unit roundoff times the result, plus what underflow may take, with a random sign: the
worst that one operation can do. In half of the runs all entries of an array err to the same side.
"""

from typing import Any

import numpy as np

from functional_mlp._dtypes import Array


class Rounded(np.lib.mixins.NDArrayOperatorsMixin):
    """Numbers of several runs.

    Attributes:
        values: (runs, …) float64.
        unit: of the operations on them.
        smallest: what underflow may take of a result.
        constant: whether these are numbers (runs,) of a specification, which each operation may take from elsewhere,
            rounded anew: a program may compute 1 - beta in one format, and beta to some power in another.
    """

    def __init__(
        self, values: Array, unit: float, smallest: float, rng: np.random.Generator, *, constant: bool = False
    ) -> None:
        self.values, self.unit, self.smallest, self.rng, self.constant = values, unit, smallest, rng, constant

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> "Rounded":
        if method != "__call__" or keywords:
            raise TypeError(f"expected a plain operation, got {ufunc.__name__}.{method}")
        own = [each for each in inputs if isinstance(each, Rounded)]
        arrays = [each for each in own if not each.constant] or own
        axes = max(each.values.ndim for each in own)
        with np.errstate(all="ignore"):
            first, *rest = (each._operand(axes) if isinstance(each, Rounded) else each for each in inputs)
            if ufunc is np.power and rest == [0.5]:
                first = np.maximum(first, 0.0)  # squares, whatever their noise is
            result = ufunc(first, *rest)
            unit, smallest = arrays[0].unit, arrays[0].smallest
            off = unit * np.abs(result) + smallest
            values = result + signs(result.shape, self.rng) * off
        return Rounded(values, unit, smallest, self.rng, constant=not arrays or arrays[0].constant)

    def _operand(self, axes: int) -> Array:
        """The numbers with so many axes, constants rounded anew."""
        values = self.values.reshape(self.values.shape + (1,) * (axes - self.values.ndim))
        return values * (1 + self.unit * signs(values.shape, self.rng)) if self.constant else values


def signs(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Random signs (runs, …); in half of the runs the same for all entries."""
    drawn = rng.integers(2, size=shape) * 2.0 - 1.0
    half = shape[0] // 2
    drawn[:half] = drawn[:half].reshape(half, -1)[:, :1].reshape((half,) + (1,) * (len(shape) - 1))
    return np.asarray(drawn)
