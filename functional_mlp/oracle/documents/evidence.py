"""What tells how the numbers of a text were printed: which digits all of them have, and which end in zeros."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from functional_mlp.oracle.case import delta_path, layer_path, parameter_path
from functional_mlp.oracle.documents.digits import (
    FEWEST_DIGITS,
    NOTHING,
    Evidence,
    Printed,
    PrintedArray,
    PrintedText,
    array_of,
    half_at,
)
from functional_mlp.oracle.documents.spelling import Shapes, shape_of_loss, shapes_of

ENOUGH = 8  # so many different numbers show that fewer were printed
FEW_DECIMALS, ENOUGH_OF_FEW = 4, 3  # PyTorch's and MATLAB's own; so many numbers show it where no others tell otherwise
SOME = 4  # so many numbers show which format of at least 6 digits it was
SHORTEST = 15  # so many digits has only a format that tells every float64 from the others
MOST = 0.6  # of the numbers have all the digits, where trailing zeros are left out
USUAL_DIGITS, USUAL_PLACES = 4, 6  # of a number that is taken at its word


def printed_text(text: str, document: Mapping[str, Any]) -> PrintedText | None:
    """How the arrays of a JSON text were printed.

    Args:
        text: as it was parsed.
        document: what it holds.

    Returns:
        None if no number has a point or an exponent: integers are exact.
    """
    shapes = shapes_of(text)
    if shapes.is_whole.all():
        return None
    arrays = [(path, np.array(list(_flat(value)), np.float64)) for path, value in _arrays_in(document)]
    if sum(values.size for _, values in arrays) != shapes.digits.size:  # not of numbers alone
        return PrintedText({"": _unknown(shapes)})
    ends = np.cumsum([values.size for _, values in arrays])
    parts = [shapes.part(slice(end - values.size, end)) for (_, values), end in zip(arrays, ends, strict=True)]
    evidence = _evidence(parts, np.concatenate([values for _, values in arrays]), shapes)
    read = {path: _reading(part, values, evidence) for (path, values), part in zip(arrays, parts, strict=True)}
    return PrintedText(read, evidence)


def half_units(text: str, document: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """All numbers in the arrays of a document, and half a unit of the last place that stands in its text.

    Returns:
        None where the arrays do not hold numbers alone.
    """
    shapes = shapes_of(text)
    values = np.array([number for _, array in _arrays_in(document) for number in _flat(array)], np.float64)
    return (values, half_at(shapes.place)) if values.size == shapes.digits.size else None


def with_numbers(document: Mapping[str, Any], values: np.ndarray) -> dict[str, Any]:
    """A document with other numbers in its arrays, in the order of `half_units`."""
    numbers = iter(values.tolist())

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [replaced(item) for item in value]
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        number = next(numbers)
        return value if isinstance(value, int) else number

    def of_field(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: of_field(item) for name, item in value.items()}
        return (
            value
            if not isinstance(value, list)
            else [of_field(item) if isinstance(item, dict) else replaced(item) for item in value]
        )

    return {name: of_field(field) for name, field in document.items()}


def _arrays_in(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The arrays of a document in its own order, by path; layers may come as objects or not."""
    for name, field in document.items():
        if name == "params" and isinstance(field, list):
            for i, layer in enumerate(field):
                if isinstance(layer, dict):
                    yield from ((parameter_path(i, key), leaf) for key, leaf in layer.items() if isinstance(leaf, list))
                else:
                    yield layer_path(i), layer
        elif name == "deltas" and isinstance(field, list):
            yield from ((delta_path(i), delta) for i, delta in enumerate(field))
        elif isinstance(field, dict):
            yield from _arrays_in(field)
        elif isinstance(field, list):
            yield name, field


