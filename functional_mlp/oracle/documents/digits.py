"""How the numbers of a text were printed, and so how exactly they are known.

A text holds its numbers only to the digits printed, and no number says by itself how many these are: printf's "%g"
writes 0.5 for 0.500000. So they are judged from all numbers of a text together (`printed_style`).
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

FEWEST_DIGITS = 6  # nobody's default prints fewer: printf's %g and %f, C++ streams
ENOUGH = 8  # so many different numbers show that fewer were printed


@dataclass(frozen=True)
class Printed:
    """How the decimal numbers of a text were printed.

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
        array = np.asarray(values, np.float64)
        finite = np.isfinite(array)
        size = np.abs(np.where(finite, array, 0.0))
        if self.style == "fixed":
            half = np.full(array.shape, _half(-self.digits))
        else:
            exponents = np.searchsorted(_POWERS, size, side="right") - 1
            half = np.where(size > 0, _HALVES[np.maximum(exponents - min(self.digits, 10**6) + 1, _NONE)], 0.0)
        return np.where(finite, half + np.spacing(size) / 2, 0.0)


def _half(exponent: int) -> float:
    return float(f"5e{exponent - 1}")


_LEAST = -324  # the exponent of ten of the smallest subnormal, 4.9e-324; as a float64 this power itself is 0
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(_LEAST, 309)])
# half of 10^(_LEAST + i) at index i; at negative indices, that is from the end, nothing is left
_HALVES = np.array([*map(_half, range(_LEAST, 309)), 0.0])
_NONE = -1

_NUMBER = rb"-?\d[\d.eE+-]*+"
# a text, with the one number that stands behind it if it is the name of a field
_QUOTED = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"(?:\s*+:\s*+' + _NUMBER + rb")?", re.DOTALL)
_LOSS = re.compile(rb'"loss"\s*+:\s*+(' + _NUMBER + rb")")
_BLANKS = bytes(char if char in b"0123456789.eE+-" else ord(" ") for char in range(256))
_CHUNK = 2**18  # characters looked at together
_WIDTH = 64  # of a number; one with more digits is exact, whatever the others are
_NO_EXPONENT = 1000


class _Shape(NamedTuple):
    """What numbers printed alike share.

    Attributes:
        digits: significant ones, trailing zeros included; 0 for a zero.
        decimals: printed behind the point.
        power: the exponent; _NO_EXPONENT if none is printed.
        last: the last digit before an exponent.
    """

    digits: int
    decimals: int
    power: int
    last: int

    @property
    def place(self) -> int:
        """The last printed place is 10^-place."""
        return self.decimals - (self.power if self.has_exponent else 0)

    @property
    def has_exponent(self) -> bool:
        return self.power != _NO_EXPONENT

    @property
    def is_integer(self) -> bool:
        return self.decimals == 0 and not self.has_exponent


def printed_style(text: str) -> Printed | None:
    """How the numbers in the arrays of a JSON text were printed, judged from all of them together.

    A format of significant digits and one of decimals both either print trailing zeros or leave them out, and most
    numbers have none. So the style is the one whose full number of digits more of the numbers have; where that does not
    tell, it is "fixed" if all have the same decimals and none is an integer, which no fixed format prints.

    Few numbers such as 0.5 and 0.25 are short in any format. Less than 6 digits or decimals are believed only where it
    is evident that no more were printed: by trailing zeros that most formats would have left out (0.50), or by at
    least 8 different numbers, most of which have all the digits and end in neither 0 nor 5, as sums of halves would.
    Otherwise the number of digits is taken as 6 at least: the safer reading, since it overlooks no error of 1 %.

    Quoted texts, and numbers that are fields by themselves (`"learning_rate": 0.1`), do not count.

    Returns:
        None if no number has a point or an exponent: integers are exact.
    """
    counts, different = _shapes(text.encode("ascii", "replace"))
    printed = [shape for shape in counts if not shape.is_integer]
    if not printed:
        return None
    nonzero = {shape: count for shape, count in counts.items() if shape.digits}
    digits = max((shape.digits for shape in nonzero), default=0)
    place = max(shape.place for shape in printed)
    full_digits = sum(count for shape, count in nonzero.items() if shape.digits == digits)
    full_place = sum(count for shape, count in nonzero.items() if shape.place == place)
    longest = max((shape.place for shape in nonzero if shape.digits == digits), default=place)

    padded = any(shape.decimals >= 2 and shape.last == 0 for shape in printed)
    alike = len({(shape.decimals, shape.power) for shape in printed}) == 1 and not printed[0].has_exponent
    no_integers = len(printed) == len(counts)
    in_doubt = alike and no_integers and (padded or sum(counts.values()) > 1)
    # in a fixed format the longest numbers are the largest, and rarely end in two zeros
    fixed = (full_place > full_digits and longest >= place - 1) or (full_place == full_digits and in_doubt)

    total = sum(nonzero.values())
    plain = sum(count for shape, count in nonzero.items() if shape.last not in (0, 5))
    many = different >= ENOUGH and 2 * plain >= total
    if fixed:
        if place >= FEWEST_DIGITS or (padded and alike) or (many and 2 * full_place >= total):
            return Printed("fixed", place)
    elif (padded and nonzero and full_digits == total) or (many and 2 * full_digits >= total):
        return Printed("significant", digits)
    return Printed("significant", max(digits, FEWEST_DIGITS))


