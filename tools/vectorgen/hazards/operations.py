"""Vectors of single operations: what each hunts, and how its numbers are drawn."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tools.vectorgen.hazards.recipes import ALL, WIDE, Array, Numbers

FINE = (*WIDE, "float16")  # the noise of bfloat16 hides most of a norm or a block
Arguments = dict[str, np.ndarray]  # by name in the order of the operation; a mask holds booleans


class OperationRecipe(NamedTuple):
    """One vector in one or several precisions.

    Attributes:
        operation, slug: the id is operation/slug/precision.
        comment: what is special, in a sentence.
        arguments: drawn from a stream.
        settings: numbers by name.
        outputs: units of y; None: as many as x has.
        ct_y: made of the drawn cotangent.
        precisions: those in which there is such a vector.
    """

    operation: str
    slug: str
    comment: str
    arguments: Callable[[Numbers], Arguments]
    settings: Mapping[str, float]
    outputs: int | None = None
    ct_y: Callable[[Array], Array] = lambda ct: ct
    precisions: tuple[str, ...] = WIDE

    def id(self, precision: str) -> str:
        """The vector's name."""
        return f"{self.operation}/{self.slug}/{precision}"

    def drawn(self, precision: str) -> tuple[Arguments, Array]:
        """The arguments and the cotangent, of numbers of the precision."""
        numbers = Numbers(self.id(precision), 0, precision)
        arguments = self.arguments(numbers)
        rows, units = arguments["x"].shape
        return arguments, numbers.rounded(self.ct_y(numbers.uniform((rows, self.outputs or units), -1.5, 1.5)))


def recipes(operation: str) -> Iterator[OperationRecipe]:
    """The vectors of an operation, in the order of its file."""
    yield from RECIPES[operation](operation)


# norms


def _rows(
    shape: tuple[int, int],
    change: Callable[[Array], Any] = lambda x: x,
    *,
    weight: bool = True,
    bias: bool = False,
) -> Callable[[Numbers], Arguments]:
    """Rows of numbers of order 1, changed, with weights around 1 and biases around 0."""

    def draw(numbers: Numbers) -> Arguments:
        arguments = {"x": numbers.rounded(change(numbers.uniform(shape, -1.75, 1.75)))}
        if weight:
            arguments["weight"] = numbers.uniform(shape[1:], 0.5, 1.5)
        if bias:
            arguments["bias"] = numbers.uniform(shape[1:], -0.5, 0.5)
        return arguments

    return draw


def _constant(x: Array) -> Array:
    return np.broadcast_to(x[:, :1], x.shape)


def _one_outlier(x: Array) -> Array:
    return x + 100 * (np.arange(x.shape[1]) == 1)


def _norms(operation: str) -> Iterator[OperationRecipe]:
    bias = operation == "layer_norm"
    small, large = {"epsilon": 2.0**-17}, {"epsilon": 0.25}

    def recipe(slug: str, comment: str, draw: Any, settings: Mapping[str, float] = small, **others: Any) -> Any:
        return OperationRecipe(operation, slug, comment, draw, settings, **others)

    yield recipe("plain", "Four rows of six units.", _rows((4, 6), bias=bias), precisions=FINE)
    yield recipe("one-row", "One sample: sums over samples have one term.", _rows((1, 5), bias=bias), precisions=FINE)
    yield recipe("square", "As many rows as units: sums over the wrong axis fit.", _rows((4, 4), bias=bias))
    words = "One unit: the row is its own mean." if bias else "One unit: its size is left out but for epsilon."
    yield recipe("one-unit", words, _rows((3, 1), bias=bias), large)
    yield recipe("two-units", "Two units: ±1 but for epsilon.", _rows((3, 2), bias=bias), large)
    words = "Epsilon of the size of the variance: inside of the root, and nowhere twice."
    yield recipe("large-epsilon", words, _rows((4, 6), bias=bias), large, precisions=FINE)
    yield recipe("no-epsilon", "Epsilon is 0.", _rows((3, 5), bias=bias), {"epsilon": 0.0})
    yield recipe("no-weights", "Neither weight nor bias.", _rows((4, 6), weight=False))
    yield recipe("offset", "Rows far from 0: squares cancel.", _rows((3, 8), lambda x: x + 16, bias=bias))
    yield recipe("equal-units", "Rows of equal numbers, without variance.", _rows((3, 4), _constant, bias=bias), large)
    yield recipe("tiny-rows", "Variances far below epsilon.", _rows((3, 5), lambda x: x * 2.0**-12, bias=bias))
    yield recipe("large-rows", "Large numbers: epsilon is nothing.", _rows((3, 5), lambda x: x * 1024, bias=bias))
    yield recipe("outlier", "One unit much larger than the others.", _rows((3, 8), _one_outlier, bias=bias))
    words = "The same cotangent for all units: without weights a layer norm hands nothing back."
    yield recipe("equal-cotangents", words, _rows((3, 5), weight=False), ct_y=_constant)
    yield recipe("many-rows", "Many samples: the sums over them are long.", _rows((40, 3), bias=bias))


