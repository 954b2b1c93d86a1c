"""How the numbers of a text were printed, and so how exactly they are known.

A number in a text is known to half a unit of its last printed place, or better: formats such as printf's "%g", Python's
repr and NumPy leave out trailing zeros, and write 0.5 for 0.500000. So two things are said of every number:

- `widest`: half a unit of its own last place. A right program is never further off, whatever it prints with.
- `half_unit`: the same for what was printed before trailing zeros were left out, as the numbers beside it tell.

They are judged by array, for NumPy, PyTorch, R and MATLAB choose the format of each array for itself, and from the
whole text where that says more. Where it is evident how an array was printed, both are the same. Where it is not, as
with few numbers such as 0.5 and 0.25, six digits are assumed, since nobody's default prints fewer but PyTorch's and
MATLAB's: an error between the two cannot be judged, and the verdict there is UNDECIDED.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.documents.spelling import NO_EXPONENT

FEWEST_DIGITS = 6  # printf's %g and %f, C++ streams


@dataclass(frozen=True)
class Printed:
    """How all numbers were printed, as it is declared or told from them.

    Attributes:
        style: "significant", a number of significant digits (%g, %e, repr); or "fixed", a number of decimals (%f).
        digits: how many.
    """

    style: str
    digits: int

    def half_unit(self, values: np.ndarray | float) -> np.ndarray:
        """How far the printed number may be from each of `values`, as read from it.

        That is half a unit in the last printed place, and half the distance of the neighbouring float64, which reading
        may add. Exact zeros are exact in the style "significant"; NaN and infinities get 0: no digit makes them right.

        Args:
            values: numbers of any shape.

        Returns:
            float64 of the same shape, finite and not negative.
        """
        return _with_reading(np.asarray(values, np.float64), self.half)

    def __str__(self) -> str:
        """As `printed_as` takes it."""
        return f"%.{self.digits}f" if self.style == "fixed" else str(self.digits)

    def widest(self, values: np.ndarray | float) -> np.ndarray:
        """The same: nothing is in doubt."""
        return self.half_unit(values)

    def half(self, size: np.ndarray) -> np.ndarray:
        """Half a unit in the last printed place of numbers of these magnitudes."""
        if self.style == "fixed":
            return np.full(size.shape, half_at(self.digits))
        exponents = np.searchsorted(_POWERS, size, side="right") - 1
        return np.where(size > 0, _HALVES[np.maximum(exponents - min(self.digits, 10**6) + 1, _NONE)], 0.0)

    def written(self, value: float) -> str:
        """A finite number in this style, or to the last digit where that would change it."""
        digits = max(self.digits, 0)
        text = f"{value:.{digits}f}" if self.style == "fixed" else f"{value:.{max(digits, 1) - 1}e}"
        return text if float(text) == value else repr(value)


def _with_reading(values: np.ndarray, half: Any) -> np.ndarray:
    """`half` of the magnitudes of values, and what reading a decimal adds; 0 for what is not finite."""
    finite = np.isfinite(values)
    size = np.abs(np.where(finite, values, 0.0))
    return np.asarray(np.where(finite, half(size) + np.spacing(size) / 2, 0.0))


def _half(exponent: int) -> float:
    return float(f"5e{exponent - 1}")


_LEAST, _LARGEST = -324, 308  # the first is the exponent of the smallest subnormal, 4.9e-324; as a float64 it is 0
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(_LEAST, _LARGEST + 1)])
# half of 10^(_LEAST + i) at index i; at negative indices, that is from the end, nothing is left
_HALVES = np.array([*map(_half, range(_LEAST, _LARGEST + 1)), 0.0])
_NONE = -1


def half_at(place: Any) -> np.ndarray:
    """Half a unit of the place 10^-place."""
    index = np.minimum(-np.asarray(place, np.int64), _LARGEST) - _LEAST
    return np.asarray(_HALVES[np.maximum(index, _NONE)])


_DECLARED = re.compile(r"%?\.(\d{1,3})([eEfFgG])")


def printed_as(digits: Any) -> Printed:
    """What a person declares of the digits of all numbers.

    Args:
        digits: a number of significant digits, such as 6; or a format of printf: "%.4f" for 4 decimals, "%.6g", "%.8e".

    Raises:
        TypeError, ValueError: for anything else.

    Example:
        >>> printed_as(6), printed_as("%.4f")
        (Printed(style='significant', digits=6), Printed(style='fixed', digits=4))
    """
    if isinstance(digits, Printed):
        return digits
    if isinstance(digits, str) and digits.isdecimal() and len(digits) < 4:
        digits = int(digits)
    if isinstance(digits, str):
        found = _DECLARED.fullmatch(digits)
        if found is not None:
            number, letter = int(found[1]), found[2].lower()
            style = "fixed" if letter == "f" else "significant"
            return Printed(style, number + (letter == "e") if style == "fixed" or letter == "e" else max(number, 1))
    elif isinstance(digits, int) and not isinstance(digits, bool) and digits >= 1:
        return Printed("significant", digits)
    elif isinstance(digits, bool) or not isinstance(digits, int | float):
        raise TypeError(f"expected digits to be a number or a format such as '%.4f', got {type(digits).__name__}")
    raise ValueError(
        f"expected digits to be a number of significant digits of at least 1, or a format such as '%.4f' for decimals,"
        f" got {digits!r}"
    )


# one array


@dataclass(frozen=True, eq=False)
class PrintedArray:
    """How each number of an array was printed, found by its value: in whatever layout the array is looked at.

    Attributes:
        values: the different numbers, ascending.
        known: half a unit of each as it was printed before trailing zeros were left out.
        most: half a unit of the last place that stands there.
        others: the styles that other numbers in its place might have been printed in.
        decimals, powers: of the text of each; `NO_EXPONENT` where it has none.
    """

    values: np.ndarray
    known: np.ndarray
    most: np.ndarray
    others: tuple[Printed, ...]
    decimals: np.ndarray
    powers: np.ndarray

    def half_unit(self, values: np.ndarray | float) -> np.ndarray:
        """As `Printed.half_unit`, of what was printed before trailing zeros were left out."""
        return self._looked_up(np.asarray(values, np.float64), self.known)

    def widest(self, values: np.ndarray | float) -> np.ndarray:
        """As `half_unit`, by the last place that stands there alone: never less."""
        return self._looked_up(np.asarray(values, np.float64), self.most)

    def _looked_up(self, values: np.ndarray, halves: np.ndarray) -> np.ndarray:
        def half(size: np.ndarray) -> np.ndarray:
            other = np.max([style.half(size) for style in self.others], axis=0)
            if not self.values.size:
                return np.asarray(other)
            index = np.minimum(np.searchsorted(self.values, values), self.values.size - 1)
            return np.where(self.values[index] == values, halves[index], other)

        return _with_reading(values, half)

    def written(self, value: float) -> str:
        """A finite number as it stood in the text, or to the last digit where it did not stand there."""
        index = min(int(np.searchsorted(self.values, value)), self.values.size - 1)
        if index < 0 or self.values[index] != value:
            return repr(value)
        decimals, power = int(self.decimals[index]), int(self.powers[index])
        scaled, end = (value, "") if power == NO_EXPONENT else (Decimal(repr(value)).scaleb(-power), f"e{power}")
        text = f"{scaled:.{decimals}f}{end}"
        return text if float(text) == value else repr(value)


Digits = Printed | PrintedArray


class Evidence(NamedTuple):
    """What a whole text tells.

    Attributes:
        decimals: of arrays whose numbers all have so many, trailing zeros included.
        digits: the same of significant digits.
        styles: in which trailing zeros were left out, where that is evident for all arrays of the text; or ().
    """

    decimals: frozenset[int]
    digits: frozenset[int]
    styles: tuple[Printed, ...]


NOTHING = Evidence(frozenset(), frozenset(), ())


@dataclass(frozen=True, eq=False)
class PrintedText:
    """How the numbers of a text were printed.

    Attributes:
        arrays: by path, such as "params[0].weights"; of layers that are no objects "params[0]".
        evidence: what all of them tell together.
    """

    arrays: Mapping[str, PrintedArray]
    evidence: Evidence = NOTHING

    def of(self, path: str) -> PrintedArray:
        """How an array was printed; one that was made of others, as of a last row, may hold the numbers of each."""
        return self.arrays.get(path) or self.together

    @cached_property
    def together(self) -> PrintedArray:
        """All arrays as one; of equal numbers that were printed differently, the less exact."""
        parts = list(self.arrays.values())
        columns = [np.concatenate(column) for column in zip(*(_columns(part) for part in parts), strict=True)]
        others = tuple(dict.fromkeys(style for part in parts for style in part.others))
        return array_of(*columns, others=others)


def _columns(part: PrintedArray) -> tuple[np.ndarray, ...]:
    return part.values, part.known, part.most, part.decimals, part.powers


def array_of(
    values: np.ndarray,
    known: np.ndarray,
    most: np.ndarray,
    decimals: np.ndarray,
    powers: np.ndarray,
    *,
    others: tuple[Printed, ...],
) -> PrintedArray:
    """The numbers of an array, each value once: as it was printed least exactly."""
    order = np.lexsort((-known, -most, values))
    values = values[order]
    first = np.ones(values.size, bool)
    first[1:] = values[1:] != values[:-1]
    first &= np.isfinite(values)
    columns = (column[order][first] for column in (known, most, decimals, powers))
    known, most, decimals, powers = columns
    return PrintedArray(values[first], known, most, others, decimals, powers)