def _shapes(text: bytes) -> tuple[dict[_Shape, int], int]:
    """How often each shape of number occurs, and how many different numbers were seen, up to ENOUGH."""
    blank = _QUOTED.sub(b" ", text).translate(_BLANKS)
    counts: Counter[_Shape] = Counter()
    different: set[bytes] = set()
    start = 0
    while start < len(blank):
        end = blank.find(b" ", start + _CHUNK)
        end = len(blank) if end < 0 else end
        written = blank[start:end].split()
        start = end
        counts.update(_shapes_of(written))
        for number in set(written):
            if len(different) == ENOUGH:
                break
            different.add(number.strip(b"+-0."))
            different.discard(b"")
    return counts, len(different)


def _shapes_of(written: list[bytes]) -> dict[_Shape, int]:
    """The shapes of some numbers, all read at once, character by character."""
    width = min(max(map(len, written), default=1), _WIDTH)
    characters = np.array(written, f"S{width}").view(np.uint8).reshape(len(written), width)
    is_number, behind_point, behind_e, is_small = np.zeros((4, len(written)), bool)
    digits, decimals, power, last = np.zeros((4, len(written)), np.int16)
    for column in np.ascontiguousarray(characters.T):
        value = column - np.uint8(ord("0"))  # modulo 256
        is_digit = value < 10
        behind_e |= (column | 32) == ord("e")
        behind_point |= column == ord(".")
        in_mantissa = is_digit & ~behind_e
        is_number |= in_mantissa
        digits += in_mantissa & ((value > 0) | (digits > 0))
        decimals += in_mantissa & behind_point
        last = np.where(in_mantissa, value, last)
        if behind_e.any():
            is_small |= behind_e & (column == ord("-"))
            # beyond 400 a number is 0 or infinite, whatever its digits
            power = np.where(is_digit & behind_e, np.minimum(10 * power + value, 400), power)
    power = np.where(behind_e, np.where(is_small, -power, power), _NO_EXPONENT)
    shapes = np.stack([digits, decimals, power, last], axis=1).astype(np.int16)[is_number]
    keys, counts = np.unique(shapes.view(np.int64), return_counts=True)  # four numbers of 16 bits are one of 64
    rows = keys.view(np.int16).reshape(-1, 4).tolist()
    return {_Shape(*row): count for row, count in zip(rows, counts.tolist(), strict=True)}


def loss_style(text: str, arrays: Printed | None) -> Printed | None:
    """How the loss was printed: like the arrays where it looks so, but never to more than 6 digits if it shows fewer.

    People print it by another statement than the arrays; alone, it tells little.
    """
    name = _LOSS.search(text.encode("ascii", "replace"))
    loss = [] if name is None else [shape for shape in _shapes(name[1])[0] if not shape.is_integer]
    if not loss:
        return None
    shape = loss[0]
    if arrays is not None and arrays.style == "fixed" and not shape.has_exponent and shape.decimals == arrays.digits:
        return arrays
    digits = max(shape.digits, FEWEST_DIGITS)
    if arrays is not None and arrays.style == "significant" and shape.digits <= arrays.digits:
        digits = min(digits, arrays.digits)
    return Printed("significant", digits)