def _flat(value: Any) -> Iterator[float]:
    """The numbers in nested lists; whatever else is there is left out."""
    if isinstance(value, list):
        if all(type(item) in (int, float) for item in value):
            yield from value
        else:
            yield from itertools.chain.from_iterable(map(_flat, value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _unknown(shapes: Shapes) -> PrintedArray:
    """Of an array whose numbers are not known: to six digits, or to as many as most have."""
    found = shapes.digits[shapes.digits > 0]
    digits = max(FEWEST_DIGITS, int(found.max(initial=0)))
    nothing = np.zeros(0)
    return PrintedArray(nothing, nothing, nothing, (Printed("significant", digits),), nothing, nothing)


# what tells how an array was printed


def _evidence(parts: list[Shapes], values: np.ndarray, shapes: Shapes) -> Evidence:
    by_decimals: dict[int, list[np.ndarray]] = {}
    by_digits: dict[int, list[np.ndarray]] = {}
    start = 0
    for part in parts:
        place = np.arange(start, start + part.digits.size)
        start += part.digits.size
        for found, group in ((_alike_decimals(part), by_decimals), (_alike_digits(part), by_digits)):
            if found is not None:
                group.setdefault(found, []).append(place)

    telling = _telling(shapes)

    def is_evident(decimals: int | None, own: np.ndarray) -> bool:
        alone = decimals == FEW_DECIMALS and telling[own].sum() == telling.sum()
        enough = ENOUGH_OF_FEW if alone else ENOUGH
        return _shows_zeros(shapes.part(own)) or _are_many(shapes.part(own), values[own], enough)

    with_decimals = {number: np.concatenate(places) for number, places in by_decimals.items()}
    with_digits = {number: np.concatenate(places) for number, places in by_digits.items()}
    decimals = frozenset(number for number, own in with_decimals.items() if is_evident(number, own))
    digits = frozenset(number for number, own in with_digits.items() if is_evident(None, own))
    styles = _trimmed_styles(shapes, values)
    shortest = any(style.style == "significant" and style.digits >= SHORTEST for style in styles)
    if not shortest and all(style.digits >= FEWEST_DIGITS for style in styles):  # NumPy has another one for each array
        styles = ()
    return Evidence(decimals, digits, styles)


def _is_short_whole(shapes: Shapes) -> np.ndarray:
    """Whether numbers look like integers: 3, or 3.0."""
    return shapes.is_whole | ((shapes.decimals == 1) & (shapes.last == 0) & ~shapes.has_exponent)


def _telling(shapes: Shapes) -> np.ndarray:
    """Whether numbers tell how they were printed: those that do not look like integers."""
    return (shapes.digits > 0) & ~_is_short_whole(shapes)


def _alike_decimals(shapes: Shapes) -> int | None:
    """The decimals that all numbers of an array have, but zeros that are written as 0; None if they differ."""
    counted = shapes.part(~(shapes.is_whole & (shapes.digits == 0)))
    if not counted.digits.size or counted.is_whole.any() or np.ptp(counted.decimals):
        return None
    return int(counted.decimals[0])


def _alike_digits(shapes: Shapes) -> int | None:
    """The significant digits that all numbers of an array have, but zeros; None if they differ."""
    found = shapes.digits[shapes.digits > 0]
    return int(found[0]) if found.size and not np.ptp(found) else None


def _shows_zeros(shapes: Shapes) -> bool:
    """Whether a number ends in a zero that formats without trailing zeros would have left out."""
    return bool(((shapes.decimals >= 2) & (shapes.last == 0)).any())


def _are_many(shapes: Shapes, values: np.ndarray, enough: int = ENOUGH) -> bool:
    """Whether there are many different numbers, most of which end in neither 0 nor 5, as sums of halves would."""
    nonzero = shapes.digits > 0
    different = np.unique(np.abs(values[nonzero])).size
    plain = ~np.isin(shapes.last[nonzero], (0, 5))
    return bool(different >= enough and 2 * plain.sum() >= nonzero.sum())


def _trimmed_styles(shapes: Shapes, values: np.ndarray) -> tuple[Printed, ...]:
    """In which styles numbers may have been printed whose trailing zeros were left out; () if that is not evident.

    In such a style nine of ten numbers have all the digits. Where both styles may be, both are returned.
    """
    telling = _telling(shapes)
    if not telling.any():
        return ()
    counted = telling | ((shapes.digits > 0) & shapes.is_whole)  # in formats of significant digits 123 may be 123.4
    styles = []
    digits, most = _usual(shapes.digits[counted])
    if most - digits <= 2:  # the shortest text that gives a number has 15, 16 or 17
        styles.append(Printed("significant", digits))
    places, most = _usual(shapes.place[telling])
    if most - places <= 1:
        styles.append(Printed("fixed", places))
    some = telling.sum() >= SOME and any(style.digits >= FEWEST_DIGITS for style in styles)
    return tuple(styles) if some or _are_many(shapes.part(counted), values[counted]) else ()


def _usual(numbers: np.ndarray) -> tuple[int, int]:
    """What most of some integers are at least, and the largest."""
    ascending = np.sort(numbers)
    return int(ascending[int((1 - MOST) * ascending.size)]), int(ascending[-1])


def _reading(shapes: Shapes, values: np.ndarray, evidence: Evidence) -> PrintedArray:
    """How an array was printed, by its own numbers and what the whole text tells."""
    size = np.abs(values)
    zero, short = shapes.digits == 0, _is_short_whole(shapes)
    decimals, digits = _alike_decimals(shapes), _alike_digits(shapes)
    own = np.where(zero & (shapes.has_exponent | shapes.is_whole), 0.0, half_at(shapes.place))
    if decimals in evidence.decimals or digits in evidence.digits or _shows_zeros(shapes):
        same_place = not np.ptp(shapes.place[~zero]) if (~zero).any() else True
        fixed = decimals in evidence.decimals and same_place
        places = shapes.place[~shapes.is_whole]
        style = Printed("fixed", int(places.min())) if fixed else Printed("significant", int(shapes.digits.max()))
        return array_of(values, own, own, shapes.decimals, shapes.power, others=(style,))
    styles = _trimmed_styles(shapes, values) or evidence.styles
    evident, styles = bool(styles), styles or (Printed("significant", FEWEST_DIGITS),)
    rule = np.max([style.half(size) for style in styles], axis=0)
    # a number of so many digits is taken at its word: R has other decimals in each column
    long = shapes.digits >= FEWEST_DIGITS
    if not evident:
        long = long | ((shapes.digits >= USUAL_DIGITS) & (shapes.place >= USUAL_PLACES))
    known = np.where(short, rule, np.where(long, own, np.minimum(own, rule)))
    most = known if evident else np.where(short, rule, own)
    return array_of(values, known, most, shapes.decimals, shapes.power, others=styles)


def printed_loss(text: str, loss: Any, arrays: PrintedText | None) -> PrintedArray | None:
    """How the loss of a JSON text was printed: to the digits that stand there, where these are six at least.

    People print it by another statement than the arrays; alone, it tells little. So of the arrays nothing is taken over
    but that they show few digits.

    Returns:
        None for an integer, and for what is no number.
    """
    shapes = shape_of_loss(text)
    if shapes is None or isinstance(loss, bool) or not isinstance(loss, int | float):
        return None
    evidence = NOTHING if arrays is None else arrays.evidence
    few = tuple(style for style in evidence.styles if style.digits < FEWEST_DIGITS)
    return _reading(shapes, np.array([float(loss)]), evidence._replace(styles=few))
