"""How numbers are spelled in a text: in how many digits, and what other languages write where JSON has another form.

`as_json` mends what people paste and programs print: nan, inf and -nan(ind) as C has them, 1.#INF, Julia's Inf32 and
1.0f-5, Fortran's 1.0D+00, 1. and .5 and +1.0, rows without commas as NumPy prints them. No digit of a number is added
or lost. `shapes_of` says of every number in the arrays of a JSON text how it was written.
"""

import re
from typing import NamedTuple

import numpy as np

# a quoted text, or one that is never closed: it never looks at a character more than a few times
QUOTED = r'"(?:[^"\\]++|\\.?)*+(?:"|\Z)'
_WORD = re.compile(
    rf"""{QUOTED}
    |(?<![\w.])(?P<sign>[-+]?)(?:
        (?P<nan>nan(?:16|32|64)?\b(?:\([^()"]*+\))?|1\.\#(?:ind|[qs]?nan)\d*+)
        |(?P<inf>inf(?:inity|16|32|64)?\b|1\.\#inf\d*+)
        |(?=\.?\d)(?P<whole>\d*+)(?:\.(?P<part>\d*+))?+(?:[edf](?P<power>[-+]?\d++))?+(?![\w.])
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_JSON_NUMBER = re.compile(r"-?(?:NaN|Infinity|\d++(?:\.\d++)?+(?:[eE][-+]?\d++)?+)")
# between two numbers or rows, where NumPy writes no comma
_GAP = re.compile(rf"{QUOTED}|(?<=[\d\]Ny])(?P<gap>\s++)(?=[-\d\[NI])", re.DOTALL)


class Mended(NamedTuple):
    """A text whose numbers are spelled as in JSON (with NaN, Infinity and -Infinity, as Python has them).

    Attributes:
        text: the whole of it.
        first: what was spelled otherwise first, and how that is read; None if nothing was.
    """

    text: str
    first: tuple[str, str] | None


def as_json(text: str) -> Mended:
    """A text with its numbers spelled as in JSON; whatever else it holds stays as it is, quoted texts altogether."""
    first: tuple[str, str] | None = None

    def noted(was: str, becomes: str) -> str:
        nonlocal first
        first = first or (was, becomes)
        return becomes

    def mended(found: re.Match[str]) -> str:
        was = found[0]
        if was[0] == '"' or _JSON_NUMBER.fullmatch(was):
            return was
        sign = "-" if found["sign"] == "-" else ""
        if found["nan"]:
            return noted(was, "NaN")
        if found["inf"]:
            return noted(was, f"{sign}Infinity")
        part = f".{found['part']}" if found["part"] else ""
        power = f"e{found['power']}" if found["power"] else ""
        return noted(was, f"{sign}{found['whole'] or '0'}{part}{power}")

    text = _WORD.sub(mended, text)
    text = _GAP.sub(lambda found: noted(found["gap"], ", ") if found["gap"] else found[0], text)
    return Mended(text, first)


NO_EXPONENT = 1000


class Shapes(NamedTuple):
    """How numbers were written, one entry for each; int16.

    Attributes:
        digits: significant ones, trailing zeros included; 0 for zeros, NaN and infinities.
        decimals: printed behind the point.
        power: the exponent; NO_EXPONENT if none is printed.
        last: the last digit before an exponent.
    """

    digits: np.ndarray
    decimals: np.ndarray
    power: np.ndarray
    last: np.ndarray

    @property
    def has_exponent(self) -> np.ndarray:
        """Whether an exponent is printed."""
        return self.power != NO_EXPONENT

    @property
    def place(self) -> np.ndarray:
        """The last printed place is 10^-place."""
        return self.decimals - np.where(self.has_exponent, self.power, 0)

    @property
    def is_whole(self) -> np.ndarray:
        """Whether there is neither a point nor an exponent."""
        return (self.decimals == 0) & ~self.has_exponent

    def part(self, chosen: slice | np.ndarray) -> "Shapes":
        """Those of some of the numbers."""
        return Shapes(*(column[chosen] for column in self))


_NUMBER = rb"-?\d[\d.eE+-]*+"
# a text, with the one number that stands behind it if it is the name of a field
_FIELD = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"(?:\s*+:\s*+' + _NUMBER + rb")?", re.DOTALL)
_LOSS = re.compile(rb'"loss"\s*+:\s*+(' + _NUMBER + rb")")
_BLANKS = bytes(char if char in b"0123456789.eE+-" else ord(" ") for char in range(256))
_CHUNK = 2**18  # characters looked at together
_WIDTH = 64  # of a number; one with more digits is exact, whatever the others are


def shapes_of(text: str) -> Shapes:
    """Of every number in the arrays of a JSON text, in its order; those that are fields by themselves do not count."""
    blank = _FIELD.sub(b" ", text.encode("ascii", "replace"))
    if b"N" in blank or b"I" in blank:  # they take their places in the arrays
        blank = blank.replace(b"NaN", b"0").replace(b"Infinity", b"0")
    blank = blank.translate(_BLANKS)
    found, start = [], 0
    while start < len(blank):
        end = blank.find(b" ", start + _CHUNK)
        end = len(blank) if end < 0 else end
        found.append(_shapes_of_words(blank[start:end].split()))
        start = end
    return Shapes(*(np.concatenate(columns) for columns in zip(*found, strict=True))) if found else _shapes_of_words([])


def shape_of_loss(text: str) -> Shapes | None:
    """Of the field "loss", if it is a number with a point or an exponent."""
    found = _LOSS.search(text.encode("ascii", "replace"))
    if found is None:
        return None
    shapes = _shapes_of_words([found[1]])
    return None if shapes.is_whole.all() else shapes


def _shapes_of_words(written: list[bytes]) -> Shapes:
    """The shapes of some numbers, all read at once, character by character; words without a digit are left out."""
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
    power = np.where(behind_e, np.where(is_small, -power, power), NO_EXPONENT)
    return Shapes(*(column[is_number].astype(np.int16) for column in (digits, decimals, power, last)))
