"""What somebody's code computed, read from files: gradients, or the parameters after one step.

Whether it is right is for the judge. Here a document is only read: it must be of its schema, but layers may be
missing, shapes wrong, rows ragged, numbers NaN or infinite. Arrays stay as they came; those from JSON are nested lists,
not even known to hold numbers (`case.numbers` raises a sentence where they do not).

A text holds its numbers only to the digits printed, and no number says by itself how many these are: printf's "%g"
writes 0.5 for 0.500000. So they are judged from all numbers of a text together (`printed_style`).
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp.oracle.case import DTYPES, numbers, require_shape, weights_and_bias
from functional_mlp.oracle.files import VERSION, check_schema, write_document
from functional_mlp.oracle.formats import MAX_BYTES, FileError, Path_, decode, kind_of, read_bytes, text_of

KINDS = ("gradients", "update")
FEWEST_DIGITS = 6  # nobody's default prints fewer: printf's %g and %f, C++ streams
ENOUGH = 8  # so many different numbers show that fewer were printed


# how numbers were printed


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


def _printed_loss(text: str, arrays: Printed | None) -> Printed | None:
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


# what is read


class Gradients(NamedTuple):
    """Gradients as given: nothing is checked but that they are a document of the schema.

    Attributes:
        params: per layer a mapping with weights and perhaps bias (or a pair of them, if not from a file).
        loss, outputs, deltas, ct_inputs: what else is to be judged, or None.
        printed: how the numbers in the arrays were printed, if in a text with decimals.
        printed_loss: the same of the loss.
        case: the name of the case that they are of, if they say so.
    """

    params: Any
    loss: Any = None
    outputs: Any = None
    deltas: Any = None
    ct_inputs: Any = None
    printed: Printed | None = None
    printed_loss: Printed | None = None
    case: str | None = None


class UnsupportedError(FileError):
    """Instead of gradients, the sentence of a program that it does not support the case."""


def handed_over(result: Any) -> Gradients:
    """What somebody's code handed over: `Gradients`, the bare gradients, or a pair of the loss and the gradients."""
    if isinstance(result, Gradients):
        return result
    if isinstance(result, tuple | list) and len(result) == 2:
        loss, params = result
        if isinstance(loss, int | float) or getattr(loss, "shape", None) == ():
            return Gradients(params, loss)
    return Gradients(result)


class Update(NamedTuple):
    """Parameters after one step of plain gradient descent, as given.

    Attributes:
        params: as in `Gradients`.
        learning_rate: finite, above 0.
        printed: how the numbers in the arrays were printed, if in a text with decimals.
    """

    params: Any
    learning_rate: float
    printed: Printed | None = None


def read_answer(path: Path_, max_bytes: int = MAX_BYTES) -> Gradients | Update:
    """Reads gradients or an update, whichever the document says it is.

    Args:
        path: a .json, .npz or .safetensors file; "-" reads JSON from standard input.
        max_bytes: the largest file, and the largest unpacked content, that is accepted.

    Raises:
        FileError: if the file cannot be read, or is neither.
    """
    return _read(path, KINDS, max_bytes)


def read_gradients(path: Path_, max_bytes: int = MAX_BYTES) -> Gradients:
    """Reads gradients; see `read_answer`."""
    answer = _read(path, ("gradients",), max_bytes)
    assert isinstance(answer, Gradients)
    return answer


def read_update(path: Path_, max_bytes: int = MAX_BYTES) -> Update:
    """Reads an update; see `read_answer`."""
    answer = _read(path, ("update",), max_bytes)
    assert isinstance(answer, Update)
    return answer


def _read(path: Path_, kinds: tuple[str, ...], max_bytes: int) -> Gradients | Update:
    return parse_answer(read_bytes(path, max_bytes), str(path), kinds, max_bytes)