# gated blocks


def _block(rows: int, d: int, h: int, out: int, size: float = 1.0, up: float = 1.0) -> Callable[[Numbers], Arguments]:
    """A block of weights of variance 1/fan_in, its gates `size` times as large and its other way `up` times."""

    def draw(numbers: Numbers) -> Arguments:
        def weights(fan_in: int, fan_out: int, scale: float = 1.0) -> Array:
            return numbers.rounded(scale * np.sqrt(3 / fan_in) * numbers.uniform((fan_in, fan_out)))

        x = numbers.uniform((rows, d), -1.75, 1.75)
        return {"x": x, "gate": weights(d, h, size), "up": weights(d, h, up), "down": weights(h, out)}

    return draw


def _gated(operation: str) -> Iterator[OperationRecipe]:
    def recipe(slug: str, comment: str, sizes: Any, precisions: tuple[str, ...] = WIDE, **others: Any) -> Any:
        draw = _block(*sizes, **others)
        return OperationRecipe(operation, slug, comment, draw, {}, outputs=sizes[3], precisions=precisions)

    yield recipe("plain", "Four rows, three units, five in the block.", (4, 3, 5, 3), FINE)
    yield recipe("one-row", "One sample.", (1, 3, 4, 3), FINE)
    yield recipe("square", "Equal sizes everywhere: gate and up may be swapped, matrices transposed.", (3, 3, 3, 3))
    yield recipe("one-unit", "One unit everywhere.", (2, 1, 1, 1))
    yield recipe("narrow", "Fewer outputs than inputs, one unit in the block.", (3, 4, 1, 2))
    yield recipe("saturated", "Gates far out on both sides.", (4, 3, 5, 3), size=12.0)
    yield recipe("closed", "Gates of exactly 0: only the derivative of the gate is left.", (3, 3, 4, 3), size=0.0)
    yield recipe("dead", "Nothing comes by the other way: only its weights move.", (3, 3, 4, 3), up=0.0)
    yield recipe("many-rows", "Many samples: the sums over them are long.", (40, 2, 3, 2))


# residual connection and dropout


def _with_branch(numbers: Numbers) -> Arguments:
    return {"x": numbers.uniform((3, 4), -1.75, 1.75), "branch": numbers.uniform((3, 4), -1.75, 1.75)}


def _residual(operation: str) -> Iterator[OperationRecipe]:
    for slug, comment, scale, precisions in (
        ("plain", "x + branch: both get the whole cotangent.", 1.0, ALL),
        ("scaled", "Half of the branch, and of its cotangent.", 0.5, ALL),
        ("scaled-unevenly", "A scale that no format holds exactly.", 0.1, WIDE),
        ("off", "A branch that is switched off.", 0.0, WIDE),
    ):
        settings = {"scale": scale}
        yield OperationRecipe(operation, slug, comment, _with_branch, settings, precisions=precisions)


def _masked(share: float) -> Callable[[Numbers], Arguments]:
    def draw(numbers: Numbers) -> Arguments:
        return {"x": numbers.uniform((4, 5), -1.75, 1.75), "mask": numbers.uniform((4, 5), 0.0, 1.0) >= share}

    return draw


def _dropout(operation: str) -> Iterator[OperationRecipe]:
    for slug, comment, rate, share, precisions in (
        ("half", "Every other number is kept, and doubled.", 0.5, 0.5, ALL),
        ("tenth", "A rate that no format holds exactly.", 0.1, 0.3, WIDE),
        ("none", "Rate 0: nothing is dropped.", 0.0, 0.0, WIDE),
        ("all", "By chance all are dropped.", 0.5, 2.0, WIDE),
        ("by-chance", "Another share is dropped than the rate says: the divisor is that of the rate.", 0.25, 0.6, WIDE),
    ):
        yield OperationRecipe(operation, slug, comment, _masked(share), {"rate": rate}, precisions=precisions)


RECIPES: dict[str, Callable[[str], Iterator[OperationRecipe]]] = {
    "layer_norm": _norms,
    "rms_norm": _norms,
    "swiglu": _gated,
    "geglu": _gated,
    "residual": _residual,
    "dropout": _dropout,
}
