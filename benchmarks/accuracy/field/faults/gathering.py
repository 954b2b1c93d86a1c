"""Faults of what is done to gradients that are complete: sign, order, layout, clipping, entries never written."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.accuracy.field.elementwise import Array
from benchmarks.accuracy.field.faults.registry import ALL, Edit, Fault, either_of, factors
from benchmarks.accuracy.field.formulas import Gradients, Style, Tape
from benchmarks.accuracy.field.problems import Family
from benchmarks.accuracy.field.programs import loss_value


def each(change: Callable[[Array, float], Array]) -> dict[str, Edit]:
    """Every array that is handed over, changed; with the number of the fault."""
    return {
        "hand over": lambda tape, i, before, c: [
            (change(weights, c), None if bias is None else change(bias, c)) for weights, bias in before()
        ]
    }


def _norm(grads: Gradients) -> float:
    return float(np.sqrt(sum((array**2).sum() for pair in grads for array in pair if array is not None)))


def _together(factor: Callable[[float, float], float]) -> dict[str, Edit]:
    """Every array times a factor of the norm of all, and of the number of the fault."""

    def edit(tape: object, layer: int, before: Callable[[], Gradients], number: float) -> Gradients:
        grads = before()
        by = factor(_norm(grads), number)
        return [(weights * by, None if bias is None else bias * by) for weights, bias in grads]

    return {"hand over": edit}


def _written(rows: slice, columns: slice) -> Edit:
    """Zeros outside of some rows and columns."""

    def edit(tape: object, layer: int, before: Callable[[], Array], number: float) -> Array:
        array = before()
        made = np.zeros_like(array)
        made[rows, columns] = array[rows, columns]
        return made

    return edit


def _differences(quotient: Callable[[Callable[[float], float], float], float]) -> dict[str, Edit]:
    """Difference quotients of the loss in place of derivatives; the step is the number of the fault."""

    def edit(tape: Tape, layer: int, before: object, step: float) -> Gradients:
        arrays = [[w.copy() for w in tape.W], [None if b is None else b.copy() for b in tape.b]]

        def derivative(array: Array) -> Array | None:
            made = None if array is None else np.zeros_like(array)
            for index in () if array is None else np.ndindex(array.shape):
                kept = array[index]

                def at(moved: float, index: Any = index, kept: float = kept) -> float:
                    array[index] = kept + moved
                    value = loss_value(tape, *arrays)
                    array[index] = kept
                    return value

                made[index] = quotient(at, step)  # type: ignore[index]
            return made

        return [(derivative(w), derivative(b)) for w, b in zip(*arrays, strict=True)]

    return {"hand over": edit}


def _in_float64(family: Family, style: Style) -> bool:
    return family.dtype == "float64"


def _alike(family: Family, style: Style) -> bool:
    return len(set(family.sizes)) == 1


def _matrices(family: Family, style: Style) -> Sequence[int]:
    return [layer for layer in family.layers if min(family.sizes[layer : layer + 2]) > 1]


def _turned(tape: object, layer: int, before: Callable[[], Array], number: float) -> Array:
    """The numbers of the transpose, in the shape that was asked for."""
    array = before()
    return array.T.reshape(array.shape)


WHOLE, MOST, LESS = slice(None), slice(-1), slice(1, None)

GATHERING = (
    Fault(
        "sign-flipped",
        "all gradients negated",
        each(lambda g, c: -g),
        factors=lambda family, layers, c: factors(family, family.layers, ALL, -1.0),
    ),
    Fault(
        "layers-in-reverse",
        "the list of gradients in backward order",
        {"hand over": lambda tape, i, before, c: before()[::-1]},
        where=_alike,
    ),
    Fault(
        "finite-difference",
        "forward differences",
        _differences(lambda at, h: (at(h) - at(0.0)) / h),
        where=_in_float64,
        number=either_of(1e-2, 1e-3, 1e-4, 1e-5),
    ),
    Fault(
        "finite-difference",
        "central differences",
        _differences(lambda at, h: (at(h) - at(-h)) / (2 * h)),
        where=_in_float64,
        number=either_of(0.1, 1e-2, 1e-9),
    ),
    Fault("weight-gradient-transposed", "dW transposed", {"weights": _turned}, _matrices),
    Fault(
        "gradient-clipped", "clipped by value", each(lambda g, c: np.clip(g, -c, c)), number=either_of(1.0, 0.5, 0.1)
    ),
    Fault(
        "gradient-clipped",
        "clipped by the norm of all",
        _together(lambda norm, c: min(1.0, c / norm) if norm else 1.0),
        number=either_of(1.0, 0.5, 0.1),
    ),
    Fault("gradient-normalised", "each array divided by its norm", each(lambda g, c: g / (np.linalg.norm(g) or 1.0))),
    Fault("gradient-normalised", "divided by the norm of all", _together(lambda norm, c: 1 / norm if norm else 1.0)),
    Fault("off-by-one-loop", "the last row is never written", {"weights": _written(MOST, WHOLE)}, _matrices),
    Fault("off-by-one-loop", "the first row is never written", {"weights": _written(LESS, WHOLE)}, _matrices),
    Fault("off-by-one-loop", "the last column is never written", {"weights": _written(WHOLE, MOST)}, _matrices),
)