def parse_answer(
    content: bytes, source: str, kinds: tuple[str, ...] = KINDS, max_bytes: int = MAX_BYTES
) -> Gradients | Update:
    """Gradients or an update from the bytes of a document, in whichever format it begins like.

    Args:
        content: all of it.
        source: its name, for messages.
        kinds: what is wanted: "gradients", "update".
        max_bytes: the most that an archive may unpack to.

    Raises:
        UnsupportedError: if it says that its program does not support the case.
        FileError: if it is no sound document of these kinds.
    """
    document = decode(content, source, max_bytes, not_finite=True)
    if document.get("unsupported") is True:
        reason = document.get("reason")
        said = f": {reason[:120]}" if isinstance(reason, str) and reason else ""
        raise UnsupportedError(f"{source}: says that its program does not support this case{said}")
    form = document.get("format")
    kind = next((kind for kind in kinds if form == f"functional-mlp/{kind}"), None)
    if kind is None:
        wanted = " or ".join(f"'functional-mlp/{kind}'" for kind in kinds)
        got = repr(form[:60]) if isinstance(form, str) else "none" if form is None else type(form).__name__
        raise FileError(f"{source}: expected format {wanted}, got {got}")
    check_schema(document, kind, source)
    text = text_of(content, source) if kind_of(content) == "json" else ""
    printed = printed_style(text)
    if kind == "update":
        rate = float(document["learning_rate"])
        if not math.isfinite(rate):
            raise FileError(f"{source}: learning_rate: expected a finite number, got {rate}")
        return Update(document["params"], rate, printed)
    fields = {name: document.get(name) for name in ("params", "loss", "outputs", "deltas", "ct_inputs", "case")}
    return Gradients(**fields, printed=printed, printed_loss=_printed_loss(text, printed))


# writing


def write_gradients(path: Path_, gradients: Gradients, dtype: str = "float64") -> None:
    """Writes gradients; the format follows the suffix: .json, .npz, .safetensors.

    Args:
        path: where to; "-" writes JSON to standard output.
        gradients: numbers of any array type; `printed` is not used. JSON has no NaN and infinities.
        dtype: a key of `DTYPES`: of the arrays in the binary formats, in which they must be representable.

    Raises:
        FileError: as `write_document`, and for what is no array of numbers or not representable.
        ValueError: for an unknown dtype.
    """
    known_name("dtype", dtype, DTYPES)
    try:
        document = _document_of(gradients, dtype)
    except (TypeError, ValueError) as error:
        raise FileError(f"{path}: {error}") from error
    write_document(path, document, dtype)


def _document_of(gradients: Gradients, dtype: str) -> dict[str, Any]:
    document: dict[str, Any] = {"format": "functional-mlp/gradients", "version": VERSION, "params": []}
    for i, layer in enumerate(gradients.params):
        pair = zip(("weights", "bias"), weights_and_bias(f"params[{i}]", layer), strict=True)
        fields = {name: _array(f"params[{i}].{name}", leaf, dtype) for name, leaf in pair if leaf is not None}
        document["params"].append(fields)
    if gradients.case is not None:
        document["case"] = gradients.case
    if gradients.loss is not None:
        loss = numbers("loss", gradients.loss)
        require_shape("loss", loss, ())
        # a header is JSON, which has no NaN; an array may hold it
        document["loss"] = float(loss) if np.isfinite(loss) else loss
    for name in ("outputs", "ct_inputs"):
        if getattr(gradients, name) is not None:
            document[name] = _array(name, getattr(gradients, name), dtype)
    if gradients.deltas is not None:
        document["deltas"] = [_array(f"deltas[{i}]", delta, dtype) for i, delta in enumerate(gradients.deltas)]
    return document


def _array(what: str, value: Any, dtype: str) -> np.ndarray:
    """`value` as float64, if `dtype` holds it; NaN and infinities are held by each."""
    array = numbers(what, value)
    with np.errstate(all="ignore"):
        rounded = array.astype(DTYPES[dtype]).astype(np.float64)
    wrong = (rounded != array) & ~np.isnan(array)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f"{what}[{', '.join(map(str, index))}]"
        raise ValueError(f"expected {place} to be a {dtype} number, got {float(array[index])!r}: write it in float64")
    return array
